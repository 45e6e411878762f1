// GIF on giflib, record by record up to the first image: the frames after it are never read.
#include <gif_lib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "inference/decode/formats.hpp"

namespace imgrec::decode {
namespace {

constexpr const char* kName = "GIF";

struct Source {
  ByteView bytes;
  std::size_t at = 0;
  bool ended = false;
};

int read_bytes(GifFileType* gif, GifByteType* target, int count) {
  auto* source = static_cast<Source*>(gif->UserData);
  if (source->at == source->bytes.size()) {
    // A block of no bytes, which ends an image. When pixels are missing, giflib says so; there is no second one.
    if (count != 1 || source->ended) return 0;
    source->ended = true;
    *target = 0;
    return 1;
  }
  const std::size_t got = std::min(static_cast<std::size_t>(count), source->bytes.size() - source->at);
  std::memcpy(target, source->bytes.data() + source->at, got);
  source->at += got;
  return static_cast<int>(got);
}

struct CloseGif {
  void operator()(GifFileType* gif) const { DGifCloseFile(gif, nullptr); }
};
using Gif = std::unique_ptr<GifFileType, CloseGif>;

std::unexpected<Error> error_of(int code) {
  switch (code) {
    case D_GIF_ERR_READ_FAILED:
    case D_GIF_ERR_EOF_TOO_SOON: return truncated(kName);
    case D_GIF_ERR_NOT_ENOUGH_MEM:
      return fail(ErrorKind::transient, "out_of_memory", "There is not enough memory to decode the GIF.");
    default: {
      const char* text = GifErrorString(code);
      return corrupt(kName, text != nullptr ? text : "its compressed data contradicts itself");
    }
  }
}

std::unexpected<Error> error_of(const GifFileType& gif) {
  if (static_cast<const Source*>(gif.UserData)->ended) return truncated(kName);
  return error_of(gif.Error);
}

// Reads an extension's blocks; remembers the transparent colour of a graphics control block.
Result<void> read_extension(GifFileType& gif, int& transparent) {
  int code = 0;
  GifByteType* block = nullptr;
  if (DGifGetExtension(&gif, &code, &block) == GIF_ERROR) return error_of(gif);
  while (block != nullptr) {
    if (code == GRAPHICS_EXT_FUNC_CODE && block[0] >= 4) transparent = (block[1] & 1) != 0 ? block[4] : -1;
    if (DGifGetExtensionNext(&gif, &block) == GIF_ERROR) return error_of(gif);
  }
  return {};
}

// Goes on to the first image's descriptor.
Result<void> find_first_image(GifFileType& gif, int& transparent) {
  auto& source = *static_cast<Source*>(gif.UserData);
  while (true) {
    // Stray zeros between blocks, as some programs leave them; browsers and Pillow skip them too.
    while (source.at < source.bytes.size() && source.bytes[source.at] == '\0') ++source.at;
    GifRecordType record = UNDEFINED_RECORD_TYPE;
    if (DGifGetRecordType(&gif, &record) == GIF_ERROR) return error_of(gif);
    if (record == TERMINATE_RECORD_TYPE) return corrupt(kName, "it holds no image");
    if (record == IMAGE_DESC_RECORD_TYPE) {
      if (DGifGetImageHeader(&gif) == GIF_ERROR) return error_of(gif);
      return {};
    }
    if (record == EXTENSION_RECORD_TYPE) {
      if (auto ok = read_extension(gif, transparent); !ok) return ok;
    }
  }
}

using Palette = std::array<GifColorType, 256>;

// Without any palette the indices are grey levels, as in Pillow.
int fill_palette(const ColorMapObject* map, Palette& palette) {
  if (map == nullptr) {
    for (unsigned i = 0; i < 256; ++i)
      palette[i] = {static_cast<GifByteType>(i), static_cast<GifByteType>(i), static_cast<GifByteType>(i)};
    return 256;
  }
  const int colours = std::min(map->ColorCount, 256);
  std::copy(map->Colors, map->Colors + colours, palette.begin());
  return colours;
}

void fill(Image& image, const GifColorType& colour) {
  for (std::size_t i = 0; i + 2 < image.rgb.size(); i += 3) {
    image.rgb[i] = colour.Red;
    image.rgb[i + 1] = colour.Green;
    image.rgb[i + 2] = colour.Blue;
  }
}

Result<void> read_pixels(GifFileType& gif, const Palette& palette, int colours, const ImageConfig& limits,
                         Image& image) {
  const GifImageDesc& frame = gif.Image;
  std::vector<GifPixelType> line(static_cast<std::size_t>(frame.Width));
  // Interlaced rows come in four passes (GIF89a specification, appendix E).
  constexpr int kFirst[] = {0, 4, 2, 1}, kStep[] = {8, 8, 4, 2};
  const int passes = frame.Interlace ? 4 : 1;
  for (int pass = 0; pass < passes; ++pass) {
    const int step = frame.Interlace ? kStep[pass] : 1;
    for (int y = frame.Interlace ? kFirst[pass] : 0; y < frame.Height; y += step) {
      if (DGifGetLine(&gif, line.data(), frame.Width) == GIF_ERROR) {
        auto error = error_of(gif);
        const bool something_has_come = pass > 0 || y > 0;
        if (something_has_come && limits.accepts_truncated() && error.error().code == "image_truncated") return {};
        return error;
      }
      std::uint8_t* target = image.row(frame.Top + y) + 3 * static_cast<std::size_t>(frame.Left);
      for (const GifPixelType index : line) {
        if (index >= colours) return corrupt(kName, "a colour is not in the palette");
        *target++ = palette[index].Red;
        *target++ = palette[index].Green;
        *target++ = palette[index].Blue;
      }
    }
  }
  return {};
}

}  // namespace

Result<int> decode_gif(ByteView bytes, const ImageConfig& limits, Image& image) {
  Source source{bytes};
  int error = 0;
  const Gif gif(DGifOpen(&source, read_bytes, &error));
  if (!gif) return error_of(error);
  int transparent = -1;
  if (auto ok = find_first_image(*gif, transparent); !ok) return fail(ok.error());
  const GifImageDesc& frame = gif->Image;
  if (frame.Left < 0 || frame.Top < 0) return corrupt(kName, "its first frame lies outside the canvas");
  if (auto ok = check_dimensions(kName, static_cast<std::uint64_t>(frame.Width),
                                 static_cast<std::uint64_t>(frame.Height), limits);
      !ok) {
    return fail(ok.error());
  }
  // A frame beyond the canvas makes it larger, as in browsers and Pillow.
  const int width = std::max(gif->SWidth, frame.Left + frame.Width);
  const int height = std::max(gif->SHeight, frame.Top + frame.Height);
  if (auto ok = check_dimensions(kName, static_cast<std::uint64_t>(width), static_cast<std::uint64_t>(height), limits);
      !ok) {
    return fail(ok.error());
  }
  Palette palette{};
  const int colours = fill_palette(frame.ColorMap != nullptr ? frame.ColorMap : gif->SColorMap, palette);
  image.reset(width, height);
  fill(image, palette[transparent >= 0 ? static_cast<std::size_t>(transparent) : 0]);
  if (auto ok = read_pixels(*gif, palette, colours, limits, image); !ok) return fail(ok.error());
  return 1;
}

}  // namespace imgrec::decode
