// The right labels of images: CSV files with the header `Image,Results`.
#pragma once

#include <string>
#include <unordered_map>

#include "lib/base/result.hpp"

namespace imgrec::load {

class Predictions {
 public:
  /// RFC 4180; more columns are ignored. `shown` is what an error calls the file. Errors: invalid "bad_predictions",
  /// with the line.
  static Result<Predictions> parse(const std::string& text, const std::string& shown);

  /// By the whole file name, or by what stands before its first dot, as the column Image has either. Empty: not known.
  std::string label_of(const std::string& name) const;
  std::size_t size() const { return labels_.size(); }

 private:
  std::unordered_map<std::string, std::string> labels_;
};

}  // namespace imgrec::load
