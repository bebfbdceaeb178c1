#pragma once

// Credentials in gRPC's terms; for the .cc files of lib/rpc only.

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "lib/rpc/credentials.h"

namespace posthorn::rpc {

// For a server that demands certificates. Each new connection gets what `source` says then. To be
// kept until the server's gRPC object is gone.
std::shared_ptr<grpc::ServerCredentials> ServerCredentialsOf(Credentials::Source source);

// For one channel, as the files are now.
std::shared_ptr<grpc::ChannelCredentials> ChannelCredentialsOf(
    const Credentials::Material& material);

}  // namespace posthorn::rpc
