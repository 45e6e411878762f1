#include "cmd/cli/terminal.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "lib/base/text.hpp"

namespace imgrec {

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

std::string number_text(double number) {
  char text[40];
  std::snprintf(text, sizeof text, "%g", number);
  return text;
}
namespace {

std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

void ProgressLine::show(const std::string& text) {
  std::lock_guard lock(mutex_);
  if (!enabled_ || clock_.mono_now() < next_) return;
  next_ = clock_.mono_now() + Millis(100);
  shown_ = true;
  std::fprintf(stderr, "\r%s\x1b[K", text.c_str());  // ESC[K: clear to the end of the line
}

void ProgressLine::clear() {
  std::lock_guard lock(mutex_);
  if (shown_) std::fputs("\r\x1b[K", stderr);
  shown_ = false;
}

bool is_terminal(int fd) {
  return ::isatty(fd) == 1;
}

std::string readable_bytes(double bytes) {
  const char* unit = "B";
  for (const char* larger : {"KiB", "MiB", "GiB"}) {
    if (bytes < 1024) break;
    bytes /= 1024;
    unit = larger;
  }
  char text[32];
  std::snprintf(text, sizeof text, bytes < 10 && unit[1] != '\0' ? "%.1f %s" : "%.0f %s", bytes, unit);
  return text;
}

std::string padded(std::string_view text, std::size_t columns) {
  const std::size_t used = columns_of(text);
  return std::string(text) + std::string(used < columns ? columns - used : 0, ' ');
}

std::string as_columns(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns_of(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) line += i + 1 == row.size() ? row[i] : padded(row[i], widths[i] + 2);
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

bool ends_c1(char before, char c) {
  const auto last = static_cast<unsigned char>(c);
  return before == '\xC2' && last >= 0x80 && last < 0xA0;
}

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : to_valid_utf8(text)) {
    const bool is_c1 = !out.empty() && ends_c1(out.back(), c);
    if (is_c1) out.pop_back();
    out += is_c1 || static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  }
  return out;
}

}  // namespace imgrec
