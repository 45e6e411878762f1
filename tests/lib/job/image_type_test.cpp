#include "lib/job/image_type.hpp"

#include <gtest/gtest.h>

namespace imgrec {
namespace {

using namespace std::string_view_literals;

TEST(SniffImageType, KnowsSixFormatsByTheirFirstBytes) {
  EXPECT_EQ(sniff_image_type("\xFF\xD8\xFF\xE0"sv), ImageType::jpeg);
  EXPECT_EQ(sniff_image_type("\x89PNG\r\n\x1A\n...."sv), ImageType::png);
  EXPECT_EQ(sniff_image_type("RIFF\x24\0\0\0WEBPVP8 "sv), ImageType::webp);
  EXPECT_EQ(sniff_image_type("GIF89a"sv), ImageType::gif);
  EXPECT_EQ(sniff_image_type("II*\0\x08\0\0\0"sv), ImageType::tiff);
  EXPECT_EQ(sniff_image_type("MM\0*\0\0\0\x08"sv), ImageType::tiff);
  EXPECT_EQ(sniff_image_type("BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"sv), ImageType::bmp);
}

TEST(SniffImageType, IsNotTakenInByTextOrOtherRiffs) {
  for (const auto bytes : {""sv, "BM"sv, "BMW is a car maker in Munich"sv, "RIFF\x24\0\0\0WAVEfmt "sv, "%PDF-1.7"sv,
                           "<svg/>"sv, "GIF88a"sv, "\x89PNG"sv}) {
    EXPECT_EQ(sniff_image_type(bytes), std::nullopt) << bytes;
  }
}

}  // namespace
}  // namespace imgrec
