#include "admin-service/service/editor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "admin-service/service/bootstrap.h"
#include "admin-service/testing/fake_object_store.h"
#include "admin-service/testing/gadget.pb.h"
#include "lib/base/strings.h"
#include "lib/testing/run_task.h"
#include "posthorn/config/v1/kinds.pb.h"

namespace posthorn::admin_service {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Change = absl::StatusOr<admin::v1::ChangeReply>;

std::string ErrorOf(const Change& change) { return std::string(base::Message(change.status())); }
std::vector<std::string> Lines(const admin::v1::ChangeReply& reply) {
  std::vector<std::string> out;
  for (const auto& d : reply.differences()) {
    out.push_back(
        base::StrCat(d.kind(), " ", d.name(), " ", d.field(), ": ", d.before(), " -> ", d.after()));
  }
  return out;
}

class EditorTest : public ::testing::Test {
 protected:
  EditorTest() {
    auto objects = FirstObjects({"mail.example.org"}, "secret");
    Must(Run(NewObjects(*std::move(objects))));
  }
  Change Run(std::unique_ptr<Edit> edit, Editor::Intent intent = {"tester", ""}) {
    return testing::RunTask(loop_, editor_.Run(std::move(edit), std::move(intent)));
  }
  Change Put(std::string kind, std::string name, std::vector<std::string> assignments,
             admin::v1::PutRequest::Mode mode = admin::v1::PutRequest::ANY) {
    admin::v1::PutRequest request;
    request.set_kind(kind);
    request.set_name(name);
    request.set_mode(mode);
    request.mutable_assignments()->Add(assignments.begin(), assignments.end());
    return Run(NewPut(std::move(request)));
  }
  Change Delete(std::string kind, std::string name) {
    admin::v1::DeleteRequest request;
    request.set_kind(kind);
    request.set_name(name);
    return Run(NewDelete(std::move(request)));
  }
  Change Apply(std::string yaml, bool prune = false, Editor::Mode mode = Editor::Mode::kCommit) {
    admin::v1::ApplyRequest request;
    request.set_yaml(std::move(yaml));
    request.set_prune(prune);
    return Run(NewApply(std::move(request)), {"tester", "", mode});
  }
  Change Rollback(uint64_t to, bool prune = false) {
    admin::v1::RollbackRequest request;
    request.set_to(to);
    request.set_prune(prune);
    return Run(NewRollback(store_, std::move(request)));
  }
  template <class T>
  const T* Find(const std::string& name) {
    const StoredObject* object =
        models_.current()->Find(*schema_.Find(T::descriptor()->full_name()), name);
    return object == nullptr ? nullptr : static_cast<const T*>(object->value.get());
  }
  static admin::v1::ChangeReply Must(Change change) {
    EXPECT_TRUE(change.ok()) << base::Message(change.status());
    return change.ok() ? *std::move(change) : admin::v1::ChangeReply();
  }

  net::Loop loop_;
  FakeObjectStore store_;
  const config::Schema& schema_ = config::Schema::Generated();
  ModelCache models_{loop_, schema_, store_};
  Editor editor_{schema_, store_, models_};
};

TEST_F(EditorTest, FirstConfigurationIsValidAndWhole) {
  EXPECT_EQ(models_.current()->revision(), 1u);
  EXPECT_EQ(Find<config::v1::Listener>("imaps")->port(), 993u);
  EXPECT_EQ(Find<config::v1::Listener>("imaps")->tls(), config::v1::IMPLICIT);
  EXPECT_TRUE(Find<config::v1::TrustedNetwork>("::1/128")->plaintext_login());
  EXPECT_FALSE(Find<config::v1::TrustedNetwork>("127.0.0.0/8")->may_relay());
  EXPECT_THAT(Find<config::v1::Certificate>("default")->chain(), HasSubstr("BEGIN CERTIFICATE"));
  EXPECT_NE(Find<config::v1::Administrator>("admin"), nullptr);
}

TEST_F(EditorTest, PutCreatesWithDefaultsAndChangesNamedFieldsOnly) {
  EXPECT_EQ(Must(Put("gadget", "lamp", {"colour=red"})).revision(), 2u);
  EXPECT_EQ(Find<samples::Gadget>("lamp")->weight(), 4096u);
  const auto reply = Must(Put("gadget", "lamp", {"weight=8 KiB", "owners+=Bob@Example.ORG"}));
  EXPECT_THAT(Lines(reply), ::testing::ElementsAre("gadget lamp weight: 4 KiB -> 8 KiB",
                                                   "gadget lamp owners:  -> bob@example.org"));
  EXPECT_EQ(Find<samples::Gadget>("lamp")->colour(), samples::Gadget::RED);
  EXPECT_EQ(Must(Put("gadget", "lamp", {"weight=8192"})).revision(), 0u) << "nothing changed";
}

TEST_F(EditorTest, AddRefusesWhatExistsAndSetWhatDoesNot) {
  Must(Put("gadget", "lamp", {"colour=red"}, admin::v1::PutRequest::CREATE));
  EXPECT_TRUE(absl::IsAlreadyExists(
      Put("gadget", "lamp", {"colour=red"}, admin::v1::PutRequest::CREATE).status()));
  EXPECT_TRUE(absl::IsNotFound(
      Put("gadget", "none", {"colour=red"}, admin::v1::PutRequest::CHANGE).status()));
}

TEST_F(EditorTest, EveryMistakeIsTold) {
  const std::string error =
      ErrorOf(Put("gadget", "lamp", {"colour=rad", "wieght=3", "owners=nobody"}));
  EXPECT_THAT(error, HasSubstr("did you mean RED?"));
  EXPECT_THAT(error, HasSubstr("did you mean \"weight\"?"));
  EXPECT_THAT(error, HasSubstr("gadget.owners: expected an address"));
  EXPECT_THAT(ErrorOf(Put("gadget", "lamp", {"weight=2 MiB"})),
              HasSubstr("gadget.colour: is required"));
  EXPECT_THAT(ErrorOf(Put("gadget", "lamp", {"colour=red", "weight=2 MiB"})),
              HasSubstr("at most 1 MiB"));
}

TEST_F(EditorTest, ReferencesHoldFromBothSides) {
  EXPECT_THAT(ErrorOf(Put("gadget", "lamp", {"colour=red", "listener=nowhere"})),
              HasSubstr("no listener \"nowhere\""));
  Must(Put("gadget", "lamp", {"colour=red", "listener=imap"}));
  EXPECT_THAT(ErrorOf(Delete("listener", "imap")),
              HasSubstr("listener \"imap\" is still used by gadget \"lamp\""));
  Must(Delete("gadget", "lamp"));
  Must(Delete("listener", "imap"));
}

TEST_F(EditorTest, ApplyMayAddInAnyOrderAndIsOneRevision) {
  const auto reply = Must(Apply(
      "kind: gadget\nname: lamp\ncolour: GREEN\nlistener: extra\n"
      "---\nkind: listener\nname: extra\nprotocol: IMAP\nport: 1143\n"
      "---\nkind: account\naddress: bob@example.org\n---\nkind: domain\nname: example.org\n"));
  EXPECT_EQ(reply.revision(), 2u);
  EXPECT_EQ(models_.current()->revision(), 2u);
}

TEST_F(EditorTest, DryRunChangesNothing) {
  const auto reply =
      Must(Apply("kind: gadget\nname: lamp\ncolour: GREEN\n", false, Editor::Mode::kDryRun));
  EXPECT_EQ(reply.revision(), 0u);
  EXPECT_THAT(Lines(reply), ::testing::Contains("gadget lamp :  -> lamp"));
  EXPECT_EQ(models_.current()->revision(), 1u);
}

TEST_F(EditorTest, PruneDeletesWhatIsNotNamedOfTheKindsNamed) {
  Must(Apply(
      "- {kind: gadget, name: lamp, colour: RED}\n- {kind: gadget, name: sofa, colour: RED}\n"));
  Must(Apply("- {kind: gadget, name: sofa, colour: GREEN}\n", true));
  EXPECT_EQ(Find<samples::Gadget>("lamp"), nullptr);
  EXPECT_EQ(Find<samples::Gadget>("sofa")->colour(), samples::Gadget::GREEN);
  EXPECT_NE(Find<config::v1::Listener>("imap"), nullptr);
}

TEST_F(EditorTest, RollbackBringsAnOldRevisionBack) {
  Must(Put("gadget", "lamp", {"colour=red", "pin=1234"}));
  Must(Put("gadget", "lamp", {"colour=green"}));
  Must(Put("gadget", "sofa", {"colour=green"}));
  Must(Put("settings", "default", {"spf=off"}));
  const auto reply = Must(Rollback(2));
  EXPECT_EQ(reply.revision(), 6u);
  EXPECT_EQ(Find<samples::Gadget>("lamp")->colour(), samples::Gadget::RED);
  EXPECT_EQ(Find<samples::Gadget>("lamp")->pin(), "1234");
  EXPECT_EQ(Find<samples::Gadget>("sofa"), nullptr);
  EXPECT_TRUE(Find<config::v1::Settings>("default")->spf());
  EXPECT_TRUE(absl::IsNotFound(Rollback(99).status()));
}

TEST_F(EditorTest, RollbackDeletesNobodysMailUnlessAskedTo) {
  Must(Apply("- {kind: domain, name: example.org}\n- {kind: account, address: bob@example.org}\n"));
  const auto reply = Must(Rollback(1));
  EXPECT_EQ(reply.warnings_size(), 2);
  EXPECT_EQ(reply.revision(), 0u);
  EXPECT_EQ(Must(Rollback(1, true)).revision(), 3u);
}

TEST_F(EditorTest, ALostRaceIsCheckedAgain) {
  // Somebody else deletes the listener between our check and our commit.
  store_.before_commit = [&] {
    samples::Gadget other;
    other.set_name("other");
    store_.Write("posthorn.samples.Gadget", "other", other.SerializeAsString());
  };
  EXPECT_EQ(Must(Put("gadget", "lamp", {"colour=red"})).revision(), 3u);
  EXPECT_NE(Find<samples::Gadget>("other"), nullptr);
}

TEST_F(EditorTest, RulesOfSingleKinds) {
  EXPECT_THAT(ErrorOf(Put("listener", "imap", {"port=25"})),
              HasSubstr("25 is taken by listener \"smtp\""));
  EXPECT_THAT(ErrorOf(Put("account", "bob@example.org", {})),
              HasSubstr("no domain \"example.org\""));
  Must(Put("domain", "example.org", {}));
  Must(Put("account", "bob@example.org", {"password=x"}));
  EXPECT_THAT(ErrorOf(Delete("domain", "example.org")),
              HasSubstr("still has account \"bob@example.org\""));
  EXPECT_THAT(ErrorOf(Delete("administrator", "admin")), HasSubstr("OWNER must stay"));
  EXPECT_THAT(ErrorOf(Delete("settings", "default")), HasSubstr("cannot be deleted"));
  EXPECT_THAT(ErrorOf(Put("certificate", "bad",
                          {"chain=-----BEGIN X-----\nAA\n-----END X-----",
                           "key=-----BEGIN X-----\nAA\n-----END X-----"})),
              HasSubstr("certificate"));
}

TEST_F(EditorTest, AnExportedSecretIsNotOverwrittenByItsMask) {
  Must(Put("gadget", "lamp", {"colour=red", "pin=1234"}));
  EXPECT_EQ(Must(Apply("kind: gadget\nname: lamp\ncolour: RED\npin: '********'\n")).revision(), 0u);
  EXPECT_EQ(Find<samples::Gadget>("lamp")->pin(), "1234");
}

TEST_F(EditorTest, SmallPagesMakeTheSameModel) {
  store_.page = 2;
  ModelCache small(loop_, schema_, store_);
  ASSERT_TRUE(testing::RunTask(loop_, small.Refresh()).ok());
  EXPECT_EQ(small.current()->objects().size(), models_.current()->objects().size());
}

TEST_F(EditorTest, AStoreThatIsAwayIsToldAsThat) {
  store_.away = base::Unavailable("gone");
  EXPECT_TRUE(absl::IsUnavailable(Put("gadget", "lamp", {"colour=red"}).status()));
}

}  // namespace
}  // namespace posthorn::admin_service
