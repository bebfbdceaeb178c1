#pragma once

// The public services every process offers beside its own: health and reflection.

#include "grpc/health/v1/health.pb.h"
#include "grpc/reflection/v1alpha/reflection.pb.h"
#include "lib/rpc/method.h"

namespace posthorn::rpc::grpc_public {

namespace health = ::grpc::health::v1;
namespace reflection = ::grpc::reflection::v1alpha;

inline constexpr Method<health::HealthCheckRequest, health::HealthCheckResponse> kHealthCheck{
    "/grpc.health.v1.Health/Check"};
inline constexpr Method<health::HealthCheckRequest, health::HealthCheckResponse> kHealthWatch{
    "/grpc.health.v1.Health/Watch"};
inline constexpr Method<reflection::ServerReflectionRequest, reflection::ServerReflectionResponse>
    kReflectionInfo{"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"};

}  // namespace posthorn::rpc::grpc_public
