// Built where libheif's headers are not there.
#include "inference/decode/formats.hpp"

namespace imgrec::decode {

Result<int> decode_heif(const char* name, ByteView, const ImageConfig&, Image&) {
  return unsupported(name, "this build of imgrec is without libheif; send it as JPEG");
}

}  // namespace imgrec::decode
