// imgrec bundle upload
#include <cstdio>
#include <filesystem>

#include "aws/adapters/s3_store.hpp"
#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/commands/bundle_contents.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/platform/architecture.hpp"
#include "cmd/platform/platforms.hpp"
#include "lib/base/digest.hpp"
#include "lib/base/file.hpp"

namespace imgrec {
namespace {

constexpr Millis kUploadTimeout = std::chrono::hours(2);
constexpr std::string_view kGzip = "\x1F\x8B";

Result<std::string> read_bundle(const std::filesystem::path& file) {
  auto bytes = read_file(file, kBundleBytesMax);
  if (!bytes) return bytes;
  if (!bytes->starts_with(kGzip) || !file.filename().string().ends_with(".tar.gz")) {
    return fail(ErrorKind::invalid, "no_bundle", file.string() + " is no bundle: `./dev bundle` makes one (.tar.gz).");
  }
  return bytes;
}

int run_bundle_upload(const Invocation& call) {
  const AwsConfig& settings = call.config().aws;
  const std::filesystem::path file = call.arguments.front();
  const auto bytes = read_bundle(file);
  if (!bytes) return report(bytes.error());
  const auto contents = bundle_contents(*bytes);
  if (!contents) {
    return report({contents.error().kind, contents.error().code, file.string() + ": " + contents.error().message});
  }
  const BundleArchitecture bundle{.name = file.filename().string(), .architecture = contents->architecture};
  if (const auto fitting = check_architecture(call.config(), bundle); !fitting) return report(fitting.error());
  const auto buckets = aws_buckets(settings);
  if (!buckets) return report(buckets.error());
  auto session = open_aws_session(call.config(), system_clock(), system_rng());
  if (!session) return report(session.error());
  aws::S3StoreOptions options = store_options(settings);
  options.bucket = buckets->bundle;
  options.call_deadline = 3 * kUploadTimeout;
  options.attempt_timeout = kUploadTimeout;
  const auto store = aws::open_s3_store(**session, options);
  if (!store) return report(store.error());
  const std::string key = "bundles/" + file.filename().string();
  if (is_terminal(2)) {
    std::fprintf(stderr, "Uploading %s to %s ...\n", readable_bytes(static_cast<double>(bytes->size())).c_str(),
                 buckets->bundle.c_str());
  }
  const auto stored = (*store)->put(ObjectKey(key), *bytes, {.content_type = "application/gzip"});
  if (!stored) return report(stored.error());
  // No header of the table: TOML takes each once, and configs/aws.toml ends with [aws].
  std::printf("# For the end of aws.toml, in its table [aws]; they replace those of an earlier bundle.\n");
  std::printf("bundle_bucket = \"%s\"\nbundle_key = \"%s\"\nbundle_sha256 = \"%s\"\n", buckets->bundle.c_str(),
              key.c_str(), sha256_hex(*bytes).c_str());
  return kExitOk;
}

}  // namespace

Command bundle_upload_command() {
  return {
      .name = "bundle upload",
      .summary = "Put a worker's bundle (./dev bundle) into S3 and print the settings that name it",
      .arguments = "FILE",
      .arguments_min = 1,
      .arguments_max = 1,
      .settings = kConfigCommand,
      .examples = {{"imgrec bundle upload --config aws.toml build/bundle/imgrec-0.1.0-x86_64-0123456789ab.tar.gz",
                    "prints the lines for the end of aws.toml"}},
      .notes =
          "It goes to aws.bundle_bucket, or else to aws.input_bucket, under bundles/. It has to be for the processor\n"
          "that aws.instance_types and deploy.web_type have.",
      .run = run_bundle_upload};
}

}  // namespace imgrec
