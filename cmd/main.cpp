#include <sys/prctl.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include "cmd/imgrec.hpp"

int main(int argc, char** argv) {
  ::prctl(PR_SET_NAME, "imgrec");  // a worker is started as /proc/self/exe, and `ps` would call it "exe"
  imgrec::Environment environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto equals = text.find('=');
    if (equals != text.npos) environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return imgrec::run_imgrec(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc), environment);
}
