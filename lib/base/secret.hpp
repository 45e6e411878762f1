// A value that must not be printed.
#pragma once

#include <ostream>
#include <string>
#include <utility>

namespace imgrec {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  const std::string& reveal() const { return value_; }
  bool empty() const { return value_.empty(); }
  /// "**40**" for 40 characters; empty for none.
  std::string masked() const { return value_.empty() ? "" : "**" + std::to_string(value_.size()) + "**"; }

 private:
  std::string value_;
};

inline std::ostream& operator<<(std::ostream& out, const Secret& secret) {
  return out << secret.masked();
}

}  // namespace imgrec
