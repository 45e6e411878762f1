#include "cmd/cli/command.hpp"

namespace imgrec {
namespace {

constexpr const char* kRoleNotes =
    "SIGTERM drains and exits with 0; SIGINT (Ctrl-C) drains and exits with 130; a second signal ends it at once.";

Command local() {
  return {
      .name = "local",
      .summary = "The whole service on this machine: web, controller, and workers as child processes",
      .settings = kLocalCommand,
      .examples = {{"imgrec local", "page and API at http://127.0.0.1:8000, as many workers as cores"},
                   {"imgrec local --port 9000 --max-workers 4 --model efficientnet-lite0", "another port and model"},
                   {"imgrec local --state-dir ~/imgrec --retention 30d", "where everything is kept, and how long"}},
      .notes = kRoleNotes,
      .run = [](const Invocation& call) { return run_local_command(call.config()); }};
}

Command web() {
  return {.name = "web",
          .summary = "Take images over HTTP, hold each client until its own answer is there",
          .settings = kWebCommand,
          .examples = {{"imgrec web", "listen on 127.0.0.1:8000"},
                       {"imgrec web --bind 0.0.0.0 --port 80", "listen on all addresses"},
                       {"imgrec --role=web", "the same command, by role"}},
          .notes = kRoleNotes,
          .run = [](const Invocation& call) { return run_web_command(call.config()); }};
}

Command worker() {
  return {.name = "worker",
          .summary = "Receive images from the queue, classify, store and answer",
          .settings = kWorkerCommand,
          .examples = {{"imgrec worker", "one image per core at a time, until it is told to end"},
                       {"imgrec worker --threads 2 --exit-when-idle 60s", "end by itself when there is nothing to do"}},
          .notes = kRoleNotes,
          .run = [](const Invocation& call) { return run_worker_command(call.config(), call.hooks); }};
}

Command controller() {
  return {.name = "controller",
          .summary = "Watch the queue; start and stop workers as demand moves",
          .settings = kControllerCommand,
          .examples = {{"imgrec controller --max-workers 4", "beside `imgrec web`, on the same state folder"},
                       {"imgrec controller --dry-run", "log what it would do"}},
          .notes = kRoleNotes,
          .run = [](const Invocation& call) { return run_controller_command(call.config()); }};
}

Command classify() {
  return {.name = "classify",
          .summary = "Classify image files without any service",
          .arguments = "FILE|FOLDER|-…",
          .arguments_min = 1,
          .arguments_max = 1'000'000,
          .settings = kClassifyCommand,
          .examples = {{"imgrec classify photo.jpg", "a table"},
                       {"imgrec classify --json --top-k 3 photos/ more/cat.png", "one line of JSON per image"},
                       {"imgrec classify --csv photos/ > results.csv", "Image,Results"},
                       {"curl -s https://example.org/cat.jpg | imgrec classify -", "from standard input"}},
          .options = {{"--json", "", "one JSON object per line and image: labels and timings_ms, or error"},
                      {"--csv", "", "Image,Results: the file name without extension, and the first label"}},
          .notes =
              "Folders are searched for images, recursively, in the order of their names. Exits with 1 when an image\n"
              "could not be classified; the others are answered.",
          .run = run_classify};
}

Command bench() {
  return {
      .name = "bench",
      .summary = "Measure how long an image takes here, stage by stage, on each engine and in each precision",
      .arguments = "FILE|FOLDER…",
      .arguments_min = 1,
      .arguments_max = 1'000'000,
      .settings = kClassifyCommand,
      .examples = {{"imgrec bench photos/", "everything that this build and processor can do"},
                   {"imgrec bench --engine openvino --precision int8 --rounds 9 photos/", "one of them, with care"},
                   {"imgrec bench --json --threads 1 photos/ > here.json", "for programs; one core only"}},
      .options = {{"--json", "", "an object instead of tables: median, min, max and each round"},
                  {"--rounds", "NUMBER", "how often everything is measured, in turn [5]"},
                  {"--seconds", "NUMBER", "how long each measurement of a round takes [1]"}},
      .notes =
          "Images (1000 and 256 MiB at most) are held in memory. Efficiency is the throughput of one core times the\n"
          "sum of the stages' times: what is lost between stages makes it less than 1. The first label is that of\n"
          "`imgrec classify` with one image, from the start of the process, without and with a compiled model from\n"
          "an earlier start; peak memory is that of `imgrec classify` with all images.",
      .run = run_bench};
}

Command model_list() {
  return {.name = "model list",
          .summary = "List models: those installed and those known by name",
          .settings = kModelCommand,
          .examples = {{"imgrec model list", "a table"}},
          .run = run_model_list};
}

Command model_pull() {
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

Command model_import() {
  return {
      .name = "model import",
      .summary = "Install an ONNX file as a model",
      .arguments = "FILE",
      .arguments_min = 1,
      .arguments_max = 1,
      .settings = kModelCommand,
      .examples = {{"imgrec model import my.onnx --name mine --profile imagenet", "ImageNet's 1000 classes"},
                   {"imgrec model import cars.onnx --name cars --profile tf --labels cars.txt",
                    "classes of its own, one name per line"}},
      .options = {{"--name", "NAME", "name of the model: a-z 0-9 . _ -", true},
                  {"--profile", "PROFILE",
                   "how images are prepared: imagenet (mean/std), tf (x/127.5 - 1), as-is (no resize, RGB/255)", true},
                  {"--labels", "FILE", "class names, one per line; without it: ImageNet-1k"},
                  {"--licence", "TEXT", "licence of the weights, for `imgrec model list`"},
                  {"--output", "KIND", "what the network ends in: logits (default) or probabilities"},
                  {"--replace", "", "replace an installed model of that name"}},
      .notes = "The model is loaded and run once before it is installed.",
      .run = run_model_import};
}

Command model_verify() {
  return {.name = "model verify",
          .summary = "Read the weights again and compare their SHA-256",
          .arguments = "[NAME…]",
          .arguments_max = 1000,
          .settings = kModelCommand,
          .examples = {{"imgrec model verify", "all that are installed"}, {"imgrec model verify resnet18", "one"}},
          .notes = "Exits with 1 when one is damaged, with 2 when one is not installed.",
          .run = run_model_verify};
}

Command model_show() {
  return {.name = "model show",
          .summary = "Print a model's manifest",
          .arguments = "NAME",
          .arguments_min = 1,
          .arguments_max = 1,
          .settings = kModelCommand,
          .examples = {{"imgrec model show resnet18", "file, SHA-256, licence, profile, labels"}},
          .run = run_model_show};
}

Command model_agreement() {
  return {
      .name = "model agreement",
      .summary = "Measure how far a precision answers as f32 does, on photos",
      .arguments = "NAME",
      .arguments_min = 1,
      .arguments_max = 1,
      .settings = kModelCommand,
      .examples = {{"imgrec model agreement resnet18 --images photos/",
                    "what the service would take (--precision auto)"},
                   {"imgrec model agreement resnet18 --images photos/ --precision int8 --json", "for programs"}},
      .options = {{"--images", "DIR", "photos; more of them say more", true},
                  {"--engine", "ENGINE", "auto (default), openvino or opencv: f32 is computed by the same"},
                  {"--precision", "PRECISION", "f32, bf16 or int8; without it what auto takes"},
                  {"--json", "", "one JSON object, with the photos answered differently"}},
      .notes =
          "Prints on how many photos both have the same best label, the mean part of the five best labels that both\n"
          "have, and the mean and largest difference of the score of f32's best label. Photos that cannot be read\n"
          "are left out.",
      .run = run_model_agreement};
}

Command model_add_variant() {
  return {
      .name = "model add-variant",
      .summary = "Add a model's weights in another precision, if it answers as f32 does",
      .arguments = "NAME",
      .arguments_min = 1,
      .arguments_max = 1,
      .settings = kModelCommand,
      .examples = {{"imgrec model add-variant resnet18 --precision int8 --weights int8.xml --images photos/",
                    "measured on photos/, then published"},
                   {"imgrec model add-variant resnet18 --precision bf16 --images photos/",
                    "bf16 needs no weights of its own: only its agreement is kept"}},
      .options = {{"--precision", "PRECISION", "int8 or bf16", true},
                  {"--images", "DIR", "photos to measure on, 16 or more; none that it was calibrated with", true},
                  {"--weights", "FILE", "int8: OpenVINO IR, the .xml file; the .bin file lies beside it"},
                  {"--agreement-min", "FRACTION",
                   "photos with the same best label as in f32, at least; without it the setting model.agreement_min"},
                  {"--engine", "ENGINE", "the engine to measure with: auto (default), openvino or opencv"},
                  {"--made-by", "TEXT", "what made the weights, for `imgrec model show`"},
                  {"--json", "", "the figures as one JSON object"}},
      .notes =
          "The model is changed at once or not at all. Exits with 1 and leaves it as it was when the agreement is\n"
          "below the bound. `./dev quantize` makes the weights.",
      .run = run_model_add_variant};
}

Command model_tensors() {
  return {
      .name = "model tensors",
      .summary = "Write what the network gets for each photo, as a numpy file",
      .arguments = "NAME",
      .arguments_min = 1,
      .arguments_max = 1,
      .settings = kModelCommand,
      .examples = {{"imgrec model tensors resnet18 --images photos/ --output photos.npy",
                    "float32, shape (photos, 3, 224, 224)"}},
      .options = {{"--images", "DIR", "photos, at most 4096", true}, {"--output", "FILE", "the .npy file", true}},
      .notes =
          "Prints a JSON object with the model's weights and the images in order; those with an error have no tensor,\n"
          "and make it exit with 1. For tools that calibrate a network: decoding and resizing stay imgrec's.",
      .run = run_model_tensors};
}

Command config_show() {
  return {.name = "config show",
          .summary = "Print every setting with its value and where that came from",
          .settings = kConfigCommand,
          .examples = {{"imgrec config show", "a table"},
                       {"imgrec config show --config configs/local.toml --port 9000", "what these would amount to"},
                       {"imgrec config show --json", "for programs"}},
          .options = {{"--json", "", "an object by key: value, origin, environment name, flags"}},
          .notes = "Secrets are masked.",
          .run = run_config_show};
}

Command user_data_worker() {
  return {
      .name = "user-data worker",
      .summary = "Print the cloud-init user-data that makes a stock Debian 12 machine a worker on AWS",
      .settings = kConfigCommand,
      .examples = {{"imgrec user-data worker --config aws.toml", "as `imgrec controller` gives it to instances"},
                   {"imgrec user-data worker --config aws.toml > user-data.yaml", "for a launch template"}},
      .notes =
          "It needs aws.input_bucket, aws.bundle_key and aws.bundle_sha256 (imgrec bundle upload). Nothing is called,\n"
          "and no secret is in it: the machine has the credentials of its instance profile.",
      .run = run_user_data_worker};
}

Command bundle_upload() {
  return {.name = "bundle upload",
          .summary = "Put a worker's bundle (./dev bundle) into S3 and print the settings that name it",
          .arguments = "FILE",
          .arguments_min = 1,
          .arguments_max = 1,
          .settings = kConfigCommand,
          .examples = {{"imgrec bundle upload --config aws.toml build/bundle/imgrec-0.1.0-x86_64-0123456789ab.tar.gz",
                        "prints the lines for aws.toml"}},
          .notes = "It goes to aws.bundle_bucket, or else to aws.input_bucket, under bundles/.",
          .run = run_bundle_upload};
}

Command setup() {
  return {.name = "setup",
          .summary = "Make the queues and buckets of the settings, where they are not there yet",
          .settings = kConfigCommand,
          .examples = {{"imgrec setup --config aws.toml", "on AWS, with rights that the roles then need not have"}},
          .run = run_setup};
}

Command doctor() {
  return {.name = "doctor",
          .summary = "Check what the service needs, and say how to fix what is wrong",
          .settings = kConfigCommand,
          .examples = {{"imgrec doctor", "this machine, for `imgrec local`"},
                       {"imgrec doctor --config aws.toml", "the AWS account; instances by a dry run"},
                       {"imgrec doctor --config aws.toml --for worker --json", "one role's part, for programs"}},
          .options = {{"--for", "ROLE", "what one role needs: web, worker or controller; without it: all"},
                      {"--json", "", "an object: ok, and checks with name, status, detail and fix"}},
          .notes = "Exits with 1 when a check failed. Warnings and what could not be asked are no failures.",
          .run = run_doctor};
}

Command version_command() {
  return {
      .name = "version",
      .summary = "Print the version",
      .settings = kConfigCommand,
      .examples = {{"imgrec version", ""},
                   {"imgrec version --json", "for programs: with the arithmetic of this processor's int8 and bf16"}},
      .options = {{"--json", "", "an object: version, openvino (in this build), arithmetic"}},
      .run = run_version};
}

}  // namespace

const std::vector<Command>& commands() {
  static const std::vector<Command> all = {local(),
                                           web(),
                                           worker(),
                                           controller(),
                                           classify(),
                                           bench(),
                                           model_list(),
                                           model_pull(),
                                           model_import(),
                                           model_verify(),
                                           model_show(),
                                           model_agreement(),
                                           model_add_variant(),
                                           model_tensors(),
                                           doctor(),
                                           setup(),
                                           user_data_worker(),
                                           bundle_upload(),
                                           config_show(),
                                           version_command()};
  return all;
}

const Command* find_command(std::string_view name) {
  for (const Command& command : commands()) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

std::string Invocation::option(const std::string& flag) const {
  const auto found = options.find(flag);
  return found == options.end() ? "" : found->second;
}

}  // namespace imgrec
