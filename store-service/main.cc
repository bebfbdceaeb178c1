// posthorn-store-service: directory, mailboxes and message bytes. store.cc wires the parts.

#include "lib/process/service.h"
#include "store-service/store.h"

int main(int argc, char** argv) {
  const auto service =
      posthorn::process::Service::Create(argc, argv, posthorn::store_service::StoreOptions());
  posthorn::store_service::Store store(*service);
  return service->Run([&store] { return store.SetUp(); });
}
