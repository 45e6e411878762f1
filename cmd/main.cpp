#include <cstdio>

int main() {
  std::puts("imgrec 0.1.0");
  return 0;
}
