#include "delivery-queue/remote/shared_bodies.h"

#include <algorithm>

#include "lib/base/status_macros.h"

namespace posthorn::delivery_queue {

struct SharedBodies::Body {
  Body(net::Loop& loop, uint64_t blob_key, uint64_t blob_size)
      : key(blob_key), size(blob_size), changed(loop) {}

  // Its bytes; whoever comes first reads, the others wait. A failure is told to those who wait; the
  // next one to ask tries again.
  static net::Task<absl::Status> Read(std::shared_ptr<Body> self, Bodies& source) {
    while (self->reading) co_await self->changed.Wait();
    if (self->complete) co_return absl::OkStatus();
    self->reading = true;
    const std::unique_ptr<BodyStream> stream = source.Open(self->key, self->size);
    absl::StatusOr<std::string> chunk;
    for (chunk = co_await stream->Next(); chunk.ok() && !chunk->empty();
         chunk = co_await stream->Next())
      self->bytes += *chunk;
    self->reading = false;
    self->complete = chunk.ok();
    if (!chunk.ok()) self->bytes.clear();
    self->changed.NotifyAll();
    co_return chunk.status();
  }

  const uint64_t key;
  const uint64_t size;
  std::string bytes;
  bool reading = false;
  bool complete = false;
  net::Signal changed;
};

class SharedBodies::Stream : public BodyStream {
 public:
  Stream(std::shared_ptr<Body> body, Bodies& source) : body_(std::move(body)), source_(source) {}
  net::Task<absl::StatusOr<std::string>> Next() override {
    if (std::exchange(done_, true)) co_return std::string();
    CO_RETURN_IF_ERROR(co_await Body::Read(body_, source_));
    co_return body_->bytes;
  }

 private:
  std::shared_ptr<Body> body_;
  Bodies& source_;
  bool done_ = false;
};

SharedBodies::SharedBodies(net::Loop& loop, Bodies& source) : loop_(loop), source_(source) {}
SharedBodies::~SharedBodies() = default;

std::unique_ptr<BodyStream> SharedBodies::Open(uint64_t blob_key, uint64_t blob_size) {
  if (blob_size > kSmall) return source_.Open(blob_key, blob_size);
  const auto found = std::ranges::find(kept_, blob_key, [](const auto& body) { return body->key; });
  if (found != kept_.end()) {
    kept_.splice(kept_.begin(), kept_, found);
  } else {
    kept_.push_front(std::make_shared<Body>(loop_, blob_key, blob_size));
    size_ += blob_size;
  }
  auto stream = std::make_unique<Stream>(kept_.front(), source_);
  while (size_ > kKept) {
    size_ -= kept_.back()->size;
    kept_.pop_back();
  }
  return stream;
}

}  // namespace posthorn::delivery_queue
