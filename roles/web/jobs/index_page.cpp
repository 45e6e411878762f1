#include "roles/web/jobs/index_page.hpp"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "lib/base/json_writer.hpp"
#include "lib/job/other_version.hpp"

namespace imgrec {
namespace {

constexpr std::uint64_t kTimeMax = (std::uint64_t{1} << 48U) - 1;  // as in a job's id
constexpr std::size_t kTimeDigits = 12;

std::string inverted(WallTime time) {
  const auto ms = static_cast<std::uint64_t>(std::max<Millis::rep>(0, time.time_since_epoch().count()));
  char digits[kTimeDigits + 1] = "";
  const auto end = std::to_chars(digits, digits + kTimeDigits, kTimeMax - std::min(ms, kTimeMax), 16).ptr;
  const std::string text(digits, end);
  return std::string(kTimeDigits - text.size(), '0') + text;
}

}  // namespace

std::string index_prefix(const OwnerId& owner) {
  return "sessions/" + owner.str() + "/";
}

ObjectKey index_key(const OwnerId& owner, WallTime latest, std::string_view nonce) {
  return ObjectKey(index_prefix(owner) + inverted(latest) + "-" + std::string(nonce) + ".json");
}

std::string index_position(const OwnerId& owner, WallTime time) {
  return index_prefix(owner) + inverted(time);
}

Result<WallTime> time_of_index_key(const ObjectKey& key) {
  const std::string_view text = std::string_view(key.str()).substr(key.str().rfind('/') + 1);
  std::uint64_t value = 0;
  const std::string_view digits = text.substr(0, kTimeDigits);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (text.size() <= kTimeDigits || text[kTimeDigits] != '-' || error != std::errc() ||
      end != digits.data() + kTimeDigits) {
    return fail(ErrorKind::invalid, "bad_index_key", "The key " + key.str() + " is none of a page of jobs.");
  }
  return WallTime(Millis(static_cast<Millis::rep>(kTimeMax - value)));
}

std::string to_json(const std::vector<IndexedJob>& page) {
  JsonWriter json(page.size() * 64);
  json.begin_object().member("v", 1).begin_list("jobs");
  for (const IndexedJob& job : page) {
    json.begin_object().member("job", job.job.str()).member("name", job.name).end_object();
  }
  return json.end_list().end_object().finish();
}

Result<std::vector<IndexedJob>> parse_index_page(std::string_view text) try {
  const auto bad = [] { return fail(ErrorKind::invalid, "bad_index_page", "This is no page of jobs."); };
  const auto document = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object() || !document.contains("v")) return bad();
  if (document["v"] != 1) return other_version("page of jobs");
  std::vector<IndexedJob> page;
  for (const auto& entry : document.at("jobs")) {
    auto job = parse_job_id(entry.at("job").get<std::string>());
    if (!job) return bad();
    page.push_back({.job = *std::move(job), .name = entry.at("name").get<std::string>()});
  }
  return page;
} catch (const std::exception& error) {
  return fail(ErrorKind::invalid, "bad_index_page", std::string("This is no page of jobs: ") + error.what());
}

}  // namespace imgrec
