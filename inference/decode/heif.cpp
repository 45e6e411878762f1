// HEIC and AVIF on libheif. Loaded when the first such image comes: with its decoders and encoders it would make every
// start 16 ms slower. It has no limits on memory and time, and its decoders have had many a hole: it decodes in a
// process of its own.
#include <dlfcn.h>

#include <libheif/heif.h>

#include <cstring>
#include <memory>

#include "inference/decode/formats.hpp"
#include "inference/decode/in_child.hpp"

namespace imgrec::decode {
namespace {

constexpr unsigned kCpuSeconds = 10, kWallSeconds = 60;
// Planes of the image and of the grid's tile that is decoded, both as YCbCr and as RGB, and the decoder's own.
constexpr std::uint64_t kBytesPerPixel = 16, kBytesBesides = 192 * kMiB;

struct Library {
  decltype(&heif_context_alloc) context_alloc = nullptr;
  decltype(&heif_context_free) context_free = nullptr;
  decltype(&heif_context_read_from_memory_without_copy) read = nullptr;
  decltype(&heif_context_get_primary_image_handle) primary = nullptr;
  decltype(&heif_image_handle_get_width) width = nullptr;
  decltype(&heif_image_handle_get_height) height = nullptr;
  decltype(&heif_context_set_max_decoding_threads) set_threads = nullptr;
  decltype(&heif_decoding_options_alloc) options_alloc = nullptr;
  decltype(&heif_decode_image) decode = nullptr;
  decltype(&heif_image_get_width) decoded_width = nullptr;
  decltype(&heif_image_get_height) decoded_height = nullptr;
  decltype(&heif_image_get_plane_readonly) plane = nullptr;
};

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  return function != nullptr;
}

// Never unloaded. Null where it is not installed.
const Library* load() {
  static Library all;
  void* const library = ::dlopen("libheif.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return nullptr;
  const bool complete =
      find(library, "heif_context_alloc", all.context_alloc) && find(library, "heif_context_free", all.context_free) &&
      find(library, "heif_context_read_from_memory_without_copy", all.read) &&
      find(library, "heif_context_get_primary_image_handle", all.primary) &&
      find(library, "heif_image_handle_get_width", all.width) &&
      find(library, "heif_image_handle_get_height", all.height) &&
      find(library, "heif_context_set_max_decoding_threads", all.set_threads) &&
      find(library, "heif_decoding_options_alloc", all.options_alloc) &&
      find(library, "heif_decode_image", all.decode) && find(library, "heif_image_get_width", all.decoded_width) &&
      find(library, "heif_image_get_height", all.decoded_height) &&
      find(library, "heif_image_get_plane_readonly", all.plane);
  return complete ? &all : nullptr;
}

const Library* library() {
  static const Library* const loaded = load();
  return loaded;
}

enum class Outcome : int { unfinished, decoded, too_large, cut, unsupported, damaged, out_of_memory };

// At the front of what the child shares with us; the pixels follow.
struct Answer {
  Outcome outcome;
  int width, height;
  char message[200];
};

void answer_with(const heif_error& error, Answer& answer) {
  std::strncpy(answer.message, error.message != nullptr ? error.message : "", sizeof answer.message - 1);
  if (error.subcode == heif_suberror_End_of_data)
    answer.outcome = Outcome::cut;
  else if (error.subcode == heif_suberror_Security_limit_exceeded)
    answer.outcome = Outcome::out_of_memory;
  else if (error.code == heif_error_Memory_allocation_error)
    answer.outcome = Outcome::out_of_memory;
  else if (error.code == heif_error_Unsupported_feature || error.code == heif_error_Unsupported_filetype)
    answer.outcome = Outcome::unsupported;
  else
    answer.outcome = Outcome::damaged;
}

// In the child, which frees nothing: it ends.
void decode_into(const Library& heif, ByteView bytes, std::uint64_t pixels_max, std::span<std::byte> shared) {
  auto& answer = *reinterpret_cast<Answer*>(shared.data());
  heif_context* const context = heif.context_alloc();
  heif.set_threads(context, 0);
  heif_image_handle* handle = nullptr;
  heif_error error = heif.read(context, bytes.data(), bytes.size(), nullptr);
  if (error.code == heif_error_Ok) error = heif.primary(context, &handle);
  if (error.code != heif_error_Ok) return answer_with(error, answer);
  answer.width = heif.width(handle);
  answer.height = heif.height(handle);
  const auto width = static_cast<std::uint64_t>(answer.width), height = static_cast<std::uint64_t>(answer.height);
  if (answer.width <= 0 || answer.height <= 0 || width * height > pixels_max) {
    answer.outcome = Outcome::too_large;
    return;
  }
  heif_decoding_options* const options = heif.options_alloc();
  options->convert_hdr_to_8bit = 1;
  options->strict_decoding = 1;
  heif_image* image = nullptr;
  error = heif.decode(handle, &image, heif_colorspace_RGB, heif_chroma_interleaved_RGB, options);
  if (error.code != heif_error_Ok) return answer_with(error, answer);
  int stride = 0;
  const std::uint8_t* const rows = heif.plane(image, heif_channel_interleaved, &stride);
  if (rows == nullptr || heif.decoded_width(image, heif_channel_interleaved) != answer.width ||
      heif.decoded_height(image, heif_channel_interleaved) != answer.height) {
    std::strncpy(answer.message, "its sizes contradict each other", sizeof answer.message - 1);
    answer.outcome = Outcome::damaged;
    return;
  }
  std::byte* to = shared.data() + sizeof(Answer);
  for (std::uint64_t y = 0; y < height; ++y, to += 3 * width) {
    std::memcpy(to, rows + y * static_cast<std::uint64_t>(stride), 3 * width);
  }
  answer.outcome = Outcome::decoded;
}

Result<int> take(const char* name, const SharedBytes& shared, const ImageConfig& limits, Image& image) {
  const auto& answer = *reinterpret_cast<const Answer*>(shared.bytes().data());
  const std::string message(answer.message, strnlen(answer.message, sizeof answer.message));
  switch (answer.outcome) {
    case Outcome::decoded: break;
    case Outcome::too_large: {
      auto checked = check_dimensions(name, static_cast<std::uint64_t>(std::max(answer.width, 0)),
                                      static_cast<std::uint64_t>(std::max(answer.height, 0)), limits);
      return checked ? corrupt(name, "it has no size") : fail(checked.error());
    }
    case Outcome::cut: return truncated(name);
    case Outcome::unsupported: return unsupported(name, message);
    case Outcome::out_of_memory:
      return fail(ErrorKind::invalid, "image_too_large",
                  std::string("The ") + name + " needs more memory than an image may.");
    default: return corrupt(name, message);
  }
  const auto width = static_cast<std::uint64_t>(answer.width), height = static_cast<std::uint64_t>(answer.height);
  if (auto ok = check_dimensions(name, width, height, limits); !ok) return fail(ok.error());
  image.reset(answer.width, answer.height);
  std::memcpy(image.rgb.data(), shared.bytes().data() + sizeof(Answer), image.rgb.size());
  return 1;  // libheif has turned it
}

}  // namespace

Result<int> decode_heif(const char* name, ByteView bytes, const ImageConfig& limits, Image& image) {
  const Library* const heif = library();
  if (heif == nullptr) {
    return unsupported(name, "libheif.so.1 is not installed here (Debian's package libheif1); send it as JPEG");
  }
  const SharedBytes shared(sizeof(Answer) + 3 * limits.pixels_max);
  if (!shared.ok())
    return fail(ErrorKind::transient, "out_of_memory", "There is not enough memory to decode the image.");
  const ChildLimits child{.memory_bytes = kBytesPerPixel * limits.pixels_max + kBytesBesides,
                          .cpu_seconds = kCpuSeconds,
                          .wall_seconds = kWallSeconds};
  const auto done = run_in_child(child, [&] { decode_into(*heif, bytes, limits.pixels_max, shared.bytes()); });
  if (!done) return fail(done.error());
  return take(name, shared, limits, image);
}

}  // namespace imgrec::decode
