#pragma once

// Credentials in gRPC's terms; for the .cc files of lib/rpc only.

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "lib/rpc/credentials.h"

namespace posthorn::rpc {

// For a server that demands certificates. Each new connection gets what the files say then. The
// server's gRPC object must keep `credentials`' owner alive until it is gone.
std::shared_ptr<grpc::ServerCredentials> ServerCredentialsOf(
    std::shared_ptr<Credentials> credentials);

// For one channel, as the files are now.
std::shared_ptr<grpc::ChannelCredentials> ChannelCredentialsOf(
    const Credentials::Material& material);

}  // namespace posthorn::rpc
