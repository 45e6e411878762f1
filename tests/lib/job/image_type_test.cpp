#include "lib/job/image_type.hpp"

#include <gtest/gtest.h>

namespace imgrec::image_type_test {
namespace {

using namespace std::string_view_literals;

TEST(SniffImageType, KnowsFormatsByTheirFirstBytes) {
  EXPECT_EQ(sniff_image_type("\xFF\xD8\xFF\xE0"sv), ImageType::jpeg);
  EXPECT_EQ(sniff_image_type("\x89PNG\r\n\x1A\n...."sv), ImageType::png);
  EXPECT_EQ(sniff_image_type("RIFF\x24\0\0\0WEBPVP8 "sv), ImageType::webp);
  EXPECT_EQ(sniff_image_type("GIF89a"sv), ImageType::gif);
  EXPECT_EQ(sniff_image_type("II*\0\x08\0\0\0"sv), ImageType::tiff);
  EXPECT_EQ(sniff_image_type("MM\0*\0\0\0\x08"sv), ImageType::tiff);
  EXPECT_EQ(sniff_image_type("BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"sv), ImageType::bmp);
  EXPECT_EQ(sniff_image_type("\0\0\0\x18"
                             "ftypheic\0\0\0\0mif1heic"sv),
            ImageType::heic);
  EXPECT_EQ(sniff_image_type("\0\0\0\x18"
                             "ftypmif1\0\0\0\0mif1heic"sv),
            ImageType::heic);
  EXPECT_EQ(sniff_image_type("\0\0\0\x1C"
                             "ftypavif\0\0\0\0avifmif1miaf"sv),
            ImageType::avif);
  EXPECT_EQ(sniff_image_type("\0\0\0\x1C"
                             "ftypmif1\0\0\0\0mif1avifmiaf"sv),
            ImageType::avif);
  EXPECT_EQ(sniff_image_type("\0\0\0\x18"
                             "ftypisom\0\0\0\0isommp42avif"sv),
            std::nullopt)
      << "behind the box";
}

TEST(UnknownFormats, AreNamedWithWhatToDo) {
  const auto named = [](ByteView bytes, std::string_view name) {
    const std::string message = unknown_format_message(bytes);
    return message.find(name) != message.npos && message.find("JPEG") != message.npos;
  };
  EXPECT_TRUE(
      named("\0\0\0\x18"
            "ftypcrx \0\0\0\0crx isom"sv,
            "camera RAW (Canon CR3)"));
  EXPECT_TRUE(named("FUJIFILMCCD-RAW 0201"sv, "camera RAW (Fujifilm RAF)"));
  EXPECT_TRUE(named("IIRO\x08\0\0\0"sv, "camera RAW (Olympus ORF)"));
  EXPECT_TRUE(named("IIU\0\x18\0\0\0"sv, "camera RAW (Panasonic RW2)"));
  EXPECT_TRUE(named("II\x1A\0\0\0HEAPCCDR"sv, "camera RAW (Canon CRW)"));
  EXPECT_TRUE(
      named("\0\0\0\x14"
            "ftypqt  \0\0\0\0qt  "sv,
            "a video"));
  EXPECT_TRUE(named("\0\0\0\x0CjP  \r\n\x87\n"sv, "JPEG 2000"));
  EXPECT_TRUE(named("\xFF\x0A\0\0"sv, "JPEG XL"));
  EXPECT_TRUE(named("%PDF-1.7"sv, "a PDF"));
  EXPECT_TRUE(named("hello"sv, "no image in a known format"));
}

TEST(SniffImageType, IsNotTakenInByTextOrOtherRiffs) {
  for (const auto bytes : {""sv, "BM"sv, "BMW is a car maker in Munich"sv, "RIFF\x24\0\0\0WAVEfmt "sv, "%PDF-1.7"sv,
                           "<svg/>"sv, "GIF88a"sv, "\x89PNG"sv}) {
    EXPECT_EQ(sniff_image_type(bytes), std::nullopt) << bytes;
  }
}

}  // namespace
}  // namespace imgrec::image_type_test
