#pragma once

namespace posthorn::imap_gateway {
class Store;
}
