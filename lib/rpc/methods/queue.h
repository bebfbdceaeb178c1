#pragma once

// The methods of posthorn.queue.v1; lib/rpc/methods_test.cc holds them against the descriptors.

#include "lib/rpc/method.h"
#include "posthorn/queue/v1/queue.pb.h"

namespace posthorn::rpc::queue {

namespace v1 = ::posthorn::queue::v1;

inline constexpr Method<v1::EnqueueRequest, v1::EnqueueReply> kQueueEnqueue{
    "/posthorn.queue.v1.Queue/Enqueue"};
inline constexpr Method<v1::ListQueueRequest, v1::ListQueueReply> kQueueList{
    "/posthorn.queue.v1.Queue/List"};
inline constexpr Method<v1::ActRequest, v1::ActReply> kQueueAct{"/posthorn.queue.v1.Queue/Act"};
inline constexpr Method<v1::QueueStatusRequest, v1::QueueStatusReply> kQueueStatus{
    "/posthorn.queue.v1.Queue/Status"};

}  // namespace posthorn::rpc::queue
