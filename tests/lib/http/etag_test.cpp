#include "lib/http/syntax/etag.hpp"

#include <gtest/gtest.h>

namespace imgrec::etag_test {
namespace {

TEST(Etag, MatchesAnyOfAList) {
  EXPECT_TRUE(etag_matches(R"("a")", R"("a")"));
  EXPECT_TRUE(etag_matches(R"("b", W/"a")", R"("a")"));
  EXPECT_TRUE(etag_matches(R"(W/"a")", R"(W/"a")"));
  EXPECT_TRUE(etag_matches("*", R"("a")"));
  EXPECT_FALSE(etag_matches(R"("b")", R"("a")"));
  EXPECT_FALSE(etag_matches("a", R"("a")"));
  EXPECT_FALSE(etag_matches("", R"("a")"));
  EXPECT_FALSE(etag_matches(",,", ""));
}

}  // namespace
}  // namespace imgrec::etag_test
