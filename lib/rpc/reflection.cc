#include "lib/rpc/reflection.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <set>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/rpc/methods/grpc.h"

namespace posthorn::rpc {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;
using grpc_public::reflection::ServerReflectionRequest;
using grpc_public::reflection::ServerReflectionResponse;
using Services = std::function<std::vector<std::string>()>;

// The file and everything it imports, each once.
void AddFiles(const FileDescriptor& file, std::set<const FileDescriptor*>& seen,
              ServerReflectionResponse& response) {
  if (!seen.insert(&file).second) return;
  google::protobuf::FileDescriptorProto proto;
  file.CopyTo(&proto);
  response.mutable_file_descriptor_response()->add_file_descriptor_proto(proto.SerializeAsString());
  for (int i = 0; i < file.dependency_count(); ++i) {
    AddFiles(*file.dependency(i), seen, response);
  }
}

void AnswerFile(const FileDescriptor* file, std::string_view what,
                ServerReflectionResponse& response) {
  if (file != nullptr) {
    std::set<const FileDescriptor*> seen;
    return AddFiles(*file, seen, response);
  }
  auto* const error = response.mutable_error_response();
  error->set_error_code(static_cast<int>(absl::StatusCode::kNotFound));
  error->set_error_message(base::StrCat("not found: ", what));
}

void AnswerExtensions(const std::string& type, ServerReflectionResponse& response) {
  const DescriptorPool* const pool = DescriptorPool::generated_pool();
  const auto* const message = pool->FindMessageTypeByName(type);
  if (message == nullptr) return AnswerFile(nullptr, type, response);
  auto* const answer = response.mutable_all_extension_numbers_response();
  answer->set_base_type_name(type);
  std::vector<const google::protobuf::FieldDescriptor*> extensions;
  pool->FindAllExtensions(message, &extensions);
  for (const auto* const extension : extensions) answer->add_extension_number(extension->number());
}

const FileDescriptor* FileOfExtension(const std::string& type, int number) {
  const DescriptorPool* const pool = DescriptorPool::generated_pool();
  const auto* const message = pool->FindMessageTypeByName(type);
  if (message == nullptr) return nullptr;
  const auto* const extension = pool->FindExtensionByNumber(message, number);
  return extension == nullptr ? nullptr : extension->file();
}

ServerReflectionResponse AnswerOne(const ServerReflectionRequest& request,
                                   const Services& services) {
  const DescriptorPool* const pool = DescriptorPool::generated_pool();
  ServerReflectionResponse response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case ServerReflectionRequest::kFileByFilename:
      AnswerFile(pool->FindFileByName(request.file_by_filename()), request.file_by_filename(),
                 response);
      break;
    case ServerReflectionRequest::kFileContainingSymbol:
      AnswerFile(pool->FindFileContainingSymbol(request.file_containing_symbol()),
                 request.file_containing_symbol(), response);
      break;
    case ServerReflectionRequest::kFileContainingExtension: {
      const auto& asked = request.file_containing_extension();
      AnswerFile(FileOfExtension(asked.containing_type(), asked.extension_number()),
                 asked.containing_type(), response);
      break;
    }
    case ServerReflectionRequest::kAllExtensionNumbersOfType:
      AnswerExtensions(request.all_extension_numbers_of_type(), response);
      break;
    case ServerReflectionRequest::kListServices:
      for (const std::string& name : services()) {
        response.mutable_list_services_response()->add_service()->set_name(name);
      }
      break;
    case ServerReflectionRequest::MESSAGE_REQUEST_NOT_SET: {
      auto* const error = response.mutable_error_response();
      error->set_error_code(static_cast<int>(absl::StatusCode::kInvalidArgument));
      error->set_error_message("no question");
    }
  }
  return response;
}

net::Task<absl::Status> Info(Services services, ServerCall& call) {
  for (;;) {
    ServerReflectionRequest request;
    absl::StatusOr<bool> more = co_await call.Read(request);
    if (!more.ok()) co_return more.status();
    if (!*more) co_return absl::OkStatus();
    const ServerReflectionResponse response = AnswerOne(request, services);
    CO_RETURN_IF_ERROR(co_await call.Write(response));
  }
}

}  // namespace

void RegisterReflection(Server& server, Services services) {
  server.HandleStream<ServerReflectionRequest, ServerReflectionResponse>(
      grpc_public::kReflectionInfo, {},
      [services = std::move(services)](ServerCall& call) { return Info(services, call); });
}

}  // namespace posthorn::rpc
