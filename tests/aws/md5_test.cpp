#include "aws/adapters/md5.hpp"

#include <gmock/gmock.h>
#include <openssl/evp.h>

#include "lib/base/digest.hpp"

namespace imgrec::aws {
namespace {

std::string openssl_md5_hex(ByteView bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_md5(), nullptr) != 1) return "no MD5 here";
  return hex_of({reinterpret_cast<const char*>(digest.data()), size});
}

// RFC 1321, appendix A.5.
TEST(Md5, OfTheExamples) {
  const std::vector<ByteView> texts = {
      "",
      "a",
      "abc",
      "message digest",
      "abcdefghijklmnopqrstuvwxyz",
      "12345678901234567890123456789012345678901234567890123456789012345678901234567890"};
  EXPECT_THAT(md5_hex_each(texts),
              testing::ElementsAre("d41d8cd98f00b204e9800998ecf8427e", "0cc175b9c0f1b6a831c399e269772661",
                                   "900150983cd24fb0d6963f7d28e17f72", "f96b697d7cb7938d525a2f31aaf161d0",
                                   "c3fcd3d76192e4007dfb496cca67e13b", "57edf4a22be3c955ac49da2e2107b67a"));
  EXPECT_TRUE(md5_hex_each({}).empty());
}

// Every length about the ends of blocks, beside texts of other lengths, against OpenSSL's.
TEST(Md5, IsThatOfOpenSsl) {
  std::vector<std::string> texts;
  std::uint32_t state = 1;
  for (std::size_t length = 0; length < 200; ++length) {
    std::string text(length % 7 == 0 ? 3 * length : length, '\0');
    for (char& c : text) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
    texts.push_back(std::move(text));
  }
  texts.insert(texts.begin() + 5, std::string(kMiB, '\xFF'));
  for (std::size_t count = 1; count <= texts.size(); count += 1 + count / 3) {
    const std::vector<ByteView> some(texts.begin(), texts.begin() + static_cast<std::ptrdiff_t>(count));
    const auto digests = md5_hex_each(some);
    ASSERT_EQ(digests.size(), count);
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(digests[i], openssl_md5_hex(texts[i])) << i << " of " << count;
  }
}

}  // namespace
}  // namespace imgrec::aws
