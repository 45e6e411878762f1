// Entropy decoding of sequential JPEG scans (ITU-T T.81, annex F.2), about twice as fast as libjpeg-turbo's: one
// look-up gives up to two coefficients with their positions and signs (or, where nothing is stored, up to a whole
// block's), and byte stuffing is undone beforehand, so that bits are read eight bytes at a time.
//
// It decodes what is plainly right and gives up on all else: a code that does not exist, a coefficient beyond the
// block, data that ends early or late, a restart marker out of turn. Then libjpeg decodes the file from its start and
// decides what it is, so there is one judge of damaged files.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "inference/decode/jpeg_markers.hpp"
#include "lib/base/units.hpp"

namespace imgrec::decode {

/// A table as a DHT segment defines it.
struct HuffmanSpec {
  std::array<std::uint8_t, 17> counts{};  // codes of length 1 to 16; [0] is not used
  std::array<std::uint8_t, 256> symbols{};
};

inline constexpr std::size_t kMcuBlocksMax = 10;  // T.81, B.2.3
inline constexpr std::size_t kHuffmanTables = 2;  // of each class, as in baseline

struct HuffmanScan {
  struct Block {
    std::uint8_t component = 0, dc_table = 0, ac_table = 0;  // component: 0 to 3, in the scan; tables: 0 or 1
  };
  std::array<Block, kMcuBlocksMax> blocks{};  // of one MCU
  std::size_t blocks_per_mcu = 0;
  std::array<const HuffmanSpec*, kHuffmanTables> dc{}, ac{};  // null: not there
  std::uint64_t mcus = 0;
  std::uint64_t restart_interval = 0;  // in MCUs; 0: no restart markers
};

/// One thread at a time; buffers are kept. Bytes are never read beyond those given, whatever they say.
class HuffmanDecoder final : public EntropyCodedReader {
 public:
  using Coefficients = std::int16_t;  // 64 of a block, in natural order, zero before

  /// Best: those of this processor; otherwise, and at first, what every processor has.
  void choose_instructions(bool best);

  /// Takes the data of a scan over, from the first entropy-coded byte on: what begin() begins with. The position of the
  /// marker that ends it; nothing when there is none, and then begin() refuses.
  std::optional<std::size_t> read(ByteView bytes) override;

  /// data: where those bytes were, for sure. False: not this scan.
  bool begin(const HuffmanScan& scan, const char* data);

  /// The next MCU. False: give up.
  bool decode_mcu(Coefficients* const* blocks);

  /// Reads over the next so many. False: give up, also when there are fewer.
  bool skip_mcus(std::uint64_t mcus);

  /// Reads over the MCUs that are left. False: give up, also when data is left over.
  bool finish();

  /// Where the marker after the data begins, counted from its first byte.
  std::size_t end_of_data() const { return end_of_data_; }

  static constexpr unsigned kAcBits = 10, kDcBits = 10;  // what a look-up sees

 private:
  struct Code {
    unsigned length = 0;  // 0: none
    unsigned symbol = 0;
  };
  struct Single;
  struct Canonical {                       // for codes longer than a look-up sees
    std::array<std::int32_t, 17> limit{};  // the first 16 bits that are no code of this length or less
    std::array<std::int32_t, 17> offset{};
    std::array<std::uint8_t, 256> symbols{};
    bool init(const HuffmanSpec& spec);
    /// The code with which these 16 bits begin; it has `shortest` bits or more.
    [[gnu::noinline]] Code find(std::uint32_t bits, unsigned shortest) const;
  };
  struct Fields {  // one or two coefficients; two writes in any case, at the same place if there is one
    // Of all bits. 0: at1 is the length of the code alone and at2 its symbol, or both are 0: see the canonical table.
    // The values are 0 then, and may be written anywhere behind the coefficients so far.
    unsigned length = 0;
    unsigned advance = 0;  // of the position in the block, plus kEndOfBlock; kSingle where length is 0
    unsigned at1 = 0, at2 = 0;
    unsigned before2 = 0, size2 = 0;  // of the last value: the bits before it, and its own
    std::int16_t value1 = 0;
  };
  // These in one word: it is there as soon as its length, for which the next look-up waits. Bits above those that a
  // shift looks at may hold anything.
  class Pair {
   public:
    Pair() = default;
    explicit Pair(const Fields& f)
        : word_(f.length | f.advance << 8 | f.at1 << 16 | f.at2 << 24 | std::uint64_t{f.before2} << 32 |
                std::uint64_t{f.size2} << 40 | static_cast<std::uint64_t>(f.value1) << 48) {}
    unsigned length() const { return word_ & 0xFF; }
    unsigned advance() const { return word_ >> 8 & 0xFF; }
    unsigned at1() const { return word_ >> 16 & 0xFF; }
    unsigned at2() const { return word_ >> 24 & 0xFF; }
    unsigned before2() const { return word_ >> 32 & 63; }
    unsigned size2() const { return word_ >> 40 & 63; }
    std::int16_t value1() const { return static_cast<std::int16_t>(word_ >> 48); }
    std::uint64_t drop_from(std::uint64_t buffer) const { return buffer << (word_ & 63); }

   private:
    std::uint64_t word_ = 0;
  };
  struct Run {  // as many coefficients as fit
    std::uint8_t length = 0, advance = 0;
  };
  struct Difference {
    std::uint8_t length = 0;
    std::int16_t value = 0;
  };
  struct AcTable {
    std::array<Pair, 1U << kAcBits> pairs;
    std::array<Run, 1U << kAcBits> runs;
    Canonical canonical;
    bool init(const HuffmanSpec& spec);

   private:
    static void fill_pairs(const Single& first, const Single* singles, std::span<Pair> to);
    void fill_runs(const HuffmanSpec& spec);
  };
  struct DcTable {
    std::array<Difference, 1U << kDcBits> differences;
    Canonical canonical;
    bool init(const HuffmanSpec& spec);
  };
  // The next bits are the highest of `buffer`; at least `count` of them are there.
  struct Bits {
    std::uint64_t buffer = 0;
    unsigned count = 0;
    const std::uint8_t* next = nullptr;
    void refill();
    void drop(const Pair& pair) { buffer = pair.drop_from(buffer), count -= pair.length(); }
    void drop(unsigned length) { buffer <<= length, count -= length; }
    std::int32_t take_value(unsigned size);
  };

  bool restart();
  bool count(std::uint64_t mcus);
  enum class Step { more, complete, single };
  template <bool kStore>
  bool decode_blocks(Coefficients* const* blocks, std::uint64_t mcus);
  static bool decode_dc(Bits& bits, const DcTable& table, std::int32_t& dc);
  template <bool kStore>
  static bool decode_ac(Bits& bits, const AcTable& table, Coefficients* block);
  template <unsigned kLookUps>
  static Step look_up(Bits& bits, const AcTable& table, unsigned& k, Coefficients* block);
  template <unsigned kLookUps>
  static Step look_over(Bits& bits, const AcTable& table, unsigned& k);
  static bool one_symbol(Bits& bits, const AcTable& table, Pair seen, unsigned& k, Coefficients* block);
  // decode_blocks() for processors of a kind: of one MCU, and of some to be read over.
  using Store = bool (*)(HuffmanDecoder& decoder, Coefficients* const* blocks);
  using Skip = bool (*)(HuffmanDecoder& decoder, std::uint64_t mcus);
  static bool store_baseline(HuffmanDecoder& decoder, Coefficients* const* blocks);
  static bool skip_baseline(HuffmanDecoder& decoder, std::uint64_t mcus);
  static bool store_bmi2(HuffmanDecoder& decoder, Coefficients* const* blocks);
  static bool skip_bmi2(HuffmanDecoder& decoder, std::uint64_t mcus);

  Store store_ = store_baseline;
  Skip skip_ = skip_baseline;
  std::array<DcTable, kHuffmanTables> dc_tables_;
  std::array<AcTable, kHuffmanTables> ac_tables_;
  HuffmanScan scan_;
  std::vector<std::uint8_t> data_;     // without stuffing and markers, then zeros
  std::vector<std::size_t> segments_;  // where each restart interval's data ends
  const char* source_ = nullptr;       // of data_; null: of nothing
  std::size_t segment_ = 0, end_of_data_ = 0;
  std::uint64_t mcus_left_ = 0, until_restart_ = 0;
  Bits bits_;
  std::array<std::int32_t, 4> last_dc_{};
};

}  // namespace imgrec::decode
