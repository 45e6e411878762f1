#include "tests/inference/encode.hpp"

#include <cstdio>  // jpeglib.h needs it

#include <gif_lib.h>
#include <jpeglib.h>
#include <png.h>
#include <tiffio.h>
#include <webp/encode.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "inference/decode/rows.hpp"
#include "tests/support/fake_clock.hpp"

namespace imgrec::test {
namespace {

[[noreturn]] void fail_png(png_structp, png_const_charp text) {
  throw std::runtime_error(text);
}

void append(png_structp png, png_bytep data, png_size_t count) {
  static_cast<std::string*>(png_get_io_ptr(png))->append(reinterpret_cast<char*>(data), count);
}

std::vector<std::uint8_t> png_row(const Image& image, const PngOptions& options, int y) {
  std::vector<std::uint8_t> row;
  const int bytes = options.bit_depth == 16 ? 2 : 1;
  for (int x = 0; x < image.width; ++x) {
    const std::uint8_t* pixel = image.row(y) + 3 * x;
    if (options.palette > 0) {
      row.push_back(static_cast<std::uint8_t>((x + y) % options.palette));
      continue;
    }
    for (int c = 0; c < (options.grey ? 1 : 3); ++c) row.insert(row.end(), static_cast<std::size_t>(bytes), pixel[c]);
    if (options.alpha) row.insert(row.end(), static_cast<std::size_t>(bytes), 0x40);
  }
  return row;
}

}  // namespace

std::string be32_text(std::uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}
std::string le16_text(std::uint32_t value) {
  return {static_cast<char>(value), static_cast<char>(value >> 8)};
}
std::string le32_text(std::uint32_t value) {
  return le16_text(value) + le16_text(value >> 16);
}

Image gradient(int width, int height) {
  Image image;
  image.reset(width, height);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      std::uint8_t* pixel = image.row(y) + 3 * x;
      pixel[0] = static_cast<std::uint8_t>(4 * x + 1);
      pixel[1] = static_cast<std::uint8_t>(5 * y + 2);
      pixel[2] = static_cast<std::uint8_t>(2 * (x + y) + 3);
    }
  }
  return image;
}

Image noise(int width, int height, std::uint64_t seed) {
  Image image = gradient(width, height);
  SeededRng rng(seed);
  // In some parts more than in others, so that there are smooth blocks as well.
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const std::uint64_t strength = static_cast<std::uint64_t>((x / 16 + y / 16) % 4) * 60 + 1;
      for (int c = 0; c < 3; ++c) {
        std::uint8_t& value = image.row(y)[3 * x + c];
        value = static_cast<std::uint8_t>(value / 2 + rng.next() % strength);
      }
    }
  }
  return image;
}

std::string exif_block(int orientation, bool little_endian) {
  if (little_endian) {
    return std::string("II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", 18) +
           le32_text(static_cast<std::uint32_t>(orientation)) + std::string(4, '\0');
  }
  return std::string("MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", 19) + static_cast<char>(orientation) +
         std::string(6, '\0');
}

std::string encode_png(const Image& image, const PngOptions& options) {
  std::string out;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, fail_png, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(png, &out, append, nullptr);
  const int colour = options.palette > 0
                         ? PNG_COLOR_TYPE_PALETTE
                         : (options.grey ? 0 : PNG_COLOR_MASK_COLOR) | (options.alpha ? PNG_COLOR_MASK_ALPHA : 0);
  png_set_IHDR(png, info, static_cast<png_uint_32>(image.width), static_cast<png_uint_32>(image.height),
               options.bit_depth, colour, options.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  std::array<png_color, 256> palette{};
  for (unsigned i = 0; i < 256; ++i) palette[i] = {static_cast<png_byte>(i), static_cast<png_byte>(255 - i), 7};
  if (options.palette > 0) png_set_PLTE(png, info, palette.data(), options.palette);
  std::string exif = options.exif;
  if (!exif.empty())
    png_set_eXIf_1(png, info, static_cast<png_uint_32>(exif.size()), reinterpret_cast<png_bytep>(exif.data()));
  png_write_info(png, info);
  if (options.bit_depth < 8) png_set_packing(png);
  std::vector<std::vector<std::uint8_t>> rows;
  for (int y = 0; y < image.height; ++y) rows.push_back(png_row(image, options, y));
  const int passes = png_set_interlace_handling(png);
  for (int pass = 0; pass < passes; ++pass) {
    for (auto& row : rows) png_write_row(png, row.data());
  }
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return out;
}

std::string encode_jpeg(const Image& image, const JpegOptions& options) {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);  // ends the program: the test's own images are fine
  jpeg_create_compress(&jpeg);
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &buffer, &size);
  jpeg.image_width = static_cast<JDIMENSION>(image.width);
  jpeg.image_height = static_cast<JDIMENSION>(image.height);
  jpeg.input_components = options.cmyk ? 4 : options.grey ? 1 : 3;
  jpeg.in_color_space = options.cmyk ? JCS_CMYK : options.grey ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, options.quality, TRUE);
  jpeg.restart_in_rows = options.restart_rows;
  jpeg.restart_interval = static_cast<unsigned>(options.restart_mcus);
  jpeg.optimize_coding = options.optimised ? TRUE : FALSE;
  jpeg.comp_info[0].h_samp_factor = options.luma_h;
  jpeg.comp_info[0].v_samp_factor = options.luma_v;
  std::array<jpeg_scan_info, 4> scans{};
  for (int i = 0; i < jpeg.num_components; ++i) {
    scans[static_cast<std::size_t>(i)] = {
        .comps_in_scan = 1, .component_index = {i}, .Ss = 0, .Se = 63, .Ah = 0, .Al = 0};
  }
  if (!options.one_scan) {
    jpeg.scan_info = scans.data();
    jpeg.num_scans = jpeg.num_components;
  }
  if (options.progressive) jpeg_simple_progression(&jpeg);
  jpeg.arith_code = options.arithmetic ? TRUE : FALSE;
  jpeg_start_compress(&jpeg, TRUE);
  if (!options.exif.empty()) {
    const std::string segment = std::string("Exif\0\0", 6) + options.exif;
    jpeg_write_marker(&jpeg, JPEG_APP0 + 1, reinterpret_cast<const JOCTET*>(segment.data()),
                      static_cast<unsigned>(segment.size()));
  }
  for (int y = 0; y < image.height; ++y) {
    std::vector<JSAMPLE> row;
    for (int x = 0; x < image.width; ++x) {
      const std::uint8_t* pixel = image.row(y) + 3 * x;
      row.insert(row.end(), pixel, pixel + (options.grey ? 1 : 3));
      if (options.cmyk) row.push_back(255);  // no black, inverted as Adobe does: the others are then plain RGB
    }
    JSAMPROW pointer = row.data();
    jpeg_write_scanlines(&jpeg, &pointer, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  const std::string out(reinterpret_cast<char*>(buffer), size);
  std::free(buffer);
  return out;
}

std::string encode_webp(const Image& image, bool alpha) {
  std::vector<std::uint8_t> rgba;
  for (std::size_t i = 0; i < image.rgb.size(); i += 3) {
    rgba.insert(rgba.end(), image.rgb.begin() + static_cast<std::ptrdiff_t>(i),
                image.rgb.begin() + static_cast<std::ptrdiff_t>(i + 3));
    rgba.push_back(alpha ? 128 : 255);
  }
  std::uint8_t* buffer = nullptr;
  const std::size_t size = WebPEncodeLosslessRGBA(rgba.data(), image.width, image.height, 4 * image.width, &buffer);
  const std::string out(reinterpret_cast<char*>(buffer), size);
  WebPFree(buffer);
  return out;
}

std::string encode_gif(int width, int height, bool interlaced) {
  std::string out;
  const auto write = [](GifFileType* gif, const GifByteType* data, int count) {
    static_cast<std::string*>(gif->UserData)
        ->append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(count));
    return count;
  };
  int error = 0;
  GifFileType* gif = EGifOpen(&out, write, &error);
  std::array<GifColorType, 256> colours{};
  for (unsigned i = 0; i < 256; ++i)
    colours[i] = {static_cast<GifByteType>(i), static_cast<GifByteType>(i), static_cast<GifByteType>(i)};
  ColorMapObject* map = GifMakeMapObject(256, colours.data());
  EGifPutScreenDesc(gif, width, height, 8, 0, map);
  EGifPutImageDesc(gif, 0, 0, width, height, interlaced, nullptr);
  constexpr int kFirst[] = {0, 4, 2, 1}, kStep[] = {8, 8, 4, 2};
  for (int pass = 0; pass < (interlaced ? 4 : 1); ++pass) {
    for (int y = interlaced ? kFirst[pass] : 0; y < height; y += interlaced ? kStep[pass] : 1) {
      std::vector<GifPixelType> line;
      for (int x = 0; x < width; ++x) line.push_back(static_cast<GifPixelType>((x + y) % 200));
      EGifPutLine(gif, line.data(), width);
    }
  }
  GifFreeMapObject(map);
  EGifCloseFile(gif, &error);
  return out;
}

namespace {

struct Memory {
  std::string bytes;
  std::size_t at = 0;
};

TIFF* open_tiff(Memory& memory, const char* mode) {
  const auto read = [](thandle_t handle, void* target, tmsize_t count) {
    auto* m = static_cast<Memory*>(handle);
    const std::size_t got =
        std::min(static_cast<std::size_t>(count), m->bytes.size() - std::min(m->at, m->bytes.size()));
    std::memcpy(target, m->bytes.data() + m->at, got);
    m->at += got;
    return static_cast<tmsize_t>(got);
  };
  const auto write = [](thandle_t handle, void* data, tmsize_t count) {
    auto* m = static_cast<Memory*>(handle);
    m->bytes.resize(std::max(m->bytes.size(), m->at + static_cast<std::size_t>(count)));
    std::memcpy(m->bytes.data() + m->at, data, static_cast<std::size_t>(count));
    m->at += static_cast<std::size_t>(count);
    return count;
  };
  const auto seek = [](thandle_t handle, toff_t offset, int whence) {
    auto* m = static_cast<Memory*>(handle);
    m->at = whence == SEEK_CUR ? m->at + offset : whence == SEEK_END ? m->bytes.size() + offset : offset;
    return static_cast<toff_t>(m->at);
  };
  const auto size = [](thandle_t handle) { return static_cast<toff_t>(static_cast<Memory*>(handle)->bytes.size()); };
  return TIFFClientOpen(
      "memory", (std::string(mode) + "m").c_str(), &memory, read, write, seek, [](thandle_t) { return 0; }, size,
      nullptr, nullptr);
}

// Of a part of the image; plane: the only colour, where each has its own.
std::vector<std::uint8_t> tiff_samples(const Image& image, const TiffOptions& options, const Region& part, int plane) {
  std::vector<std::uint8_t> samples;
  const std::size_t bytes = options.bits == 16 ? 2 : 1;
  for (int y = part.y; y < part.y + part.height; ++y) {
    if (options.bits == 1) {
      samples.resize(samples.size() + static_cast<std::size_t>(part.width + 7) / 8);
      std::uint8_t* row = samples.data() + samples.size() - static_cast<std::size_t>(part.width + 7) / 8;
      for (int x = part.x; x < part.x + part.width; ++x) {
        const bool is_set = x < image.width && y < image.height && image.row(y)[3 * x] > 127;
        if (is_set) row[(x - part.x) / 8] = static_cast<std::uint8_t>(row[(x - part.x) / 8] | 0x80 >> (x - part.x) % 8);
      }
      continue;
    }
    for (int x = part.x; x < part.x + part.width; ++x) {
      const bool inside = x < image.width && y < image.height;
      const int colours = options.grey || options.planar ? 1 : 3;
      for (int c = 0; c < colours; ++c)
        samples.insert(samples.end(), bytes, inside ? image.row(y)[3 * x + c + plane] : 0);
      if (options.alpha) samples.insert(samples.end(), bytes, 0x40);
    }
  }
  return samples;
}

}  // namespace

std::string tiff_of(const std::vector<TiffTag>& tags, const std::string& data, const std::vector<TiffTag>& sub) {
  std::string out = "II*" + std::string(1, '\0') + le32_text(static_cast<std::uint32_t>(8 + data.size())) + data;
  const auto add_directory = [&](std::vector<TiffTag> all, bool has_sub) {
    constexpr std::uint32_t kLong = 4, kAscii = 2, kSubIfd = 330;
    const std::size_t bytes = 2 + 12 * (all.size() + (has_sub ? 1 : 0)) + 4;
    std::string texts;
    const std::size_t texts_at = out.size() + bytes;
    for (const TiffTag& tag : all) texts += tag.text;
    if (has_sub) all.push_back({kSubIfd, static_cast<std::uint32_t>(texts_at + texts.size())});
    std::sort(all.begin(), all.end(), [](const TiffTag& a, const TiffTag& b) { return a.tag < b.tag; });
    std::string entries;
    texts.clear();
    for (const TiffTag& tag : all) {
      entries += le16_text(tag.tag) + le16_text(tag.text.empty() ? kLong : kAscii);
      entries += le32_text(tag.text.empty() ? 1 : static_cast<std::uint32_t>(tag.text.size()));
      entries += le32_text(tag.text.empty() ? tag.value : static_cast<std::uint32_t>(texts_at + texts.size()));
      texts += tag.text;
    }
    out += le16_text(static_cast<std::uint32_t>(all.size())) + entries + le32_text(0) + texts;
  };
  add_directory(tags, !sub.empty());
  if (!sub.empty()) add_directory(sub, false);
  return out;
}

std::string encode_tiff(const Image& image, const TiffOptions& options) {
  Memory memory;
  TIFF* tiff = open_tiff(memory, options.mode);
  TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, image.width);
  TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, image.height);
  TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, options.bits);
  TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, (options.grey ? 1 : 3) + (options.alpha ? 1 : 0));
  TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, options.grey ? PHOTOMETRIC_MINISBLACK : PHOTOMETRIC_RGB);
  TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, options.planar ? PLANARCONFIG_SEPARATE : PLANARCONFIG_CONTIG);
  const int compression = options.compression != 0 ? options.compression
                          : options.lzw            ? COMPRESSION_LZW
                                                   : COMPRESSION_NONE;
  TIFFSetField(tiff, TIFFTAG_COMPRESSION, compression);
  if (options.predictor) TIFFSetField(tiff, TIFFTAG_PREDICTOR, PREDICTOR_HORIZONTAL);
  TIFFSetField(tiff, TIFFTAG_ORIENTATION, options.orientation);
  const std::uint16_t extra = EXTRASAMPLE_UNASSALPHA;
  if (options.alpha) TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, 1, &extra);
  const int planes = options.planar ? 3 : 1;
  if (options.tiled) {
    TIFFSetField(tiff, TIFFTAG_TILEWIDTH, 16);
    TIFFSetField(tiff, TIFFTAG_TILELENGTH, 16);
    for (int y = 0; y < image.height; y += 16) {
      for (int x = 0; x < image.width; x += 16) {
        for (int plane = 0; plane < planes; ++plane) {
          auto tile = tiff_samples(image, options, {x, y, 16, 16}, plane);
          TIFFWriteTile(tiff, tile.data(), static_cast<std::uint32_t>(x), static_cast<std::uint32_t>(y), 0,
                        static_cast<std::uint16_t>(plane));
        }
      }
    }
  } else {
    TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, 7);
    for (int plane = 0; plane < planes; ++plane) {
      for (int y = 0; y < image.height; ++y) {
        auto row = tiff_samples(image, options, {0, y, image.width, 1}, plane);
        TIFFWriteScanline(tiff, row.data(), static_cast<std::uint32_t>(y), static_cast<std::uint16_t>(plane));
      }
    }
  }
  TIFFClose(tiff);
  return memory.bytes;
}

std::string encode_bmp(const Image& image, int bits, int height_sign) {
  std::string rows;
  for (int i = 0; i < image.height; ++i) {
    const int y = height_sign > 0 ? image.height - 1 - i : i;
    std::string row;
    for (int x = 0; x < image.width; ++x) {
      const std::uint8_t* p = image.row(y) + 3 * x;
      if (bits == 16) {
        row += le16_text(static_cast<std::uint32_t>((p[0] >> 3) << 10 | (p[1] >> 3) << 5 | (p[2] >> 3)));
      } else {
        row += {static_cast<char>(p[2]), static_cast<char>(p[1]), static_cast<char>(p[0])};
        if (bits == 32) row += '\x40';
      }
    }
    row.resize((row.size() + 3) / 4 * 4);
    rows += row;
  }
  const auto height = static_cast<std::uint32_t>(height_sign * image.height);
  return "BM" + le32_text(static_cast<std::uint32_t>(54 + rows.size())) + le32_text(0) + le32_text(54) + le32_text(40) +
         le32_text(static_cast<std::uint32_t>(image.width)) + le32_text(height) + le16_text(1) +
         le16_text(static_cast<std::uint32_t>(bits)) + std::string(24, '\0') + rows;
}

}  // namespace imgrec::test
