// Which image format some bytes claim to be, by their first bytes alone: cheap enough to ask before anything is stored.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lib/base/units.hpp"

namespace imgrec {

enum class ImageType { jpeg, png, webp, bmp, gif, tiff, heic, avif };

/// Nothing when it is none of them. Says nothing about the rest of the bytes.
std::optional<ImageType> sniff_image_type(ByteView bytes);

/// "image/jpeg" …
std::string_view media_type(ImageType type);

/// For messages.
constexpr std::string_view kImageTypeNames = "JPEG, PNG, WebP, BMP, GIF, TIFF, HEIC and AVIF";

/// For people who sent something else: what it seems to be, where its first bytes tell, and what to send instead.
std::string unknown_format_message(ByteView bytes);

/// kind: as "Nikon NEF"; empty where it is not known.
std::string camera_raw_message(std::string_view kind);

}  // namespace imgrec
