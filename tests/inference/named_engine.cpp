#include "tests/inference/named_engine.hpp"

#include "inference/engine/engine_openvino.hpp"
#include "lib/base/cpu.hpp"

namespace imgrec::test {

Result<std::unique_ptr<Engine>> named_engine(const std::string& name, const std::filesystem::path& model,
                                             InputSize size, bool any_size) {
  constexpr std::uint64_t kBytesMax = 1024 * kMiB;
  auto graph = MappedFile::open(model, kBytesMax);
  if (!graph) return fail(graph.error());
  if (name == "opencv") return make_opencv_engine(graph->bytes(), {.size = size, .any_size = any_size});
  auto weights = model.extension() == ".xml"
                     ? MappedFile::open(std::filesystem::path(model).replace_extension(".bin"), kBytesMax)
                     : MappedFile();
  if (!weights) return fail(weights.error());
  const auto precision = parse_precision(name.substr(name.find('-') + 1));
  if (!precision) return fail(precision.error());
  const auto compiled = compile_openvino(std::make_shared<const ModelBytes>(*std::move(graph), *std::move(weights)),
                                         {.precision = *precision, .network = {.size = size, .any_size = any_size}});
  if (!compiled) return fail(compiled.error());
  return (*compiled)->make_engine();
}

bool can_run(const std::string& name) {
  if (name == "opencv") return true;
  if (!has_openvino()) return false;
  const ProcessorFeatures has = processor_features();
  return name != "openvino-bf16" || has.amx_bf16 || has.avx512_bf16;
}

}  // namespace imgrec::test
