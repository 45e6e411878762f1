#include <sys/prctl.h>

#include <string>
#include <vector>

#include "cmd/imgrec.hpp"

int main(int argc, char** argv) {
  ::prctl(PR_SET_NAME, "imgrec");  // a worker is started as /proc/self/exe, and `ps` would call it "exe"
  return imgrec::run_imgrec(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc),
                            imgrec::process_environment());
}
