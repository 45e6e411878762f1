#include "aws/adapters/md5.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "lib/base/digest.hpp"

namespace imgrec::aws {
namespace {

constexpr std::size_t kLanes = 16;
constexpr std::size_t kBlockBytes = 64;
constexpr std::size_t kBlockWords = 16;
constexpr std::size_t kLengthBytes = 8;

// A word of each lane. Aligned as its words are: a stack need not have room for more.
using Words = std::uint32_t __attribute__((vector_size(4 * kLanes), aligned(4)));

// "T[i] = the integer part of 4294967296 times abs(sin(i)), where i is in radians"
constexpr std::array<std::uint32_t, 64> kSines = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};

struct State {
  Words a, b, c, d;
};

// A block of each lane, its words beside those of the others.
using Block = std::uint32_t[kBlockWords][kLanes];

#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define IMGREC_MD5_CLONES \
  __attribute__((target_clones("avx512f", "avx2", "default")))  // chosen when the program starts
#else
#define IMGREC_MD5_CLONES
#endif

// RFC 1321, section 3.4, step 4: one block of every lane.
IMGREC_MD5_CLONES void add_block(State& state, const Block& block) {
  Words a = state.a, b = state.b, c = state.c, d = state.d;
  constexpr int kShifts[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
#ifndef __clang__
#pragma GCC unroll 64
#endif
  for (std::size_t i = 0; i < 64; ++i) {
    const std::size_t round = i / 16;
    Words mixed;
    std::size_t word = i;
    if (round == 0) {
      mixed = d ^ (b & (c ^ d));
    } else if (round == 1) {
      mixed = c ^ (d & (b ^ c));
      word = 5 * i + 1;
    } else if (round == 2) {
      mixed = b ^ c ^ d;
      word = 3 * i + 5;
    } else {
      mixed = c ^ (b | ~d);
      word = 7 * i;
    }
    Words input;
    std::memcpy(&input, block[word % kBlockWords], sizeof input);
    const Words sum = a + mixed + input + kSines[i];
    const int shift = kShifts[round][i % 4];
    a = d;
    d = c;
    c = b;
    b += (sum << shift) | (sum >> (32 - shift));
  }
  state.a += a;
  state.b += b;
  state.c += c;
  state.d += d;
}

// One text, block by block, the last one or two padded: "a single 1 bit, then 0 bits", then the length in bits.
class Lane {
 public:
  explicit Lane(ByteView text) : text_(text) {
    const std::size_t rest = text.size() % kBlockBytes;
    whole_ = text.size() / kBlockBytes;
    blocks_ = whole_ + (rest + 1 + kLengthBytes > kBlockBytes ? 2 : 1);
    std::copy_n(text.end() - static_cast<std::ptrdiff_t>(rest), rest, end_.begin());
    end_[rest] = '\x80';
    const std::uint64_t bits = 8 * static_cast<std::uint64_t>(text.size());
    char* length = end_.data() + (blocks_ - whole_) * kBlockBytes - kLengthBytes;
    for (std::size_t i = 0; i < kLengthBytes; ++i) length[i] = static_cast<char>(bits >> (8 * i));
  }
  std::size_t blocks() const { return blocks_; }
  const char* block(std::size_t index) const {
    return index < whole_ ? text_.data() + index * kBlockBytes : end_.data() + (index - whole_) * kBlockBytes;
  }

 private:
  ByteView text_;
  std::size_t whole_ = 0, blocks_ = 0;
  std::array<char, 2 * kBlockBytes> end_{};
};

std::uint32_t little_endian(const char* bytes) {
  static_assert(std::endian::native == std::endian::little, "words are taken as they lie in memory");
  std::uint32_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

std::string digest_of(const State& state, std::size_t lane) {
  std::array<char, 16> bytes;
  std::size_t at = 0;
  for (const Words* words : {&state.a, &state.b, &state.c, &state.d}) {
    for (int i = 0; i < 4; ++i) bytes[at++] = static_cast<char>((*words)[lane] >> (8 * i));
  }
  return hex_of({bytes.data(), bytes.size()});
}

// Up to kLanes texts.
void hash_together(std::span<const ByteView> texts, std::vector<std::string>& out) {
  const std::vector<Lane> lanes(texts.begin(), texts.end());
  const std::size_t first = out.size();
  out.resize(first + lanes.size());
  std::size_t blocks = 0;
  for (const Lane& lane : lanes) blocks = std::max(blocks, lane.blocks());
  State state{
      .a = Words{} + 0x67452301U, .b = Words{} + 0xefcdab89U, .c = Words{} + 0x98badcfeU, .d = Words{} + 0x10325476U};
  Block block{};
  for (std::size_t index = 0; index < blocks; ++index) {
    for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
      if (index >= lanes[lane].blocks()) continue;  // its digest is taken: what comes after changes nothing
      const char* bytes = lanes[lane].block(index);
      for (std::size_t word = 0; word < kBlockWords; ++word) block[word][lane] = little_endian(bytes + 4 * word);
    }
    add_block(state, block);
    for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
      if (index + 1 == lanes[lane].blocks()) out[first + lane] = digest_of(state, lane);
    }
  }
}

}  // namespace

std::vector<std::string> md5_hex_each(std::span<const ByteView> texts) {
  std::vector<std::string> out;
  out.reserve(texts.size());
  for (std::size_t at = 0; at < texts.size(); at += kLanes) {
    hash_together(texts.subspan(at, std::min(kLanes, texts.size() - at)), out);
  }
  return out;
}

}  // namespace imgrec::aws
