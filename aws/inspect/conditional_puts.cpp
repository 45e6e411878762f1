#include "aws/inspect/conditional_puts.hpp"

#include "aws/client/uri.hpp"

namespace imgrec::aws {
namespace {

constexpr const char* kNoVersion = "\"00000000000000000000000000000000\"";

}  // namespace

Result<ConditionalPuts> probe_conditional_puts(Session& session, const ExistingObject& object,
                                               const CallLimits& limits) {
  const auto endpoint = bucket_endpoint(session.endpoints(), object.bucket);
  if (!endpoint) return fail(endpoint.error());
  using Kind = ConditionalPuts::Kind;
  for (const auto& [header, value] : {std::pair("If-None-Match", "*"), std::pair("If-Match", kNoVersion)}) {
    CallRequest request;
    request.name = {"s3", "PutObject"};
    request.endpoint = *endpoint;
    request.method = "PUT";
    request.path = "/" + uri_encode(object.key.str(), Slash::keep);
    request.headers = {{"Content-Type", "application/octet-stream"}, {header, value}};
    request.headers.insert(request.headers.end(), object.headers.begin(), object.headers.end());
    request.body = object.bytes;
    const auto done = session.caller("s3").call(request, limits.deadline, limits.stop);
    if (done) return ConditionalPuts{.kind = Kind::ignored, .header = header};
    if (done.error().status == 501 || done.error().aws_code == "NotImplemented") {
      return ConditionalPuts{.kind = Kind::refused, .header = header};
    }
    if (done.error().status != 412) return fail(done.error().error);
  }
  return ConditionalPuts{};
}

}  // namespace imgrec::aws
