#include "aws/adapters/notices.hpp"

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "lib/base/log.hpp"
#include "lib/base/outage_log.hpp"
#include "lib/base/text.hpp"

namespace imgrec::aws {
namespace {

constexpr Millis kInterval{5'000};  // "We recommend that you check for these interruption notices every 5 seconds."

using Notice = std::optional<std::string>;

// {"action": "terminate", "time": "2017-09-18T08:22:00Z"}
Notice spot_action(const std::string& text) {
  const auto document = nlohmann::json::parse(text, nullptr, false);
  if (!document.is_object()) return std::nullopt;
  const auto action = document.find("action");
  return action != document.end() && action->is_string() ? Notice(action->get<std::string>()) : std::nullopt;
}

// {"noticeTime": "2020-10-27T08:22:00Z"}
Notice rebalance(const std::string& text) {
  const auto document = nlohmann::json::parse(text, nullptr, false);
  return document.is_object() && document.contains("noticeTime") ? Notice("rebalance") : std::nullopt;
}

// "InService", "Terminated", "Warmed:Stopped", …
Notice target_state(const std::string& text) {
  return trim(text) == "Terminated" ? Notice("terminated by its Auto Scaling group") : std::nullopt;
}

struct Source {
  const char* path;
  Notice (*read)(const std::string& text);
};

constexpr Source kSources[] = {{"/latest/meta-data/spot/instance-action", spot_action},
                               {"/latest/meta-data/events/recommendations/rebalance", rebalance},
                               {"/latest/meta-data/autoscaling/target-lifecycle-state", target_state}};

}  // namespace

void watch_for_notices(Imds& imds, Clock& clock, const std::function<void(const std::string& action)>& on_notice,
                       std::stop_token stop) {
  OutageLog outage("watching for a notice that this machine is taken away", clock);
  do {
    for (const Source& source : kSources) {
      const auto got = imds.get(source.path, stop);
      if (got) {
        if (const Notice notice = source.read(*got)) return on_notice(*notice);
      }
      if (stop.stop_requested()) return;
      // "If there is no notice, you receive an HTTP 404 error."
      if (!got && got.error().kind != ErrorKind::not_found) {
        outage.failed(got.error());
        break;
      }
      outage.succeeded();
    }
  } while (clock.sleep_for(kInterval, stop));
}

}  // namespace imgrec::aws
