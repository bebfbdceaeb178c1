#pragma once

namespace posthorn::process {

// What gRPC has to say goes to our log, as "rpc.grpc". Its errors are warnings here: calls report
// their own failures. Call before gRPC is used.
void SetUpGrpcLog();

}  // namespace posthorn::process
