// A small number for each text of a few different ones.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace imgrec::load {

class Names {
 public:
  /// The text's index in `all`, where it is appended when it is new. The first entry stands for "none"; once there are
  /// kMax, all new ones share the last.
  std::uint32_t index_of(std::string_view text, std::vector<std::string>& all) {
    if (const auto found = known_.find(std::string(text)); found != known_.end()) return found->second;
    if (all.size() == kMax) return kMax - 1;
    all.emplace_back(all.size() + 1 == kMax ? "others" : text);
    const auto index = static_cast<std::uint32_t>(all.size() - 1);
    known_.emplace(text, index);
    return index;
  }

 private:
  static constexpr std::uint32_t kMax = 65'535;
  std::unordered_map<std::string, std::uint32_t> known_;
};

}  // namespace imgrec::load
