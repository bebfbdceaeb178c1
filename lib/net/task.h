#pragma once

// Coroutines of one thread. A Task never leaves the Loop it was spawned on.

#include <asio/awaitable.hpp>
#include <string_view>
#include <utility>

namespace posthorn::net {

template <class T>
using Task = asio::awaitable<T>;

}  // namespace posthorn::net
