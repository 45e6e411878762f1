#include "lib/job/signal.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "lib/base/json_writer.hpp"
#include "lib/job/other_version.hpp"

namespace imgrec {
namespace {

constexpr std::array<std::string_view, 5> kKinds = {"enqueued", "ready", "worked", "draining", "ended"};
constexpr std::uint64_t kImagesMax = 1'000'000'000;
constexpr std::uint64_t kSpanMax = 24ULL * 3'600'000;  // milliseconds
constexpr std::size_t kNameMax = 100;

std::optional<std::string> name_in(const nlohmann::json& document, const char* member) {
  const auto found = document.find(member);
  if (found == document.end() || !found->is_string()) return {};
  auto text = found->get<std::string>();
  if (text.empty() || text.size() > kNameMax) return {};
  return text;
}

// Absent is 0.
std::optional<std::uint64_t> count_in(const nlohmann::json& document, const char* member, std::uint64_t limit) {
  const auto found = document.find(member);
  if (found == document.end()) return 0;
  if (!found->is_number_unsigned() || found->get<std::uint64_t>() > limit) return {};
  return found->get<std::uint64_t>();
}

}  // namespace

std::string to_json(const Signal& signal) {
  JsonWriter json;
  json.begin_object().member("v", 1).member("kind", kKinds[static_cast<std::size_t>(signal.kind)]);
  json.member("sender", signal.sender).member("life", signal.life).member("sequence", signal.sequence);
  if (signal.images > 0) json.member("images", signal.images);
  if (signal.span > Millis(0)) json.member("span_ms", signal.span.count());
  if (signal.busy_share > 0) json.member("busy_share", signal.busy_share);
  if (signal.idle > Millis(0)) json.member("idle_ms", signal.idle.count());
  return json.end_object().finish();
}

Result<Signal> parse_signal(std::string_view json) {
  const auto bad = [] { return fail(ErrorKind::invalid, "bad_signal", "A signal to the controller cannot be read."); };
  const auto document = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return bad();
  if (const auto version = document.find("v"); version != document.end() && *version != 1) {
    return other_version("signal to the controller");
  }
  const auto kind_name = name_in(document, "kind");
  const auto kind = kind_name ? std::ranges::find(kKinds, *kind_name) : kKinds.end();
  const auto sender = name_in(document, "sender"), life = name_in(document, "life");
  const auto sequence = count_in(document, "sequence", ~0ULL);
  const auto images = count_in(document, "images", kImagesMax);
  const auto span = count_in(document, "span_ms", kSpanMax), idle = count_in(document, "idle_ms", kSpanMax);
  if (kind == kKinds.end() || !sender || !life || !sequence || *sequence == 0 || !images || !span || !idle)
    return bad();
  double share = 0;
  if (const auto found = document.find("busy_share"); found != document.end()) {
    if (!found->is_number()) return bad();
    share = found->get<double>();
    if (!(share >= 0 && share <= 1)) return bad();
  }
  return Signal{.kind = static_cast<SignalKind>(kind - kKinds.begin()),
                .sender = *sender,
                .life = *life,
                .sequence = *sequence,
                .images = *images,
                .span = Millis(*span),
                .busy_share = share,
                .idle = Millis(*idle)};
}

}  // namespace imgrec
