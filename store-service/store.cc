#include "store-service/store.h"

#include <sys/stat.h>

#include "lib/base/strings.h"
#include "lib/file/file_system.h"
#include "lib/net/loop.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"
#include "store-service/auth/authenticator.h"
#include "store-service/objects/configuration.h"
#include "store-service/service/directory_service.h"
#include "store-service/service/objects_service.h"
#include "store-service/service/roles.h"

namespace posthorn::store_service {

process::Service::Options StoreOptions() {
  // The configuration lies here: the store cannot wait for it, and takes what it needs as it comes.
  return {.process = "store-service",
          .own_flags = {},
          .wants_config = false,
          .caller_roles = Everybody()};
}

// Destroyed from the last to the first.
struct Store::Parts {
  std::unique_ptr<Configuration> configuration;
  std::unique_ptr<TicketSigner> signer;
  std::unique_ptr<Authenticator> authenticator;
  std::unique_ptr<ObjectsService> objects;
  std::unique_ptr<DirectoryService> directory;
};

Store::Store(process::Service& service) : service_(service), parts_(std::make_unique<Parts>()) {}
Store::~Store() = default;

net::Task<absl::Status> Store::SetUp() {
  const std::string& data = service_.flags().data;
  if (data.empty()) co_return base::Invalid("--data is missing");
  // Whatever is made from here on belongs to this user alone: the key of all secrets lies among it.
  umask(0077);
  CO_ASSIGN_OR_RETURN(parts_->configuration,
                      Configuration::Open(service_.loop(), file::Real(), {.directory = data}));
  Configuration& configuration = *parts_->configuration;
  parts_->signer =
      std::make_unique<TicketSigner>(configuration.box().Derive("ticket"), configuration.model());
  parts_->authenticator = std::make_unique<Authenticator>(configuration, *parts_->signer);
  parts_->objects = std::make_unique<ObjectsService>(configuration, *parts_->authenticator);
  parts_->directory = std::make_unique<DirectoryService>(configuration, *parts_->authenticator);
  parts_->objects->Register(service_.server());
  parts_->directory->Register(service_.server());
  observe::Info("store.open", {{"revision", configuration.head()},
                               {"domains", configuration.model().domains()},
                               {"accounts", configuration.model().accounts()}});
  co_return absl::OkStatus();
}

}  // namespace posthorn::store_service
