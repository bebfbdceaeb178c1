#include "admin-service/service/editor.h"

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"

namespace posthorn::admin_service {
namespace {

// Administrators are few: more lost races than this are a fault, not competition.
constexpr int kTries = 10;

}  // namespace

net::Task<absl::StatusOr<admin::v1::ChangeReply>> Editor::Run(std::unique_ptr<Edit> edit,
                                                              Intent intent) {
  for (int i = 0; i < kTries; ++i) {
    CO_RETURN_IF_ERROR(co_await models_.Refresh());
    Workspace workspace(schema_, store_, models_.current());
    if (intent.expected_head != 0 && intent.expected_head != workspace.model().revision()) {
      co_return base::Aborted(base::StrCat("the configuration is at revision ",
                                           workspace.model().revision(), ", not ",
                                           intent.expected_head));
    }
    CO_RETURN_IF_ERROR(co_await edit->Make(workspace));
    CO_RETURN_IF_ERROR(co_await workspace.Check());
    admin::v1::ChangeReply reply = workspace.Describe();
    if (intent.mode == Mode::kDryRun || workspace.edits().empty()) co_return reply;
    const absl::StatusOr<uint64_t> revision =
        co_await store_.Commit(workspace.ToCommit(intent.author, intent.reason));
    if (absl::IsAborted(revision.status())) continue;
    if (!revision.ok()) co_return revision.status();
    observe::Info("config.commit", {{"revision", *revision},
                                    {"author", intent.author},
                                    {"changes", workspace.edits().size()}});
    // Failure to read it back does not undo it; the follower catches up.
    (void)co_await models_.Refresh();
    reply.set_revision(*revision);
    co_return reply;
  }
  co_return base::Aborted("others change the configuration all the time; try again");
}

}  // namespace posthorn::admin_service
