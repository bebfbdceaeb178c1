#pragma once

// A configuration store on a directory of its own, and objects to put into it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "lib/auth/password_hash.h"
#include "lib/base/strings.h"
#include "lib/testing/mariadb.h"
#include "posthorn/config/v1/kinds.pb.h"
#include "store-service/database/sql/mysql.h"
#include "store-service/database/sql/sqlite.h"
#include "store-service/directory/resolve.h"
#include "store-service/objects/configuration.h"

namespace posthorn::store_service {

namespace config = posthorn::config::v1;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

inline constexpr char kDomain[] = "posthorn.config.v1.Domain";
inline constexpr char kAccount[] = "posthorn.config.v1.Account";
inline constexpr char kAlias[] = "posthorn.config.v1.Alias";
inline constexpr char kListener[] = "posthorn.config.v1.Listener";
inline constexpr char kCertificate[] = "posthorn.config.v1.Certificate";
inline constexpr char kAdministrator[] = "posthorn.config.v1.Administrator";
// Of "secret", made once: a hash takes 45 ms.
inline std::string QuickHash() {
  static const std::string kHash = auth::HashPassword("secret").value();
  return kHash;
}

template <class T>
net::Task<void> Collect(net::Loop* loop, net::Task<T> task, std::optional<T>* out) {
  out->emplace(co_await std::move(task));
  loop->Stop();
}

enum class Engine { kSqlite, kMysql };
inline std::string NameOf(const ::testing::TestParamInfo<Engine>& info) {
  return info.param == Engine::kSqlite ? "sqlite" : "mysql";
}

// One server for all tests of this program.
inline posthorn::testing::MariadbServer& Server() {
  static const std::unique_ptr<posthorn::testing::MariadbServer> kServer =
      posthorn::testing::MariadbServer::Start();
  return *kServer;
}
inline mysql::Options MysqlOptions(const posthorn::testing::MariadbServer& server,
                                   const std::string& database) {
  mysql::Options options;
  options.target = mysql::ParseTarget(server.Url(database)).value();
  options.password = posthorn::testing::MariadbServer::kPassword;
  return options;
}

class ObjectsTest : public ::testing::TestWithParam<Engine> {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "objects_test.XXXXXX").string();
    directory_ = mkdtemp(name.data());
    if (GetParam() == Engine::kMysql) {
      schema_ = Server().NewDatabase();
      database_ = sql::OpenMysql(MysqlOptions(Server(), schema_));
    } else {
      database_ = sql::OpenSqlite({.path = directory_ + "/directory.db"});
    }
    Reopen();
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(directory_);
  }
  void Reopen() {
    store_.reset();
    auto opened = Configuration::Open(loop_, file::Real(), OptionsHere());
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }
  Configuration::Options OptionsHere() const {
    Configuration::Options options{.directory = directory_, .hash_threads = 3, .pool = pool_};
    if (GetParam() == Engine::kMysql) options.database = database_;
    return options;
  }
  template <class T>
  T Run(net::Task<T> task) {
    std::optional<T> result;
    loop_.Spawn("test", Collect<T>(&loop_, std::move(task), &result));
    loop_.Run();
    return *std::move(result);
  }
  absl::Status Commit(std::vector<ChangeInput> changes, std::optional<uint64_t> head = {}) {
    return Run(store_->Commit({.expected_head = head.value_or(store_->head()),
                               .changes = std::move(changes),
                               .author = "tester",
                               .reason = "because"}))
        .status();
  }
  std::vector<ObjectPage::Item> List(std::string kind, std::string name = "",
                                     ListQuery query = {}) {
    auto page = Run(store_->List(std::move(kind), std::move(name), std::move(query)));
    EXPECT_TRUE(page.ok()) << page.status();
    more_ = page->more;
    return page->items;
  }
  std::vector<std::string> Names(std::string kind, ListQuery query = {}) {
    std::vector<std::string> names;
    for (const auto& item : List(std::move(kind), "", std::move(query)))
      names.push_back(item.row.name);
    return names;
  }
  std::optional<Credential> CredentialOf(std::string_view kind, uint64_t id,
                                         std::string_view name) {
    return Run(store_->FindCredential(OwnerOf(kind, id, name, "password"))).value();
  }
  std::string AllBytesOnDisk() {
    std::stringstream all;
    if (GetParam() == Engine::kMysql) {
      std::string all_tables = base::StrCat("USE ", schema_, ";");
      for (const char* table : {"object", "credential", "revision", "revision_change", "account"})
        base::StrAppend(all_tables, "SELECT * FROM ", table, ";");
      return Server().Sql(all_tables);
    }
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      all << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    }
    return all.str();
  }

  net::Loop loop_;
  std::string directory_;
  std::string schema_;
  std::shared_ptr<sql::Database> database_;
  const google::protobuf::DescriptorPool* pool_ =
      google::protobuf::DescriptorPool::generated_pool();
  std::unique_ptr<Configuration> store_;
  bool more_ = false;
};

inline ChangeInput Domain(std::string name, std::vector<std::string> aliases = {}) {
  config::Domain domain;
  domain.set_name(name);
  for (std::string& alias : aliases) domain.add_alias_names(std::move(alias));
  return {.kind = kDomain, .name = std::move(name), .data = domain.SerializeAsString()};
}
inline ChangeInput Account(std::string address, std::string password = "") {
  config::Account account;
  account.set_address(address);
  account.set_password(std::move(password));
  account.set_full_name("Somebody");
  return {.kind = kAccount, .name = std::move(address), .data = account.SerializeAsString()};
}
inline ChangeInput Alias(std::string address, std::string target) {
  config::Alias alias;
  alias.set_address(address);
  alias.add_targets(std::move(target));
  return {.kind = kAlias, .name = std::move(address), .data = alias.SerializeAsString()};
}
inline ChangeInput Listener(std::string name, uint32_t port) {
  config::Listener listener;
  listener.set_name(name);
  listener.set_port(port);
  return {.kind = kListener, .name = std::move(name), .data = listener.SerializeAsString()};
}
inline ChangeInput Remove(std::string kind, std::string name) {
  return {.kind = std::move(kind), .name = std::move(name), .remove = true};
}

}  // namespace posthorn::store_service
