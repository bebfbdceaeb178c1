#include "spam-service/checks/gtube.h"

#include <algorithm>

#include "spam-service/checks/encoded_text.h"

namespace posthorn::spam_service {
namespace {

class GtubeScan : public MessageScan {
 public:
  void Feed(std::string_view chunk) override {
    if (found_) return;
    found_ = plain_.Feed(chunk);
    decoded_.clear();
    encoded_.Decode(chunk, decoded_);
    if (!decoded_.empty()) found_ = hidden_.Feed(decoded_) || found_;
  }
  net::Task<std::optional<Finding>> Finish(Deadline) override {
    if (!found_) co_return std::nullopt;
    co_return Finding{"gtube", kGtubeScore, "holds the GTUBE test text",
                      "this is a test of the spam filter"};
  }

 private:
  StreamMatcher plain_{kGtube};
  StreamMatcher hidden_{kGtube};
  EncodedText encoded_;
  std::string decoded_;
  bool found_ = false;
};

class GtubeTest : public MessageTest {
 public:
  std::string_view name() const override { return "gtube"; }
  std::string_view kind() const override { return "gtube"; }
  bool Waits() const override { return false; }
  std::unique_ptr<MessageScan> Begin(std::shared_ptr<const Envelope> envelope) override {
    // What our own users send is never taken for spam.
    if (envelope->trusted) return nullptr;
    return std::make_unique<GtubeScan>();
  }
};

}  // namespace

bool StreamMatcher::Feed(std::string_view chunk) {
  if (found_) return true;
  const size_t overlap = text_.size() - 1;
  if (!tail_.empty()) {
    std::string seam = tail_;
    seam.append(chunk.substr(0, overlap));
    found_ = seam.find(text_) != std::string::npos;
  }
  found_ = found_ || chunk.find(text_) != std::string_view::npos;
  tail_.append(chunk.substr(chunk.size() - std::min(chunk.size(), overlap)));
  if (tail_.size() > overlap) tail_.erase(0, tail_.size() - overlap);
  return found_;
}

std::shared_ptr<MessageTest> NewGtubeTest() { return std::make_shared<GtubeTest>(); }

}  // namespace posthorn::spam_service
