// The server when memory is refused to it: an exception wherever a test wants one. A program of its own, as it replaces
// the allocator.
#include <cstdlib>
#include <new>

#include "lib/http/server/session.hpp"
#include "tests/lib/http/server_tests.hpp"

namespace {

std::atomic<bool> refuse_sessions = false;
std::atomic<int> refused = 0;

/// A session and the counts of its shared pointer.
bool is_session(std::size_t bytes) {
  return bytes >= sizeof(imgrec::http::Session) && bytes <= sizeof(imgrec::http::Session) + 32;
}

}  // namespace

void* operator new(std::size_t bytes) {
  if (is_session(bytes) && refuse_sessions) {
    ++refused;
    throw std::bad_alloc();
  }
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace imgrec::server_allocation_test {
namespace {

TEST(ServerAllocation, AnExceptionWhileAcceptingEndsThatConnectionAlone) {
  Running server(echo);
  refuse_sessions = true;
  for (int i = 0; i < 3; ++i) {
    RawClient refused_client(server.port());
    EXPECT_TRUE(refused_client.closed_within(Millis(10'000)));
  }
  refuse_sessions = false;
  EXPECT_GE(refused, 3);
  RawClient client(server.port());
  ASSERT_TRUE(client.send(post("x")));
  EXPECT_EQ(body_of(client.read_response()), "POST / x");
}

}  // namespace
}  // namespace imgrec::server_allocation_test
