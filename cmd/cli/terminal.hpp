// What people see: text on standard output, and progress on standard error where that is a terminal.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/clock.hpp"

namespace imgrec {

/// One line that is written over again and again, at most ten times a second. Thread-safe.
class ProgressLine {
 public:
  ProgressLine(bool enabled, Clock& clock) : enabled_(enabled), clock_(clock) {}
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  void show(const std::string& text);
  void clear();

 private:
  std::mutex mutex_;
  const bool enabled_;
  Clock& clock_;
  MonoTime next_{};
  bool shown_ = false;
};

bool is_terminal(int fd);

/// On standard output, as it is.
void print(std::string_view text);

/// "0.25", "1e+06"
std::string number_text(double number);

/// "12.3 MiB"
std::string readable_bytes(double bytes);

/// Columns as wide as their widest cell, two spaces between; the last column is not padded.
std::string as_columns(const std::vector<std::vector<std::string>>& rows);

/// The text padded with spaces to that many columns (UTF-8 code points).
std::string padded(std::string_view text, std::size_t columns);

/// Returns true when these two bytes of UTF-8 are one of U+0080 to U+009F, which terminals obey as they obey escapes.
bool ends_c1(char before, char c);

/// Control characters and bytes that are no UTF-8 made harmless: file names and labels are shown on a terminal.
std::string printable(std::string_view text);

}  // namespace imgrec
