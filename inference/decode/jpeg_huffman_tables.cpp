// The tables of jpeg_huffman.hpp, from the codes that a file defines.
#include <algorithm>

#include "inference/decode/jpeg_symbols.hpp"

namespace imgrec::decode {

// The symbol with which some bits begin.
struct HuffmanDecoder::Single {
  std::uint8_t code = 0, symbol = 0;  // code: its length; 0: none
  unsigned length() const { return code + size_of(symbol); }
};

bool HuffmanDecoder::Canonical::init(const HuffmanSpec& spec) {
  std::uint32_t code = 0;
  std::int32_t index = 0;
  for (unsigned length = 1; length <= 16; ++length) {
    offset[length] = index - static_cast<std::int32_t>(code);
    code += spec.counts[length];
    index += spec.counts[length];
    if (index > 256 || code > (1U << length)) return false;
    limit[length] = static_cast<std::int32_t>(code << (16 - length));
    code <<= 1;
  }
  symbols = spec.symbols;
  return true;
}

// limit[] never falls, so the lengths that are too short are counted, without a branch that depends on them.
HuffmanDecoder::Code HuffmanDecoder::Canonical::find(std::uint32_t bits, unsigned shortest) const {
  const auto first = static_cast<std::int32_t>(bits);
  unsigned length = shortest;
  for (unsigned i = shortest; i <= 16; ++i) length += first >= limit.data()[i] ? 1 : 0;
  if (length > 16) return {};
  const std::int32_t index = offset[length] + static_cast<std::int32_t>(bits >> (16 - length));
  return {length, symbols[static_cast<std::uint8_t>(index)]};
}

bool HuffmanDecoder::DcTable::init(const HuffmanSpec& spec) {
  if (!canonical.init(spec)) return false;
  differences.fill({});
  Difference* to = differences.data();
  std::size_t index = 0;
  for (unsigned code = 1; code <= kDcBits; ++code) {
    for (unsigned i = 0; i < spec.counts[code]; ++i, to += 1U << (kDcBits - code)) {
      const unsigned size = spec.symbols[index++], length = code + size;
      if (length > kDcBits) continue;
      const std::uint32_t count = 1U << (kDcBits - length);
      for (std::uint32_t value = 0; value < 1U << size; ++value) {
        const auto difference = static_cast<std::int16_t>(extend(value, size));
        std::fill_n(to + count * value, count, Difference{static_cast<std::uint8_t>(length), difference});
      }
    }
  }
  return true;
}

bool HuffmanDecoder::AcTable::init(const HuffmanSpec& spec) {
  if (!canonical.init(spec)) return false;
  pairs.fill(Pair({.advance = kSingle}));
  std::array<Single, 1U << kAcBits> singles{};
  std::uint32_t at = 0;
  std::size_t index = 0;
  for (unsigned code = 1; code <= kAcBits; ++code) {
    for (unsigned i = 0; i < spec.counts[code]; ++i, at += 1U << (kAcBits - code)) {
      const Single single{static_cast<std::uint8_t>(code), spec.symbols[index++]};
      std::fill_n(singles.begin() + at, 1U << (kAcBits - code), single);
    }
  }
  for (at = 0; at < singles.size() && singles[at].code != 0;) {
    const Single first = singles[at];
    const std::uint32_t count = 1U << (kAcBits - first.code);
    fill_pairs(first, singles.data(), {pairs.data() + at, count});
    at += count;
  }
  fill_runs(spec);
  return true;
}

// to: of all bits that begin with `first`.
void HuffmanDecoder::AcTable::fill_pairs(const Single& first, const Single* singles, std::span<Pair> to) {
  const unsigned used = first.length(), size = size_of(first.symbol), run = run_of(first.symbol);
  Fields alone{.length = used, .advance = run + 1, .at1 = run, .at2 = run, .before2 = first.code, .size2 = size};
  if (is_no_symbol(first.symbol) || used > kUsedMax)
    alone = {.advance = kSingle, .at1 = first.code, .at2 = first.symbol};
  else if (is_end_of_block(first.symbol))
    alone.advance = kEndOfBlock;
  std::fill(to.begin(), to.end(), Pair(alone));
  if (used >= kAcBits || alone.advance >= kEndOfBlock) return;
  const unsigned left = kAcBits - used;  // bits that can be seen behind the first coefficient
  for (std::uint32_t rest = 0; rest < 1U << left; ++rest) {
    const Single& next = singles[rest << used];
    if (next.code == 0 || next.code > left) continue;
    Fields both = alone;
    both.length = used + next.length();
    if (is_end_of_block(next.symbol)) {
      both.advance += kEndOfBlock;
    } else if (!is_no_symbol(next.symbol) && next.length() <= left + kBeyond) {
      both.at2 = run + 1 + run_of(next.symbol);
      both.advance = both.at2 + 1;
      both.before2 = used + next.code;
      both.size2 = size_of(next.symbol);
    } else {
      continue;
    }
    for (std::uint32_t value = 0; value < 1U << size; ++value) {
      both.value1 = static_cast<std::int16_t>(extend(value, size));
      to[(value << left) + rest] = Pair(both);
    }
  }
}

// What can be read over when only some bits are seen: a symbol, and what can be read over when the bits behind it are
// seen. So it is made for one bit, two bits, and so on.
void HuffmanDecoder::AcTable::fill_runs(const HuffmanSpec& spec) {
  std::array<Run, 2U << kAcBits> by_bits{};  // from 1 << bits on: those for so many bits
  for (unsigned bits = 1; bits <= kAcBits; ++bits) {
    Run* to = by_bits.data() + (1U << bits);
    Run* const end = to + (1U << bits);
    std::size_t index = 0;
    for (unsigned code = 1; code <= bits; ++code) {
      for (unsigned i = 0; i < spec.counts[code]; ++i) {
        const std::uint8_t symbol = spec.symbols[index++];
        const std::uint32_t count = 1U << (bits - code);
        const unsigned used = code + size_of(symbol);
        const unsigned advance = is_end_of_block(symbol) ? kEndOfBlock : run_of(symbol) + 1;
        if (is_no_symbol(symbol) || used > bits + kBeyond) {
          std::fill_n(to, count, Run{});
        } else if (used >= bits || is_end_of_block(symbol)) {
          std::fill_n(to, count, Run{static_cast<std::uint8_t>(used), static_cast<std::uint8_t>(advance)});
        } else {
          const std::uint32_t rests = 1U << (bits - used);
          for (std::uint32_t j = 0; j < rests; ++j) {
            const Run rest = by_bits[rests + j];
            // As long as the sum cannot be taken for an end of block.
            const unsigned ahead = rest.advance % kEndOfBlock;
            const bool fits = advance + ahead < kBlockSize;
            to[j].length = static_cast<std::uint8_t>(used + (fits ? rest.length : 0));
            to[j].advance = static_cast<std::uint8_t>(advance + (fits ? rest.advance : 0));
          }
          for (std::uint32_t done = rests; done < count; done *= 2) std::copy_n(to, done, to + done);
        }
        to += count;
      }
    }
    std::fill(to, end, Run{});
  }
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const Run run = by_bits[runs.size() + i];
    runs[i] = {run.length, run.length == 0 ? static_cast<std::uint8_t>(kSingle) : run.advance};
  }
}

}  // namespace imgrec::decode
