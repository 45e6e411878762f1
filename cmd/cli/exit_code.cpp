#include "cmd/cli/exit_code.hpp"

#include <cstdio>
#include <string>

#include "cmd/cli/terminal.hpp"

namespace imgrec {

void complain(std::string_view message) {
  std::string line = "imgrec: ";
  for (const char c : message) {
    // A file's or a server's words may hold terminal escapes; line ends of multi-line advice stay.
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7F) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      line += escape;
    } else if (ends_c1(line.back(), c)) {
      line.back() = '?';
    } else {
      line += c;
    }
  }
  line += '\n';
  std::fflush(stdout);  // where both go to one file, they stay in order
  std::fwrite(line.data(), 1, line.size(), stderr);
}

int report(const Error& error) {
  complain(error.message);
  switch (error.kind) {
    case ErrorKind::invalid:
    case ErrorKind::denied:
    case ErrorKind::not_found: return kExitUsage;
    case ErrorKind::transient:
    case ErrorKind::throttled: return kExitUnreachable;
    case ErrorKind::cancelled: return kExitInterrupted;
    case ErrorKind::bug: return kExitItemFailed;
  }
  return kExitItemFailed;
}

}  // namespace imgrec
