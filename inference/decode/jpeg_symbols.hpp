// Inside jpeg_huffman*.cpp only: what the tables and those who look into them agree on.
#pragma once

#include <cstdint>

#include "inference/decode/jpeg_huffman.hpp"

namespace imgrec::decode {

inline constexpr unsigned kBlockSize = 64;
inline constexpr unsigned kEndOfBlock = 128;  // added to an advance
inline constexpr unsigned kSingle = 255;      // an advance that no block has room for, also not with the end of block
inline constexpr unsigned kBitsRefilled = 56, kBitsAfterDc = kBitsRefilled - HuffmanDecoder::kDcBits;
// What a look-up may use: the last value can reach beyond the bits that it sees.
inline constexpr unsigned kBeyond = 4, kUsedMax = HuffmanDecoder::kAcBits + kBeyond;
static_assert(kBitsRefilled % kUsedMax == 0);

// T.81, F.2.2.1: EXTEND.
constexpr std::int32_t extend(std::uint32_t bits, unsigned size) {
  const auto value = static_cast<std::int32_t>(bits);
  return size != 0 && bits < (1U << (size - 1)) ? value - static_cast<std::int32_t>((1U << size) - 1) : value;
}

constexpr unsigned run_of(unsigned symbol) {
  return symbol >> 4;
}
constexpr unsigned size_of(unsigned symbol) {
  return symbol & 15;
}
// Of the symbols without a value only "end of block" and "16 zeros" exist in sequential scans.
constexpr bool is_end_of_block(unsigned symbol) {
  return symbol == 0x00;
}
constexpr bool is_no_symbol(unsigned symbol) {
  return size_of(symbol) == 0 && symbol != 0x00 && symbol != 0xF0;
}

}  // namespace imgrec::decode
