// imgrec model list | pull | verify | show

#include <unistd.h>

#include <cstdio>

#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/signals.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/commands/model_text.hpp"
#include "cmd/platform/resolve.hpp"
#include "inference/models/model_store.hpp"
#include "lib/base/log.hpp"
#include "lib/http/client/curl_client.hpp"

namespace imgrec {
namespace {

ModelStore store_of(const Invocation& call) {
  return ModelStore(call.config().model.dir);
}

std::string numbers_text(const std::array<double, 3>& numbers) {
  char text[120];
  std::snprintf(text, sizeof text, "%g, %g, %g", numbers[0], numbers[1], numbers[2]);
  return text;
}

std::string size_of_weights(const ModelEntry& entry) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(entry.weights(), error);
  return error ? "missing" : readable_bytes(static_cast<double>(bytes));
}

// "f32, int8 (0.98)": what the model can be computed in, and how far a variant's answers are those in f32.
std::string precisions_of(const ModelManifest& manifest) {
  std::string text = "f32";
  for (const ModelVariant& variant : manifest.variants) {
    text += ", " + std::string(to_string(variant.precision));
    if (!variant.agreement) continue;
    char part[32];
    std::snprintf(part, sizeof part, " (%.3g)", variant.agreement->top1);
    text += part;
  }
  return text;
}

std::string variant_text(const ModelVariant& variant) {
  std::string text;
  if (const auto& agreement = variant.agreement) {
    char numbers[160];
    std::snprintf(numbers, sizeof numbers, "same best label %.3g, top-5 overlap %.3g, score error %.3g, on %d photos",
                  agreement->top1, agreement->top5_overlap, agreement->score_error, agreement->photos);
    text = numbers;
    if (!agreement->arithmetic.empty()) text += ", computed in " + printable(agreement->arithmetic);
  } else {
    text = "agreement with f32 not measured";
  }
  for (const VariantFile& file : variant.files) text += "; " + printable(file.file);
  return variant.made_by.empty() ? text : text + "; made by " + printable(variant.made_by);
}

Result<ModelEntry> find_installed(const ModelStore& store, const std::string& name) {
  auto entry = store.find(name);
  if (entry && entry->folder.empty()) {
    return fail(ErrorKind::not_found, "no_such_model",
                "The model " + name + " is not installed: `imgrec model pull " + name + "` downloads it.");
  }
  return entry;
}

int run_model_list(const Invocation& call) {
  const auto entries = store_of(call).list();
  if (!entries) return report(entries.error());
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "INSTALLED", "SIZE", "PROFILE", "PRECISIONS", "LICENCE", "SOURCE"}};
  for (const ModelEntry& entry : *entries) {
    const bool installed = !entry.folder.empty();
    rows.push_back({printable(entry.manifest.name), installed ? "yes" : "no", installed ? size_of_weights(entry) : "-",
                    std::string(to_string(entry.manifest.profile)), installed ? precisions_of(entry.manifest) : "-",
                    printable(entry.manifest.licence), printable(entry.manifest.source)});
  }
  print(as_columns(rows));
  return kExitOk;
}

int run_model_pull(const Invocation& call) {
  ignore_sigpipe();
  Interrupts interrupts;
  if (auto made = make_state_dir(call.config()); !made) return report(made.error());
  const std::string& name = call.arguments.front();
  Clock& clock = system_clock();
  ProgressLine progress(is_terminal(STDERR_FILENO), clock);
  const MonoTime begin = clock.mono_now();
  std::uint64_t first = 0;  // where a resumed transfer began: that part took no time
  bool begun = false;
  const auto on_progress = [&](std::uint64_t done, std::uint64_t total) {
    if (!begun) first = done;
    begun = true;
    const double seconds = elapsed_ms(begin, clock.mono_now()) / 1000;
    const double rate = seconds > 0 ? static_cast<double>(done - std::min(done, first)) / seconds : 0;
    progress.show(name + "  " + readable_bytes(static_cast<double>(done)) +
                  (total > 0 ? " of " + readable_bytes(static_cast<double>(total)) : "") + "  " + readable_bytes(rate) +
                  "/s");
  };
  const auto http = make_curl_client({.user_agent = "imgrec/" + std::string(version())});
  const auto pulled = store_of(call).pull(name, *http, on_progress, interrupts.token());
  progress.clear();
  if (!pulled)
    return interrupts.token().stop_requested() ? (report(pulled.error()), kExitInterrupted)
                                               : model_failed(pulled.error());
  print("Model " + name + " is installed in " + printable(pulled->folder.string()) + "\n");
  return kExitOk;
}

int run_model_verify(const Invocation& call) {
  const ModelStore store = store_of(call);
  std::vector<std::string> names = call.arguments;
  if (names.empty()) {
    const auto entries = store.list();
    if (!entries) return report(entries.error());
    for (const ModelEntry& entry : *entries) {
      if (!entry.folder.empty()) names.push_back(entry.manifest.name);
    }
    if (names.empty()) print("No model is installed: `imgrec model list` shows those known.\n");
  }
  int worst = kExitOk;
  for (const std::string& name : names) {
    const auto entry = find_installed(store, name);
    if (!entry) {
      worst = std::max(worst, report(entry.error()));
      continue;
    }
    if (auto intact = store.verify(*entry); !intact)
      worst = std::max(worst, model_failed(intact.error()));
    else
      print(printable(name) + "  intact  sha256 " + entry->manifest.sha256 + "\n");
  }
  return worst;
}

int run_model_show(const Invocation& call) {
  const auto entry = store_of(call).find(call.arguments.front());
  if (!entry) return report(entry.error());
  const ModelManifest& manifest = entry->manifest;
  const bool installed = !entry->folder.empty();
  std::vector<std::vector<std::string>> rows = {{"name", printable(manifest.name)},
                                                {"installed", installed ? printable(entry->folder.string()) : "no"},
                                                {"file", printable(manifest.file)},
                                                {"size", installed ? size_of_weights(*entry) : "-"},
                                                {"sha256", manifest.sha256},
                                                {"licence", printable(manifest.licence)},
                                                {"source", printable(manifest.source)},
                                                {"input", input_text(manifest)},
                                                {"profile", std::string(to_string(manifest.profile))},
                                                {"output", output_text(manifest)},
                                                {"labels", printable(manifest.labels)}};
  if (manifest.scaling) {
    rows.push_back({"mean", numbers_text(manifest.scaling->mean)});
    rows.push_back({"scale", numbers_text(manifest.scaling->scale)});
  }
  for (const ModelVariant& variant : manifest.variants) {
    rows.push_back({std::string(to_string(variant.precision)), variant_text(variant)});
  }
  print(as_columns(rows));
  return kExitOk;
}

}  // namespace

Command model_list_command() {
  return {.name = "model list",
          .summary = "List models: those installed and those known by name",
          .settings = kModelCommand,
          .examples = {{"imgrec model list", "a table"}},
          .run = run_model_list};
}

Command model_pull_command() {
  return {
      .name = "model pull",
      .summary = "Download a known model, resumed where it stopped, checked by its SHA-256",
      .arguments = "NAME",
      .arguments_min = 1,
      .arguments_max = 1,
      .settings = kModelCommand,
      .examples = {{"imgrec model pull resnet18", "the default model"},
                   {"https_proxy=http://proxy:3128 imgrec model pull resnet18", "through a proxy"}},
      .notes =
          "Proxies are taken from https_proxy, http_proxy, all_proxy and no_proxy. Exits with 3 when no mirror can be\n"
          "reached, with 130 when interrupted (the next pull goes on from there).",
      .run = run_model_pull};
}

Command model_verify_command() {
  return {.name = "model verify",
          .summary = "Read the weights again and compare their SHA-256",
          .arguments = "[NAME…]",
          .arguments_max = 1000,
          .settings = kModelCommand,
          .examples = {{"imgrec model verify", "all that are installed"}, {"imgrec model verify resnet18", "one"}},
          .notes = "Exits with 1 when one is damaged, with 2 when one is not installed.",
          .run = run_model_verify};
}

Command model_show_command() {
  return {.name = "model show",
          .summary = "Print a model's manifest",
          .arguments = "NAME",
          .arguments_min = 1,
          .arguments_max = 1,
          .settings = kModelCommand,
          .examples = {{"imgrec model show resnet18", "file, SHA-256, licence, profile, labels"}},
          .run = run_model_show};
}

}  // namespace imgrec
