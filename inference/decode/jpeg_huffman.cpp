#include "inference/decode/jpeg_huffman.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "inference/decode/formats.hpp"
#include "inference/decode/jpeg_symbols.hpp"

// What is common to the code for several kinds of processors has to become part of each.
#define IMGREC_INLINE [[gnu::always_inline]] inline

namespace imgrec::decode {
namespace {

// More than an MCU can take: 10 blocks of 64 symbols with at most 16 bits of code and 15 of value, and one refill.
constexpr std::size_t kPadding = 4096;
static_assert(kMcuBlocksMax * kBlockSize * 31 / 8 + 16 < kPadding);
// What is kept between images; a larger file gives its memory back.
constexpr std::size_t kKeptBytes = 4 * kMiB;

// Position in zigzag order to position in the block. A look-up writes before it is known whether it may: what reaches
// beyond the block lands on its last coefficient, and the first of two symbols is then decoded again.
constexpr std::array<std::uint8_t, kBlockSize + 256> kNaturalOrder = [] {
  std::array<std::uint8_t, kBlockSize + 256> order{};
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

}  // namespace

IMGREC_INLINE void HuffmanDecoder::Bits::refill() {
  std::uint64_t word;
  std::memcpy(&word, next, sizeof word);
  if constexpr (std::endian::native == std::endian::little) word = __builtin_bswap64(word);
  // 56 bits or more. The bits below `count` may be there already: then they are the same.
  buffer |= word >> count;
  next += (63 - count) >> 3;
  count |= 56;
}

IMGREC_INLINE std::int32_t HuffmanDecoder::Bits::take_value(unsigned size) {
  if (size == 0) return 0;
  const auto value = static_cast<std::uint32_t>(buffer >> (64 - size));
  drop(size);
  return extend(value, size);
}

// Leaves kBitsAfterDc or more.
IMGREC_INLINE bool HuffmanDecoder::decode_dc(Bits& bits, const DcTable& table, std::int32_t& dc) {
  bits.refill();
  const Difference entry = table.differences[bits.buffer >> (64 - kDcBits)];
  if (entry.length != 0) [[likely]] {
    dc += entry.value;
    bits.drop(entry.length);
  } else {
    const Code code = table.canonical.find(static_cast<std::uint32_t>(bits.buffer >> 48), 1);
    if (code.length == 0 || code.symbol > 15) return false;
    bits.drop(code.length);
    dc += bits.take_value(code.symbol);
    bits.refill();
  }
  return dc >= INT16_MIN && dc <= INT16_MAX;
}

// EXTEND of the highest `size` bits, without branches: a value that begins with 0 is minus its complement.
IMGREC_INLINE std::int16_t value_of(std::uint64_t bits, unsigned size) {
  const std::uint64_t negative = (bits >> 63) - 1;
  const std::uint64_t magnitude = (bits ^ negative) >> 1 >> (63 - size);
  return static_cast<std::int16_t>((magnitude ^ negative) - negative);
}

// One symbol, whatever its length, where a look-up saw `seen`. False: it is none, or lies beyond the block. k:
// kBlockSize at the end of the block. Leaves kBitsRefilled.
IMGREC_INLINE bool HuffmanDecoder::one_symbol(Bits& bits, const AcTable& table, Pair seen, unsigned& k,
                                              Coefficients* block) {
  bits.refill();
  Code code{seen.at1(), seen.at2()};
  if (seen.length() != 0 || code.length == 0) {
    const unsigned shortest = seen.length() != 0 ? 1 : kAcBits + 1;
    code = table.canonical.find(static_cast<std::uint32_t>(bits.buffer >> 48), shortest);
    if (code.length == 0) return false;
  }
  if (is_no_symbol(code.symbol)) return false;
  bits.drop(code.length);
  if (is_end_of_block(code.symbol)) {
    k = kBlockSize;
  } else {
    k += run_of(code.symbol);
    if (k >= kBlockSize) return false;
    const std::int32_t value = bits.take_value(size_of(code.symbol));
    if (block != nullptr) block[kNaturalOrder[k]] = static_cast<Coefficients>(value);
    ++k;
  }
  bits.refill();
  return true;
}

// After a look-up: `ahead` is the position with its advance. The block is complete when it was filled to the last
// coefficient, or when the end of block came while there was room; anything else has to be looked at by single symbols.
IMGREC_INLINE bool is_complete(unsigned ahead) {
  return ahead == kBlockSize || (ahead >= kEndOfBlock && ahead < kEndOfBlock + kBlockSize);
}

// So many look-ups, unless something ends them.
template <unsigned kLookUps>
IMGREC_INLINE HuffmanDecoder::Step HuffmanDecoder::look_up(Bits& bits, const AcTable& table, unsigned& k,
                                                           Coefficients* block) {
#pragma GCC unroll 8
  for (unsigned i = 0; i < kLookUps; ++i) {
    const Pair pair = table.pairs.data()[bits.buffer >> (64 - kAcBits)];
    const unsigned ahead = k + pair.advance();
    block[kNaturalOrder.data()[k + pair.at1()]] = pair.value1();
    block[kNaturalOrder.data()[k + pair.at2()]] = value_of(bits.buffer << pair.before2(), pair.size2());
    if (ahead >= kBlockSize) {
      if (!is_complete(ahead)) [[unlikely]]
        return Step::single;
      bits.drop(pair);
      return Step::complete;
    }
    k = ahead;
    bits.drop(pair);
  }
  return Step::more;
}

template <unsigned kLookUps>
IMGREC_INLINE HuffmanDecoder::Step HuffmanDecoder::look_over(Bits& bits, const AcTable& table, unsigned& k) {
#pragma GCC unroll 8
  for (unsigned i = 0; i < kLookUps; ++i) {
    const Run run = table.runs.data()[bits.buffer >> (64 - kAcBits)];
    const unsigned ahead = k + run.advance;
    if (ahead >= kBlockSize) {
      if (!is_complete(ahead)) [[unlikely]]
        return Step::single;
      bits.drop(run.length);
      return Step::complete;
    }
    k = ahead;
    bits.drop(run.length);
  }
  return Step::more;
}

// block: null when kStore is false. As many look-ups follow each other as there are bits for.
template <bool kStore>
IMGREC_INLINE bool HuffmanDecoder::decode_ac(Bits& bits, const AcTable& table, Coefficients* block) {
  constexpr unsigned kFirst = kBitsAfterDc / kUsedMax, kNext = kBitsRefilled / kUsedMax;
  unsigned k = 1;
  Step step = kStore ? look_up<kFirst>(bits, table, k, block) : look_over<kFirst>(bits, table, k);
  for (;;) {
    if (step == Step::complete) return true;
    if (step == Step::single) {
      if (!one_symbol(bits, table, table.pairs[bits.buffer >> (64 - kAcBits)], k, block)) return false;
      if (k == kBlockSize) return true;
    } else {
      bits.refill();
    }
    step = kStore ? look_up<kNext>(bits, table, k, block) : look_over<kNext>(bits, table, k);
  }
}

// Copies the data without stuffed bytes and restart markers, up to the first other marker.
std::optional<std::size_t> HuffmanDecoder::read(ByteView bytes) {
  source_ = nullptr;
  if (data_.capacity() > kKeptBytes) data_ = {};
  if (data_.size() < bytes.size() + kPadding) data_.resize(bytes.size() + kPadding);
  segments_.clear();
  std::uint8_t* to = data_.data();
  std::size_t at = 0;
  while (at < bytes.size()) {
    const void* found = std::memchr(bytes.data() + at, 0xFF, bytes.size() - at);
    if (found == nullptr) return std::nullopt;
    const auto count = static_cast<std::size_t>(static_cast<const char*>(found) - (bytes.data() + at));
    std::memcpy(to, bytes.data() + at, count);
    to += count;
    at += count;
    if (at + 1 >= bytes.size()) return std::nullopt;
    const unsigned next = byte_at(bytes, at + 1);
    if (next == 0x00) {
      *to++ = 0xFF;
    } else {
      const bool restart = next == 0xD0 + segments_.size() % 8;
      segments_.push_back(static_cast<std::size_t>(to - data_.data()));
      if (!restart) {
        end_of_data_ = at;
        std::memset(to, 0, kPadding);
        source_ = bytes.data();
        return at;
      }
    }
    at += 2;
  }
  return std::nullopt;
}

bool HuffmanDecoder::begin(const HuffmanScan& scan, const char* data) {
  if (source_ == nullptr || data != source_) return false;
  source_ = nullptr;  // it may be gone before the next image comes
  scan_ = scan;
  if (scan.restart_interval == 0 && segments_.size() != 1) return false;
  if (scan.blocks_per_mcu == 0 || scan.blocks_per_mcu > kMcuBlocksMax || scan.mcus == 0) return false;
  for (std::size_t i = 0; i < scan.blocks_per_mcu; ++i) {
    const HuffmanScan::Block& block = scan.blocks[i];
    if (block.component >= last_dc_.size() || block.dc_table >= kHuffmanTables || block.ac_table >= kHuffmanTables ||
        scan.dc[block.dc_table] == nullptr || scan.ac[block.ac_table] == nullptr) {
      return false;
    }
  }
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
IMGREC_INLINE bool HuffmanDecoder::decode_blocks(Coefficients* const* blocks, std::uint64_t mcus) {
  Bits bits = bits_;
  const std::uint8_t* const last = data_.data() + segments_.back() + 8;
  const HuffmanScan::Block* const first_block = scan_.blocks.data();
  const HuffmanScan::Block* const end_block = first_block + scan_.blocks_per_mcu;
  for (; mcus > 0; --mcus) {
    // An MCU takes less than the padding: none begins beyond the data.
    if (bits.next > last) return false;
    for (const HuffmanScan::Block* block = first_block; block != end_block; ++block) {
      std::int32_t& dc = last_dc_.data()[block->component];
      if (!decode_dc(bits, dc_tables_.data()[block->dc_table], dc)) return false;
      Coefficients* coefficients = nullptr;
      if constexpr (kStore) {
        coefficients = *blocks++;
        coefficients[0] = static_cast<Coefficients>(dc);
      }
      if (!decode_ac<kStore>(bits, ac_tables_.data()[block->ac_table], coefficients)) return false;
    }
  }
  bits_ = bits;
  return true;
}

bool HuffmanDecoder::store_baseline(HuffmanDecoder& decoder, Coefficients* const* blocks) {
  return decoder.decode_blocks<true>(blocks, 1);
}
bool HuffmanDecoder::skip_baseline(HuffmanDecoder& decoder, std::uint64_t mcus) {
  return decoder.decode_blocks<false>(nullptr, mcus);
}

#if defined(__x86_64__)
// Shifts by any register, and without touching the flags.
__attribute__((target("bmi,bmi2"))) bool HuffmanDecoder::store_bmi2(HuffmanDecoder& decoder,
                                                                    Coefficients* const* blocks) {
  return decoder.decode_blocks<true>(blocks, 1);
}
__attribute__((target("bmi,bmi2"))) bool HuffmanDecoder::skip_bmi2(HuffmanDecoder& decoder, std::uint64_t mcus) {
  return decoder.decode_blocks<false>(nullptr, mcus);
}
#endif

void HuffmanDecoder::choose_instructions(bool best) {
  store_ = store_baseline;
  skip_ = skip_baseline;
#if defined(__x86_64__)
  if (best && __builtin_cpu_supports("bmi2")) {
    store_ = store_bmi2;
    skip_ = skip_bmi2;
  }
#else
  static_cast<void>(best);
#endif
}

bool HuffmanDecoder::count(std::uint64_t mcus) {
  mcus_left_ -= mcus;
  if (until_restart_ != 0) until_restart_ -= mcus;
  if (mcus_left_ == 0 || (scan_.restart_interval != 0 && until_restart_ == 0)) return restart();
  return true;
}

bool HuffmanDecoder::decode_mcu(Coefficients* const* blocks) {
  return mcus_left_ > 0 && store_(*this, blocks) && count(1);
}

bool HuffmanDecoder::skip_mcus(std::uint64_t mcus) {
  while (mcus > 0) {
    std::uint64_t now = std::min(mcus, mcus_left_);
    if (scan_.restart_interval != 0) now = std::min(now, until_restart_);
    if (now == 0 || !skip_(*this, now) || !count(now)) return false;
    mcus -= now;
  }
  return true;
}

bool HuffmanDecoder::finish() {
  return skip_mcus(mcus_left_);
}

}  // namespace imgrec::decode
