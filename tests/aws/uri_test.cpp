#include "aws/client/uri.hpp"

#include <gtest/gtest.h>

namespace imgrec::aws::uri_test {
namespace {

TEST(Uri, EncodesEveryByteButTheUnreserved) {
  EXPECT_EQ(uri_encode("AZaz09-._~", Slash::encode), "AZaz09-._~");
  EXPECT_EQ(uri_encode("a b/c+d%é", Slash::encode), "a%20b%2Fc%2Bd%25%C3%A9");
  EXPECT_EQ(uri_encode("a b/c", Slash::keep), "a%20b/c");
}

TEST(Uri, DecodesWhatItEncoded) {
  std::string every_byte;
  for (int i = 0; i < 256; ++i) every_byte += static_cast<char>(i);
  EXPECT_EQ(uri_decode(uri_encode(every_byte, Slash::encode)), every_byte);
  EXPECT_EQ(uri_decode("100%"), "100%");
  EXPECT_EQ(uri_decode("%zz%4"), "%zz%4");
  EXPECT_EQ(uri_decode("a+b"), "a+b");
}

TEST(Uri, QueryStrings) {
  EXPECT_EQ(to_query_string({{"b", "1 2"}, {"a", ""}}), "b=1%202&a=");
  EXPECT_EQ(parse_query_string("b=1%202&a&&c=d=e"), (QueryPairs{{"b", "1 2"}, {"a", ""}, {"c", "d=e"}}));
  EXPECT_TRUE(parse_query_string("").empty());
}

TEST(Uri, Endpoints) {
  const auto parts = parse_endpoint("HTTPS://Example.com:8443/base");
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->scheme, "https");
  EXPECT_EQ(parts->authority, "Example.com:8443");
  EXPECT_EQ(parts->host, "Example.com");
  EXPECT_EQ(parts->path, "/base");
  EXPECT_EQ(parse_endpoint("http://[fd00:ec2::254]")->host, "fd00:ec2::254");
  EXPECT_EQ(parse_endpoint("http://[fd00:ec2::254]:1338")->authority, "[fd00:ec2::254]:1338");
  EXPECT_EQ(parse_endpoint("https://h:443")->authority, "h");
  EXPECT_EQ(parse_endpoint("http://h:443")->authority, "h:443");
}

TEST(Uri, RefusesWhatCouldNameAnotherHost) {
  for (const char* url : {"", "example.com", "ftp://h", "https://", "https://user@h", "https://h:0", "https://h:x",
                          "https://h:99999", "https://h?x", "https://h/a?x=1", "https://h#x", "https://h/\r\nX: y",
                          "https://h o", "http://[::1", "http://[::1]x", "https://h\\@evil", "https://h:80:90"}) {
    const auto parts = parse_endpoint(url);
    ASSERT_FALSE(parts) << url;
    EXPECT_EQ(parts.error().code, "bad_endpoint");
  }
}

}  // namespace
}  // namespace imgrec::aws::uri_test
