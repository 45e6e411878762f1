#include "lib/http/syntax/gzip.hpp"

#include <gtest/gtest.h>
#include <zlib.h>

#include "lib/base/units.hpp"

namespace imgrec::gzip_test {
namespace {

std::string gzip(const std::string& text) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string packed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

std::string code_of(const Result<std::string>& result) {
  return result ? "unpacked" : result.error().code;
}

TEST(Gzip, Unpacks) {
  for (const std::string& text : {std::string(), std::string("hello"), std::string(100'000, 'x')}) {
    EXPECT_EQ(gunzip(gzip(text), kMiB), text);
    EXPECT_EQ(gunzipped_size(gzip(text)), text.size());
  }
}

TEST(Gzip, UnpacksNoMoreThanIsAllowed) {
  const std::string bomb = gzip(std::string(10 * kMiB, '\0'));
  EXPECT_LT(bomb.size(), 20'000U);
  EXPECT_EQ(code_of(gunzip(bomb, 10 * kMiB)), "unpacked");
  EXPECT_EQ(code_of(gunzip(bomb, 10 * kMiB - 1)), "body_too_large");
}

TEST(Gzip, ASizeThatLiesIsDamage) {
  std::string small = gzip(std::string(kMiB, '\0')), large = small;
  small[small.size() - 2] = '\0';
  EXPECT_EQ(code_of(gunzip(small, kMiB)), "bad_gzip");
  large[large.size() - 2] = '\x11';
  EXPECT_EQ(code_of(gunzip(large, 2 * kMiB)), "bad_gzip");
}

TEST(Gzip, DamageIsAnError) {
  const std::string packed = gzip("a text that is long enough to be cut off somewhere");
  for (std::size_t length = 0; length < packed.size(); ++length) {
    EXPECT_NE(code_of(gunzip(packed.substr(0, length), kMiB)), "unpacked") << length;
  }
  EXPECT_EQ(code_of(gunzip("no gzip", kMiB)), "bad_gzip");
  EXPECT_EQ(code_of(gunzip(packed + packed, kMiB)), "bad_gzip");
  std::string changed = packed;
  changed[changed.size() - 6] ^= 1;  // the checksum
  EXPECT_EQ(code_of(gunzip(changed, kMiB)), "bad_gzip");
}

}  // namespace
}  // namespace imgrec::gzip_test
