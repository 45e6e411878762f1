#include "aws/adapters/spot_notice.hpp"

#include <nlohmann/json.hpp>

#include "lib/base/log.hpp"
#include "lib/base/outage_log.hpp"
#include "lib/base/text.hpp"

namespace imgrec::aws {
namespace {

constexpr Millis kInterval{5'000};  // "We recommend that you check for these interruption notices every 5 seconds."
constexpr const char* kPath = "/latest/meta-data/spot/instance-action";

}  // namespace

void watch_spot_notice(Imds& imds, Clock& clock, const std::function<void(const std::string& action)>& on_notice,
                       std::stop_token stop) {
  OutageLog outage("watching for a Spot notice", clock);
  do {
    const auto got = imds.get(kPath, stop);
    if (got) {
      // {"action": "terminate", "time": "2017-09-18T08:22:00Z"}
      const auto document = nlohmann::json::parse(*got, nullptr, false);
      const auto action = document.is_object() ? document.find("action") : document.end();
      if (document.is_object() && action != document.end() && action->is_string()) {
        on_notice(action->get<std::string>());
        return;
      }
    }
    if (stop.stop_requested()) return;
    // "If there is no notice, you receive an HTTP 404 error."
    if (got || got.error().kind == ErrorKind::not_found) {
      outage.succeeded();
    } else {
      outage.failed(got.error());
    }
  } while (clock.sleep_for(kInterval, stop));
}

}  // namespace imgrec::aws
