// What came of a simulation.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace imgrec::simulate {

/// Waiting times in buckets that are 1 % wide, so that a million of them take little memory and outcomes can be added.
class WaitHistogram {
 public:
  void add(double wait_s, std::uint64_t images);
  void add(const WaitHistogram& other);
  void clear() { *this = {}; }

  std::uint64_t images() const { return images_; }
  double max() const { return max_s_; }
  /// The wait that this share (0 to 1) of the images did not exceed, to 1 %; 0 without images.
  double quantile(double share) const;

 private:
  static constexpr int kBuckets = 2'100;  // 1 ms to two weeks
  std::array<std::uint64_t, kBuckets> counts_{};
  std::uint64_t images_ = 0;
  double max_s_ = 0;
};

struct Outcome {
  std::uint64_t images = 0;  // that arrived
  std::uint64_t answered = 0;
  std::uint64_t within_wanted_wait = 0;
  std::uint64_t lost = 0;  // given up after too many attempts
  std::uint64_t redelivered = 0;
  WaitHistogram wait{};        // from arrival to answer; of those not answered, so far
  double machine_seconds = 0;  // billed
  double cost_usd = 0;         // machines and requests
  double floor_usd = 0;
  int machines_max = 0;
  int launches = 0;
  int over_max = 0;           // machines above the maximum, at worst
  int orphans = 0;            // machines at the end that the last look did not want
  int direction_changes = 0;  // from launching to ending and back
  std::uint64_t looks = 0;
  double duration_s = 0;
};

/// The mean of what several seeds cost, the sum of what they answered, the worst of what must not be.
struct Summary {
  std::string policy{}, scenario{}, workers{};
  bool is_peer = false;
  int seeds = 0;
  int images_per_job = 1;
  int machines_allowed = 0;
  Outcome all{};  // images, waits, lost, orphans: summed; cost, floor, seconds, launches: summed too (divide by seeds)

  void add(const Outcome& one);
  double cost_usd() const { return all.cost_usd / seeds; }
  double floor_usd() const { return all.floor_usd / seeds; }
  double within() const;
};

/// One line of JSON, without its end. The names of its members are a contract.
std::string to_json(const Summary& summary);

/// A table for people.
std::vector<std::vector<std::string>> to_table(const std::vector<Summary>& summaries);

}  // namespace imgrec::simulate
