// imgrec key create | list | revoke
#include <cstdio>
#include <filesystem>
#include <memory>

#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/commands/key_place_of.hpp"
#include "cmd/platform/platform.hpp"
#include "lib/base/text.hpp"
#include "roles/web/access/keys.hpp"

namespace imgrec {

std::unique_ptr<KeyPlace> key_place_of(const Config& config, std::shared_ptr<ObjectStore> results) {
  if (config.web.keys_file == kKeysInStore) return make_key_object(std::move(results));
  return make_key_file(config.web.keys_file);
}

namespace {

constexpr int kWritesMax = 10;

struct OpenedKeys {
  Platform platform;  // what the place uses
  std::unique_ptr<KeyPlace> place;
};

Result<OpenedKeys> open_place(const Config& config) {
  if (config.web.keys_file.empty()) {
    return fail(ErrorKind::invalid, "no_keys_file",
                "No setting says where the keys are: web.keys_file, or --web-keys-file FILE here. (A web node asks for "
                "keys where it is set: FILE, or `store` for an object that all nodes find.)");
  }
  OpenedKeys opened;
  if (config.web.keys_file == kKeysInStore) {
    auto platform = make_platform(config, system_clock(), system_rng());
    if (!platform) return fail(platform.error());
    opened.platform = *std::move(platform);
  }
  opened.place = key_place_of(config, opened.platform.outputs);
  return opened;
}

struct Keys {
  std::vector<AccessKey> keys;
  std::string version;  // empty: there is no document yet
};

Result<Keys> read_keys(KeyPlace& place) {
  const auto document = place.read({});
  if (!document && document.error().kind == ErrorKind::not_found) return Keys{};
  if (!document) return fail(document.error());
  auto keys = parse_keys(document->bytes);
  if (!keys) {
    return fail(ErrorKind::invalid, keys.error().code,
                place.shown() + ": " + keys.error().message + " Correct it by hand, or restore an earlier one.");
  }
  return Keys{*std::move(keys), document->version};
}

/// Applies a change to the keys as they are, again when somebody else was quicker.
template <class Change>
Result<void> change_keys(KeyPlace& place, Change change) {
  for (int attempt = 0; attempt < kWritesMax; ++attempt) {
    auto present = read_keys(place);
    if (!present) return fail(present.error());
    if (auto changed = change(present->keys); !changed) return changed;
    const auto replaced = place.replace(to_json(present->keys), present->version);
    if (!replaced) return fail(replaced.error());
    if (*replaced) return {};
  }
  return fail(ErrorKind::transient, "busy", "Others change the keys all the time: try again.");
}

Result<AccessKey> wanted_key(const Invocation& call) {
  AccessKey key{.id = "", .name = call.option("--name"), .roles = {}, .created_at = system_clock().wall_now()};
  const auto roles = parse_roles(call.option("--role"));
  if (!roles) return fail(roles.error());
  key.roles = *roles;
  if (key.name.empty() || key.name.size() > kKeyNameBytesMax || !is_valid_utf8(key.name) ||
      find_control(key.name) != std::string::npos) {
    return fail(ErrorKind::invalid, "bad_name", "--name has 1 to 100 bytes of text on one line.");
  }
  if (call.has("--rate")) {
    const auto rate = parse_rate(call.option("--rate"));
    if (!rate) return fail(rate.error());
    key.images_per_second = *rate;
  }
  if (call.has("--quota")) {
    const auto quota = parse_quota(call.option("--quota"));
    if (!quota) return fail(quota.error());
    key.images_per_day = *quota;
  }
  return key;
}

int run_key_create(const Invocation& call) {
  const auto wanted = wanted_key(call);
  if (!wanted) return report(wanted.error());
  const auto opened = open_place(call.config());
  if (!opened) return report(opened.error());
  const NewKey made = make_key(*wanted, system_rng());
  const auto changed = change_keys(*opened->place, [&](std::vector<AccessKey>& keys) -> Result<void> {
    if (keys.size() >= kAccessKeysMax) {
      return fail(ErrorKind::invalid, "too_many_keys", "There are as many keys as there may be: revoke some.");
    }
    keys.push_back(made.entry);
    return {};
  });
  if (!changed) return report(changed.error());
  // The key alone on standard output, for scripts.
  std::fprintf(stderr, "Key %s for %s (%s), in %s. It is shown this once:\n", made.entry.id.c_str(),
               printable(made.entry.name).c_str(), to_string(made.entry.roles).c_str(),
               printable(opened->place->shown()).c_str());
  std::printf("%s\n", made.key.reveal().c_str());
  return kExitOk;
}

int run_key_list(const Invocation& call) {
  const auto opened = open_place(call.config());
  if (!opened) return report(opened.error());
  const auto present = read_keys(*opened->place);
  if (!present) return report(present.error());
  std::vector<std::vector<std::string>> rows = {{"ID", "ROLES", "RATE", "QUOTA", "CREATED", "NAME"}};
  for (const AccessKey& key : present->keys) {
    rows.push_back({key.id, to_string(key.roles),
                    key.images_per_second > 0 ? number_text(key.images_per_second) + "/s" : "-",
                    key.images_per_day > 0 ? std::to_string(key.images_per_day) + "/day" : "-",
                    to_rfc3339(key.created_at), printable(key.name)});
  }
  const std::string text = as_columns(rows);
  print(text);
  return kExitOk;
}

int run_key_revoke(const Invocation& call) {
  const auto opened = open_place(call.config());
  if (!opened) return report(opened.error());
  const std::string& id = call.arguments.front();
  const auto changed = change_keys(*opened->place, [&](std::vector<AccessKey>& keys) -> Result<void> {
    if (std::erase_if(keys, [&](const AccessKey& key) { return key.id == id; }) > 0) return {};
    return fail(ErrorKind::not_found, "no_such_key",
                "There is no key " + printable(id) + ": `imgrec key list` shows those there are.");
  });
  if (!changed) return report(changed.error());
  std::printf("Revoked %s. Web nodes refuse it within 5 seconds.\n", id.c_str());
  return kExitOk;
}

}  // namespace

Command key_create_command() {
  return {
      .name = "key create",
      .summary = "Make a key for a user of the web role, and print it this once",
      .settings = kConfigCommand,
      .examples = {{"imgrec key create --web-keys-file keys.json --role submit --name camera-1", "sends images"},
                   {"imgrec key create --config aws.toml --role submit --name shop --rate 10/s --quota 5000/day",
                    "no more than that, over all web nodes"},
                   {"imgrec key create --config aws.toml --role read --name prometheus", "reads status and metrics"}},
      .options = {{.flag = "--role",
                   .value_name = "ROLE",
                   .help = "submit, read, admin, or several with commas between",
                   .required = true},
                  {.flag = "--name", .value_name = "TEXT", .help = "whose it is", .required = true},
                  {.flag = "--rate", .value_name = "RATE", .help = "images at most: 10/s, 90/m or 1000/h"},
                  {.flag = "--quota", .value_name = "NUMBER", .help = "images a day (UTC) at most: 5000/day"}},
      .notes =
          "submit: send images, see and cancel one's own jobs. read: status and metrics. admin: everything.\n"
          "Only a digest of the key is kept (web.keys_file). Web nodes know it within 5 seconds.",
      .run = run_key_create};
}

Command key_list_command() {
  return {.name = "key list",
          .summary = "List the keys: ids, names, roles and limits",
          .settings = kConfigCommand,
          .examples = {{"imgrec key list --web-keys-file keys.json", "a table"}},
          .run = run_key_list};
}

Command key_revoke_command() {
  return {
      .name = "key revoke",
      .summary = "Make a key worthless, within 5 seconds on every web node",
      .arguments = "ID",
      .arguments_min = 1,
      .arguments_max = 1,
      .settings = kConfigCommand,
      .examples = {{"imgrec key revoke --web-keys-file keys.json 0123456789ab", "the id is that of `imgrec key list`"}},
      .run = run_key_revoke};
}

}  // namespace imgrec
