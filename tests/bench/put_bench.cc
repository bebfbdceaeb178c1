// What Blobs.Put costs: N senders on one request stream, 4 KiB messages, real segments with
// fdatasync (or real requests), server and client on one loop. Prints messages a second and CPU
// microseconds a message (both sides, fsync included; the object store's own not).
// usage: put_bench [local | shared | s3 ENDPOINT REGION BUCKET ACCESS SECRET]

#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "lib/rpc/client.h"
#include "lib/testing/run_task.h"
#include "lib/testing/temp_dir.h"
#include "store-service/blob/appender.h"
#include "store-service/blob/local_blob_store.h"
#include "store-service/blob/s3/s3_blob_store.h"
#include "store-service/blob/segment_registry.h"
#include "store-service/service/blobs_service.h"

namespace posthorn::store_service {
namespace {

double CpuMicros() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  const auto micros = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec);
  };
  return micros(use.ru_utime) + micros(use.ru_stime);
}

std::string Message() {
  std::string text =
      "Received: from client.example.org by mx.example.net; Sat, 21 Nov 2026 09:00:00 +0000\r\n"
      "From: Alice <alice@example.org>\r\nTo: Bob <bob@example.net>\r\nSubject: A usual message\r\n"
      "Date: Sat, 21 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1234567890@example.org>\r\n"
      "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n";
  while (text.size() < 4096)
    text += "All work and no play makes Jack a dull boy, and so on and on and on.\r\n";
  return text;
}

struct Run {
  net::Loop loop;
  std::unique_ptr<rpc::Client> client;
  std::string message = Message();
  int64_t until = 0;
  int running = 0;
  uint64_t done = 0;
  uint64_t failed = 0;
};

net::Task<void> Sender(Run* run) {
  while (base::MonotonicMicros() < run->until) {
    store::v1::PutRequest request;
    request.set_chunk(run->message);
    const auto reply = co_await run->client->Call(rpc::store::kBlobsPut, "put",
                                                  rpc::Flow::kHoldBack, {}, std::move(request));
    ++(reply.ok() ? run->done : run->failed);
  }
  if (--run->running == 0) run->loop.Stop();
}

void Measure(Run& run, int senders) {
  run.done = run.failed = 0;
  run.running = senders;
  const int64_t begin = base::MonotonicMicros();
  run.until = begin + 3'000'000;
  const double cpu = CpuMicros();
  for (int i = 0; i < senders; ++i) run.loop.Spawn("sender", Sender(&run));
  run.loop.Run();
  const double seconds = static_cast<double>(base::MonotonicMicros() - begin) / 1e6;
  std::printf("%d senders: %.0f messages/s, %.1f CPU us a message, %llu failed\n", senders,
              static_cast<double>(run.done) / seconds,
              (CpuMicros() - cpu) / static_cast<double>(run.done),
              static_cast<unsigned long long>(run.failed));
}

std::unique_ptr<BlobStore> OpenForm(const std::vector<std::string>& arguments,
                                    const std::string& directory, SegmentRegistry& registry,
                                    Appender::Deliver deliver) {
  if (arguments.size() == 6 && arguments[0] == "s3") {
    S3BlobOptions options;
    options.target =
        ParseS3Target(base::StrCat("s3://", arguments[3], "/bench-", base::WallMillis()),
                      arguments[1], arguments[2],
                      base::StrCat(arguments[4], "\n", arguments[5], "\n"))
            .value();
    options.registry = &registry;
    options.writer = "bench";
    options.spool = directory + "/spool";
    options.deliver = std::move(deliver);
    return OpenS3BlobStore(std::move(options)).value();
  }
  LocalBlobOptions options;
  options.directory = directory + "/blobs";
  options.deliver = std::move(deliver);
  if (!arguments.empty() && arguments[0] == "shared") options.registry = &registry;
  options.writer = "bench";
  return OpenLocalBlobStore(std::move(options)).value();
}

void Main(const std::vector<std::string>& arguments) {
  testing::TempDir directory;
  Run run;
  MemorySegmentRegistry registry;
  const auto blobs =
      OpenForm(arguments, directory.path(), registry, [&run](std::vector<Completion> batch) {
        auto shared = std::make_shared<std::vector<Completion>>(std::move(batch));
        run.loop.Post([shared] {
          for (Completion& completion : *shared) completion.done(std::move(completion.result));
        });
      });
  net::BlockingPool files(run.loop, "files", 2, 100);
  DigestCache digests(*blobs, files, size_t{32} << 20);
  BlobsService service(run.loop, *blobs, digests, files);
  const std::string socket = "unix:" + directory.File("store.sock");
  const auto server = rpc::Server::Create(run.loop, {{{socket, "smtp-gateway"}}, "store-service"});
  service.Register(*server);
  if (!server->Start().ok()) std::abort();
  run.client = rpc::Client::Create(run.loop, {socket, ""});
  for (const int senders : {1, 20, 100}) {
    const uint64_t before = blobs->Stats().commits;
    Measure(run, senders);
    std::printf(
        "  %.1f messages a commit\n",
        static_cast<double>(run.done) / static_cast<double>(blobs->Stats().commits - before));
  }
  run.client.reset();
  server->Stop(std::chrono::milliseconds(0));
}

}  // namespace
}  // namespace posthorn::store_service

int main(int argc, char** argv) {
  posthorn::store_service::Main(std::vector<std::string>(argv + 1, argv + argc));
}
