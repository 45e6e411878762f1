#include "inference/decode/jpeg_huffman.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "inference/decode/formats.hpp"

namespace imgrec::decode {
namespace {

constexpr unsigned kBlockSize = 64;
constexpr unsigned kEndOfBlock = 128;  // added to an advance
// More than an MCU can take: 10 blocks of 64 symbols with at most 16 bits of code and 15 of value, and one refill.
constexpr std::size_t kPadding = 4096;
static_assert(kMcuBlocksMax * kBlockSize * 31 / 8 + 16 < kPadding);
// What is kept between images; a larger file gives its memory back.
constexpr std::size_t kKeptBytes = 4 * kMiB;

// Position in zigzag order to position in the block. A look-up of two symbols may reach beyond the block before that is
// noticed; such writes land on the last coefficient, and the first of the two symbols is then decoded again.
constexpr std::array<std::uint8_t, kBlockSize + 32> kNaturalOrder = [] {
  std::array<std::uint8_t, kBlockSize + 32> order{};
  order.fill(63);
  int row = 0, column = 0;
  for (std::size_t i = 0; i < kBlockSize; ++i) {
    order[i] = static_cast<std::uint8_t>(8 * row + column);
    const bool upwards = (row + column) % 2 == 0;
    int& ahead = upwards ? column : row;
    int& back = upwards ? row : column;
    if (ahead == 7) {
      ++back;
    } else {
      ++ahead;
      if (back > 0) --back;
    }
  }
  return order;
}();

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

// The symbol with which a look-up's bits begin, if its code lies in them.
constexpr unsigned kTooLong = 64;  // for a look-up
struct Single {
  std::uint8_t code = 0, length = 0, symbol = 0;  // lengths of the code, and with its value; code 0: none
};

}  // namespace

bool HuffmanDecoder::Canonical::init(const HuffmanSpec& spec) {
  std::uint32_t code = 0;
  std::int32_t index = 0;
  for (unsigned length = 1; length <= 16; ++length) {
    offset[length] = index - static_cast<std::int32_t>(code);
    code += spec.counts[length];
    index += spec.counts[length];
    if (index > 256 || code > (1U << length)) return false;
    limit[length] = code << (16 - length);
    code <<= 1;
  }
  symbols = spec.symbols;
  return true;
}

unsigned HuffmanDecoder::Canonical::find(std::uint32_t bits, unsigned length, unsigned& symbol) const {
  for (; length <= 16; ++length) {
    if (bits >= limit[length]) continue;
    const std::int32_t index = offset[length] + static_cast<std::int32_t>(bits >> (16 - length));
    symbol = symbols[static_cast<std::uint8_t>(index)];
    return length;
  }
  return 0;
}

bool HuffmanDecoder::DcTable::init(const HuffmanSpec& spec) {
  if (!canonical.init(spec)) return false;
  for (std::uint32_t bits = 0; bits < differences.size(); ++bits) {
    Difference& entry = differences[bits] = {};
    unsigned symbol = 0;
    const unsigned code = canonical.find(bits << (16 - kDcBits), 1, symbol);
    const unsigned length = code + symbol;
    if (code == 0 || code > kDcBits || symbol > 15 || length > kDcBits) continue;
    entry.length = static_cast<std::uint8_t>(length);
    const std::uint32_t value = bits >> (kDcBits - length) & ((1U << symbol) - 1);
    entry.value = static_cast<std::int16_t>(extend(value, symbol));
  }
  return true;
}

bool HuffmanDecoder::AcTable::init(const HuffmanSpec& spec) {
  if (!canonical.init(spec)) return false;
  constexpr std::uint32_t kMask = (1U << kAcBits) - 1;
  std::array<Single, 1U << kAcBits> singles{};
  std::size_t index = 0;
  std::uint32_t at = 0;
  for (unsigned code = 1; code <= kAcBits; ++code) {
    for (unsigned i = 0; i < spec.counts[code]; ++i) {
      const std::uint8_t symbol = spec.symbols[index++];
      const unsigned length = is_no_symbol(symbol) ? kTooLong : code + size_of(symbol);
      const Single single{static_cast<std::uint8_t>(code), static_cast<std::uint8_t>(length), symbol};
      const std::uint32_t count = 1U << (kAcBits - code);
      std::fill_n(singles.begin() + at, count, single);
      at += count;
    }
  }
  const auto value_of = [](std::uint32_t bits, const Single& single) {
    const unsigned size = size_of(single.symbol);
    return static_cast<std::int16_t>(extend(bits >> (kAcBits - single.length) & ((1U << size) - 1), size));
  };
  for (std::uint32_t bits = 0; bits < pairs.size(); ++bits) {
    Pair& pair = pairs[bits] = {};
    Run& run = runs[bits] = {};
    const Single first = singles[bits];
    if (first.code == 0) continue;
    if (first.length > kAcBits) {
      pair.at1 = first.code;
      pair.at2 = first.symbol;
      continue;
    }
    if (is_end_of_block(first.symbol)) {
      pair.length = run.length = first.length;
      pair.advance = run.advance = kEndOfBlock;
      continue;
    }
    const auto at1 = static_cast<std::uint8_t>(run_of(first.symbol));
    const auto after1 = static_cast<std::uint8_t>(at1 + 1);
    const std::int16_t value1 = value_of(bits, first);
    pair = {first.length, after1, at1, at1, value1, value1};
    run = {first.length, after1};
    std::uint32_t rest = bits << first.length & kMask;
    Single next = singles[rest];
    unsigned length = first.length + next.length;
    if (next.code == 0 || length > kAcBits) continue;
    pair.length = static_cast<std::uint8_t>(length);
    if (is_end_of_block(next.symbol)) {
      pair.advance = static_cast<std::uint8_t>(after1 + kEndOfBlock);
    } else {
      pair.at2 = static_cast<std::uint8_t>(after1 + run_of(next.symbol));
      pair.advance = static_cast<std::uint8_t>(pair.at2 + 1);
      pair.value2 = value_of(rest, next);
    }
    run = {pair.length, pair.advance};
    // More of them, as long as the advance cannot be taken for an end of block.
    while (run.advance < kEndOfBlock && run.length < kAcBits) {
      rest = rest << next.length & kMask;
      next = singles[rest];
      length = run.length + next.length;
      if (next.code == 0 || length > kAcBits) break;
      const unsigned advance = is_end_of_block(next.symbol) ? kEndOfBlock : run_of(next.symbol) + 1;
      if (advance != kEndOfBlock && run.advance + advance > kBlockSize) break;
      run = {static_cast<std::uint8_t>(length), static_cast<std::uint8_t>(run.advance + advance)};
    }
  }
  return true;
}

inline void HuffmanDecoder::Bits::refill() {
  std::uint64_t word;
  std::memcpy(&word, next, sizeof word);
  if constexpr (std::endian::native == std::endian::little) word = __builtin_bswap64(word);
  // 56 bits or more. The bits below `count` may be there already: then they are the same.
  buffer |= word >> count;
  next += (63 - count) >> 3;
  count |= 56;
}

inline std::int32_t HuffmanDecoder::Bits::take_value(unsigned size) {
  if (size == 0) return 0;
  const auto value = static_cast<std::uint32_t>(buffer >> (64 - size));
  drop(size);
  return extend(value, size);
}

// Leaves 56 bits or more.
inline bool HuffmanDecoder::decode_dc(Bits& bits, const DcTable& table, std::int32_t& dc) {
  bits.refill();
  const Difference entry = table.differences[bits.buffer >> (64 - kDcBits)];
  if (entry.length != 0) [[likely]] {
    dc += entry.value;
    bits.drop(entry.length);
  } else {
    unsigned size = 0;
    const unsigned code = table.canonical.find(static_cast<std::uint32_t>(bits.buffer >> 48), 1, size);
    if (code == 0 || size > 15) return false;
    bits.drop(code);
    dc += bits.take_value(size);
  }
  bits.refill();
  return dc >= INT16_MIN && dc <= INT16_MAX;
}

// One symbol, whatever its length, where a look-up saw `seen`. False: it is none, or lies beyond the block. k:
// kBlockSize at the end of the block.
inline bool HuffmanDecoder::one_symbol(Bits& bits, const AcTable& table, const Pair& seen, unsigned& k,
                                       Coefficients* block) {
  bits.refill();
  unsigned symbol = seen.at2, code = seen.at1;
  if (seen.length != 0 || code == 0) {
    const unsigned shortest = seen.length != 0 ? 1 : kAcBits + 1;
    code = table.canonical.find(static_cast<std::uint32_t>(bits.buffer >> 48), shortest, symbol);
    if (code == 0) return false;
  }
  if (is_no_symbol(symbol)) return false;
  bits.drop(code);
  if (is_end_of_block(symbol)) {
    k = kBlockSize;
  } else {
    k += run_of(symbol);
    if (k >= kBlockSize) return false;
    const std::int32_t value = bits.take_value(size_of(symbol));
    if (block != nullptr) block[kNaturalOrder[k]] = static_cast<Coefficients>(value);
    ++k;
  }
  bits.refill();
  return true;
}

// After a look-up: `ahead` is the position with its advance. The block is complete when it was filled to the last
// coefficient, or when the end of block came while there was room; anything else has to be looked at by single symbols.
inline bool is_complete(unsigned ahead) {
  return ahead == kBlockSize || (ahead >= kEndOfBlock && ahead < kEndOfBlock + kBlockSize);
}

inline bool HuffmanDecoder::decode_ac(Bits& bits, const AcTable& table, Coefficients* block) {
  for (unsigned k = 1;;) {
    for (int i = 0; i < 4; ++i) {  // as many look-ups as a refill has bits for
      const Pair& pair = table.pairs[bits.buffer >> (64 - kAcBits)];
      const unsigned length = pair.length, ahead = k + pair.advance;
      if (length == 0) [[unlikely]]
        break;
      block[kNaturalOrder[k + pair.at1]] = pair.value1;
      block[kNaturalOrder[k + pair.at2]] = pair.value2;
      if (ahead >= kBlockSize) {
        if (!is_complete(ahead)) [[unlikely]]
          break;
        bits.drop(length);
        return true;
      }
      k = ahead;
      bits.drop(length);
      if (i == 3) goto refill;
    }
    if (!one_symbol(bits, table, table.pairs[bits.buffer >> (64 - kAcBits)], k, block)) return false;
    if (k == kBlockSize) return true;
    continue;
  refill:
    bits.refill();
  }
}

inline bool HuffmanDecoder::skip_ac(Bits& bits, const AcTable& table) {
  for (unsigned k = 1;;) {
    for (int i = 0; i < 4; ++i) {
      const Run run = table.runs[bits.buffer >> (64 - kAcBits)];
      const unsigned ahead = k + run.advance;
      if (run.length == 0) [[unlikely]]
        break;
      if (ahead >= kBlockSize) {
        if (!is_complete(ahead)) [[unlikely]]
          break;
        bits.drop(run.length);
        return true;
      }
      k = ahead;
      bits.drop(run.length);
      if (i == 3) goto refill;
    }
    if (!one_symbol(bits, table, table.pairs[bits.buffer >> (64 - kAcBits)], k, nullptr)) return false;
    if (k == kBlockSize) return true;
    continue;
  refill:
    bits.refill();
  }
}

// Copies the data without stuffed bytes and restart markers, up to the first other marker.
bool HuffmanDecoder::unstuff(ByteView bytes) {
  if (data_.capacity() > kKeptBytes) data_ = {};
  if (data_.size() < bytes.size() + kPadding) data_.resize(bytes.size() + kPadding);
  segments_.clear();
  std::uint8_t* to = data_.data();
  std::size_t at = 0;
  while (at < bytes.size()) {
    const void* found = std::memchr(bytes.data() + at, 0xFF, bytes.size() - at);
    if (found == nullptr) return false;
    const auto count = static_cast<std::size_t>(static_cast<const char*>(found) - (bytes.data() + at));
    std::memcpy(to, bytes.data() + at, count);
    to += count;
    at += count;
    if (at + 1 >= bytes.size()) return false;
    const unsigned next = byte_at(bytes, at + 1);
    if (next == 0x00) {
      *to++ = 0xFF;
    } else if (next == 0xD0 + segments_.size() % 8 && scan_.restart_interval != 0) {
      segments_.push_back(static_cast<std::size_t>(to - data_.data()));
    } else {
      segments_.push_back(static_cast<std::size_t>(to - data_.data()));
      end_of_data_ = at;
      std::memset(to, 0, kPadding);
      return true;
    }
    at += 2;
  }
  return false;
}

bool HuffmanDecoder::begin(const HuffmanScan& scan, ByteView bytes) {
  scan_ = scan;
  if (scan.blocks_per_mcu == 0 || scan.blocks_per_mcu > kMcuBlocksMax || scan.mcus == 0) return false;
  for (std::size_t i = 0; i < scan.blocks_per_mcu; ++i) {
    const HuffmanScan::Block& block = scan.blocks[i];
    if (block.component >= last_dc_.size() || block.dc_table >= kHuffmanTables || block.ac_table >= kHuffmanTables ||
        scan.dc[block.dc_table] == nullptr || scan.ac[block.ac_table] == nullptr) {
      return false;
    }
  }
  if (!unstuff(bytes)) return false;
  for (std::size_t i = 0; i < kHuffmanTables; ++i) {
    if (scan.dc[i] != nullptr && !dc_tables_[i].init(*scan.dc[i])) return false;
    if (scan.ac[i] != nullptr && !ac_tables_[i].init(*scan.ac[i])) return false;
  }
  segment_ = 0;
  mcus_left_ = scan.mcus;
  until_restart_ = scan.restart_interval;
  bits_ = {.next = data_.data()};
  last_dc_ = {};
  return true;
}

// The data of a restart interval has been used, but for the bits that fill its last byte.
bool HuffmanDecoder::restart() {
  const std::uint64_t used = 8 * static_cast<std::uint64_t>(bits_.next - data_.data()) - bits_.count;
  const std::uint64_t end = 8 * static_cast<std::uint64_t>(segments_[segment_]);
  if (used > end || end - used >= 8) return false;
  if (++segment_ == segments_.size()) return mcus_left_ == 0;
  bits_ = {.next = data_.data() + segments_[segment_ - 1]};
  last_dc_ = {};
  until_restart_ = scan_.restart_interval;
  return mcus_left_ > 0;
}

template <bool kStore>
bool HuffmanDecoder::decode_blocks(Coefficients* const* blocks) {
  Bits bits = bits_;
  for (std::size_t i = 0; i < scan_.blocks_per_mcu; ++i) {
    const HuffmanScan::Block& block = scan_.blocks[i];
    std::int32_t& dc = last_dc_[block.component];
    if (!decode_dc(bits, dc_tables_[block.dc_table], dc)) return false;
    if constexpr (kStore) {
      blocks[i][0] = static_cast<Coefficients>(dc);
      if (!decode_ac(bits, ac_tables_[block.ac_table], blocks[i])) return false;
    } else {
      if (!skip_ac(bits, ac_tables_[block.ac_table])) return false;
    }
  }
  bits_ = bits;
  return true;
}

bool HuffmanDecoder::decode_mcu(Coefficients* const* blocks) {
  if (mcus_left_ == 0) return false;
  // An MCU takes less than the padding: none begins beyond the data.
  if (bits_.next > data_.data() + segments_.back() + 8) return false;
  if (!(blocks != nullptr ? decode_blocks<true>(blocks) : decode_blocks<false>(nullptr))) return false;
  --mcus_left_;
  if (mcus_left_ == 0 || (until_restart_ != 0 && --until_restart_ == 0)) return restart();
  return true;
}

bool HuffmanDecoder::finish() {
  while (mcus_left_ > 0) {
    if (!decode_mcu(nullptr)) return false;
  }
  return true;
}

}  // namespace imgrec::decode
