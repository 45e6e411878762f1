#include "lib/job/shutdown.hpp"

#include <nlohmann/json.hpp>
#include <optional>

#include "lib/base/clock.hpp"
#include "lib/base/json_writer.hpp"
#include "lib/job/job.hpp"
#include "lib/job/other_version.hpp"

namespace imgrec {
namespace {

// The members of a message of version 1, all of them text.
class MessageMembers {
 public:
  explicit MessageMembers(std::string_view json)
      : document_(nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false)) {
    if (!document_.is_object() || !document_.contains("v")) document_ = nullptr;
  }

  bool is_other_version() const {
    return document_.is_object() && document_["v"].is_number_integer() && document_["v"] != kJobVersion;
  }

  std::string text(const char* name) const {
    const auto found = document_.is_object() ? document_.find(name) : document_.end();
    return found != document_.end() && found->is_string() ? found->get<std::string>() : std::string();
  }

 private:
  nlohmann::json document_;
};

std::unexpected<Error> bad_shutdown(const char* what) {
  return fail(ErrorKind::invalid, "bad_shutdown_message", std::string("The message is no shutdown ") + what + ".");
}

}  // namespace

std::string to_json(const ShutdownRequest& request) {
  JsonWriter json;
  json.begin_object().member("v", kJobVersion).member("request", request.id);
  return json.member("requested_at", to_rfc3339(request.requested_at)).end_object().finish();
}

std::string to_json(const ShutdownConfirmation& confirmation) {
  JsonWriter json;
  json.begin_object().member("v", kJobVersion).member("request", confirmation.request);
  json.member("instance", confirmation.instance.str()).member("app_tier_id", confirmation.app_tier_id);
  return json.member("confirmed_at", to_rfc3339(confirmation.confirmed_at)).end_object().finish();
}

Result<ShutdownRequest> parse_shutdown_request(std::string_view json) {
  const MessageMembers members(json);
  if (members.is_other_version()) return other_version("request to stop");
  const auto at = parse_rfc3339(members.text("requested_at"));
  if (members.text("request").empty() || !at) return bad_shutdown("request");
  return ShutdownRequest{.id = members.text("request"), .requested_at = *at};
}

Result<ShutdownConfirmation> parse_shutdown_confirmation(std::string_view json) {
  const MessageMembers members(json);
  if (members.is_other_version()) return other_version("confirmation of a stop");
  const auto at = parse_rfc3339(members.text("confirmed_at"));
  if (members.text("request").empty() || members.text("instance").empty() || !at) return bad_shutdown("confirmation");
  return ShutdownConfirmation{.request = members.text("request"),
                              .instance = InstanceId(members.text("instance")),
                              .app_tier_id = members.text("app_tier_id"),
                              .confirmed_at = *at};
}

}  // namespace imgrec
