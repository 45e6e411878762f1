#include "aws/inspect/account.hpp"

#include "aws/client/wire/xml.hpp"

namespace imgrec::aws {

Result<Identity> caller_identity(Session& session, const CallLimits& limits) {
  const auto answer = session.query({"sts", "GetCallerIdentity"}, {}, limits.deadline, limits.stop);
  if (!answer) return fail(answer.error().error);
  const auto document = parse_xml(answer->body);
  const XmlElement* result = document ? document->at({"GetCallerIdentityResult"}) : nullptr;
  if (result == nullptr || result->value("Arn").empty()) {
    return fail(ErrorKind::transient, "bad_response", "STS GetCallerIdentity failed: the answer names nobody.");
  }
  return Identity{.arn = result->value("Arn"), .clock_skew = session.caller("sts").clock_skew()};
}

Result<ServiceAnswer> reach_service(Session& session, const std::string& service, Millis timeout) {
  const auto endpoint = endpoint_for(session.endpoints(), service);
  if (!endpoint) return fail(endpoint.error());
  HttpClientRequest request;
  request.url = endpoint->scheme + "://" + endpoint->authority + "/";
  request.timeout = request.connect_timeout = timeout;
  const MonoTime begun = session.clock().mono_now();
  const auto answer = session.http().send(request, {});
  if (!answer) return fail(answer.error());
  return ServiceAnswer{.url = request.url,
                       .took = std::chrono::duration_cast<Millis>(session.clock().mono_now() - begun)};
}

}  // namespace imgrec::aws
