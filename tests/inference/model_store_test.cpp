#include "inference/model_import.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <fstream>

#include "inference/engine/engine_openvino.hpp"
#include "inference/models/model_files.hpp"
#include "lib/base/digest.hpp"
#include "lib/base/file.hpp"
#include "tests/inference/tiny_onnx.hpp"
#include "tests/support/shared_data.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec::model_store_test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class ModelStoreTest : public testing::Test {
 protected:
  fs::path write(const std::string& name, const std::string& bytes) {
    EXPECT_TRUE(write_file_atomic(dir_.path() / name, bytes, WriteMode::replace));
    return dir_.path() / name;
  }
  ImportOptions tiny(const std::string& name = "tiny") {
    return {.file = write("tiny.onnx", test::encode_onnx()),
            .name = name,
            .profile = PreprocessProfile::tf,
            .labels = write("names.txt", "a\nb\nc\n"),
            .licence = "MIT"};
  }
  Result<ModelEntry> import(const ImportOptions& options) {
    const auto imported = import_model(store_, options);
    return imported ? Result<ModelEntry>(imported->entry) : fail(imported.error());
  }
  // Nothing but whole models is left behind.
  void expect_tidy() {
    for (const auto& entry : fs::directory_iterator(folder_)) {
      EXPECT_NE(entry.path().filename().string().front(), '.') << entry.path();
    }
  }

  test::TempDir dir_;
  fs::path folder_ = dir_.path() / "models";
  ModelStore store_{folder_};
};

TEST_F(ModelStoreTest, ListsBuiltInModelsBeforeAnythingIsInstalled) {
  const auto models = store_.list();
  ASSERT_TRUE(models);
  ASSERT_EQ(models->size(), 2U);
  EXPECT_EQ((*models)[0].manifest.name, "efficientnet-lite0");
  EXPECT_EQ((*models)[1].manifest.name, "resnet18");
  EXPECT_TRUE((*models)[1].built_in);
  EXPECT_TRUE((*models)[1].folder.empty());
  EXPECT_FALSE(fs::exists(folder_)) << "looking makes no folders";
}

TEST_F(ModelStoreTest, ImportsFindsVerifies) {
  const auto imported = import(tiny());
  ASSERT_TRUE(imported) << describe(imported.error());
  const auto found = store_.find("tiny");
  ASSERT_TRUE(found) << describe(found.error());
  EXPECT_EQ(found->manifest.profile, PreprocessProfile::tf);
  EXPECT_EQ(found->manifest.licence, "MIT");
  EXPECT_EQ(found->manifest.sha256, sha256_hex(test::encode_onnx()));
  EXPECT_EQ(found->folder, folder_ / "tiny");
  EXPECT_FALSE(found->built_in);
  EXPECT_TRUE(store_.verify(*found));
  EXPECT_EQ(store_.list()->size(), 3U);
  expect_tidy();
  // Damage is found, with both digests.
  std::ofstream(found->weights(), std::ios::app) << "x";
  const auto damaged = store_.verify(*found);
  EXPECT_EQ(damaged.error().code, "model_damaged");
  EXPECT_THAT(damaged.error().message, HasSubstr(found->manifest.sha256));
}

TEST_F(ModelStoreTest, AnInstalledModelStaysUnlessReplaced) {
  ASSERT_TRUE(import(tiny()));
  ImportOptions other = tiny();
  other.file = write("other.onnx", test::encode_onnx({.weights = {2, 0, 0, 0, 2, 0, 0, 0, 2}}));
  EXPECT_EQ(import(other).error().code, "model_exists");
  other.replace = true;
  ASSERT_TRUE(import(other));
  EXPECT_EQ(store_.find("tiny")->manifest.sha256, *sha256_hex_of_file(other.file));
  EXPECT_TRUE(store_.verify(*store_.find("tiny")));
  expect_tidy();
}

TEST_F(ModelStoreTest, NothingUnusableIsInstalled) {
  ImportOptions options = tiny();
  options.file = write("half.onnx", test::encode_onnx().substr(0, 90));
  EXPECT_EQ(import(options).error().code, "model_unusable");
  options.file = write("strange.onnx", test::encode_onnx({.pool = "TeleportPool"}));
  EXPECT_EQ(import(options).error().code, "model_unusable");
  options = tiny();
  options.labels.clear();
  EXPECT_EQ(import(options).error().code, "bad_labels") << "three outputs, a thousand names";
  options = tiny();
  options.labels = write("two.txt", "a\nb\n");
  EXPECT_EQ(import(options).error().code, "bad_labels");
  options = tiny();
  options.file = dir_.path() / "absent.onnx";
  EXPECT_EQ(import(options).error().kind, ErrorKind::not_found);
  for (const char* name : {"", "..", "a/b", "A", ".hidden", "-x", "a b"}) {
    EXPECT_EQ(import(tiny(name)).error().code, "bad_model_name") << name;
  }
  EXPECT_EQ(import(tiny("resnet18")).error().code, "wrong_checksum") << "a built-in name is a promise";
  EXPECT_EQ(store_.list()->size(), 2U);
}

TEST_F(ModelStoreTest, WhatOnlyOneEngineReadsIsInstalledToo) {
  if (!has_openvino()) GTEST_SKIP() << "this build has no OpenVINO";
  ImportOptions options = tiny();
  const std::string onnx = test::encode_onnx({.pool = "GlobalLpPool"});
  ASSERT_FALSE(make_opencv_engine(onnx, {.any_size = true})) << "OpenCV has learnt it: choose another operator";
  options.file = write("lp.onnx", onnx);
  const auto imported = import(options);
  EXPECT_TRUE(imported) << describe(imported.error());
}

TEST_F(ModelStoreTest, NamesTheNearestModel) {
  const auto wrong = store_.find("resnet-18");
  EXPECT_EQ(wrong.error().code, "no_such_model");
  EXPECT_THAT(wrong.error().message, HasSubstr("Did you mean resnet18?"));
  EXPECT_EQ(store_.find("../etc").error().code, "no_such_model");
  EXPECT_EQ(store_.verify(*store_.find("resnet18")).error().code, "no_such_model") << "known, but not installed";
}

TEST_F(ModelStoreTest, AManifestCannotLeaveItsFolder) {
  ASSERT_TRUE(import(tiny()));
  const fs::path manifest = folder_ / "tiny" / "model.json";
  const std::string good = *read_file(manifest, kMiB);
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string json = good;
    const std::size_t at = json.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return json.replace(at, from.size(), to);
  };
  for (const std::string& bad : {std::string("{"), std::string("[]"), with("tiny.onnx", "../x"),
                                 with("labels.txt", "/etc/passwd"), with("224", "0"), with("\"tf\"", "\"tv\""),
                                 with("\"logits\"", "1"), with("\"name\": \"tiny\"", "\"name\": \"other\"")}) {
    ASSERT_TRUE(write_file_atomic(manifest, bad, WriteMode::replace));
    EXPECT_EQ(store_.find("tiny").error().code, "bad_manifest") << bad;
    EXPECT_EQ(store_.list()->size(), 2U) << "a damaged one does not hide the others";
  }
}

std::string with_variants(const std::string& manifest, const std::string& variants) {
  return manifest.substr(0, manifest.rfind('\n', manifest.size() - 2)) + ",\n\"variants\": " + variants + "\n}\n";
}

TEST_F(ModelStoreTest, VariantsAreReadWrittenAndVerified) {
  const auto entry = import(tiny());
  ASSERT_TRUE(entry);
  const fs::path folder = entry->folder;
  ASSERT_TRUE(write_file_atomic(folder / "int8.xml", "graph", WriteMode::replace));
  ASSERT_TRUE(write_file_atomic(folder / "int8.bin", "weights", WriteMode::replace));
  ModelManifest manifest = entry->manifest;
  manifest.variants = {{.precision = Precision::int8,
                        .files = {{.file = "int8.xml", .sha256 = sha256_hex("graph")},
                                  {.file = "int8.bin", .sha256 = sha256_hex("weights")}},
                        .agreement = Agreement{.top1 = 0.98, .top5_overlap = 0.95, .score_error = 0.012, .photos = 64},
                        .made_by = "a tool 1.0"},
                       {.precision = Precision::bf16}};
  ASSERT_TRUE(write_file_atomic(folder / "model.json", to_json(manifest), WriteMode::replace));
  const auto found = store_.find("tiny");
  ASSERT_TRUE(found) << describe(found.error());
  EXPECT_EQ(to_json(found->manifest), to_json(manifest));
  const ModelVariant* int8 = found->manifest.variant(Precision::int8);
  ASSERT_NE(int8, nullptr);
  EXPECT_EQ(int8->files[1].file, "int8.bin");
  EXPECT_EQ(int8->agreement->top1, 0.98);
  EXPECT_EQ(int8->agreement->photos, 64);
  ASSERT_NE(found->manifest.variant(Precision::bf16), nullptr);
  EXPECT_FALSE(found->manifest.variant(Precision::bf16)->agreement);
  EXPECT_EQ(found->manifest.variant(Precision::f32), nullptr);
  EXPECT_TRUE(store_.verify(*found));
  ASSERT_TRUE(write_file_atomic(folder / "int8.bin", "weightz", WriteMode::replace));
  EXPECT_EQ(store_.verify(*found).error().code, "model_damaged");
  fs::remove(folder / "int8.bin");
  EXPECT_EQ(store_.verify(*found).error().kind, ErrorKind::not_found);
}

TEST_F(ModelStoreTest, AVariantThatCannotBeIsRefused) {
  ASSERT_TRUE(import(tiny()));
  const fs::path manifest = folder_ / "tiny" / "model.json";
  const std::string good = *read_file(manifest, kMiB), digest = sha256_hex("");
  const auto file = [&](const std::string& name) { return R"({"file":")" + name + R"(","sha256":")" + digest + "\"}"; };
  const auto int8 = [&](const std::string& xml, const std::string& more) {
    return R"({"precision":"int8","made_by":"x","files":[)" + file(xml) + "," + file("int8.bin") + "]" + more + "}";
  };
  ASSERT_TRUE(write_file_atomic(manifest, with_variants(good, "[" + int8("int8.xml", "") + "]"), WriteMode::replace));
  ASSERT_TRUE(store_.find("tiny")) << describe(store_.find("tiny").error());
  const std::string agreement = R"(,"agreement":{"top1":0.9,"top5_overlap":0.9,"score_error":0.1,"photos":)";
  for (const std::string& bad :
       {std::string("{}"), std::string("[1]"), std::string(R"([{"precision":"int8"}])"),
        std::string(R"([{"precision":"f32"}])"), std::string(R"([{"precision":"int4"}])"),
        R"([{"precision":"bf16","files":[)" + file("a.xml") + "]}]", "[" + int8("../int8.xml", "") + "]",
        "[" + int8("int8.onnx", "") + "]", "[" + int8("int8.bin", "") + "]",
        "[" + int8("a.xml", "") + "," + int8("b.xml", "") + "]", "[" + int8("int8.xml", agreement + "0}") + "]",
        "[" + int8("int8.xml", agreement + "1e99}") + "]", "[" + int8("int8.xml", R"(,"agreement":{"top1":2})") + "]",
        std::string(
            R"([{"precision":"int8","files":[{"file":"a.xml","sha256":"1"},{"file":"a.bin","sha256":"1"}]}])")}) {
    ASSERT_TRUE(write_file_atomic(manifest, with_variants(good, bad), WriteMode::replace));
    EXPECT_EQ(store_.find("tiny").error().code, "bad_manifest") << bad;
  }
}

TEST_F(ModelStoreTest, ImportsRealWeights) {
  IMGREC_NEED_SHARED(weights, test::shared_path("models/resnet18-pqf.onnx"));
  const auto imported = import({.file = weights, .name = "resnet18-pqf", .licence = "non-commercial"});
  ASSERT_TRUE(imported) << describe(imported.error());
  EXPECT_TRUE(store_.verify(*imported));
}

TEST_F(ModelStoreTest, DamagedRealWeightsAreRefused) {
  IMGREC_NEED_SHARED(weights, test::shared_path("models/mobilenetv2-tf2.onnx"));
  const std::string bytes = *read_file(weights, 100 * kMiB);
  for (const double part : {0.0, 0.1, 0.5, 0.999}) {
    const auto file =
        write("cut.onnx", bytes.substr(0, static_cast<std::size_t>(static_cast<double>(bytes.size()) * part)));
    EXPECT_EQ(import({.file = file, .name = "cut"}).error().code, "model_unusable") << part;
  }
}

// ---- pull ----

// What the server does with one request.
struct Reply {
  int status = 200;
  std::string body;
  std::string content_range;
  std::optional<Error> ends_with;  // after the body
};

class ScriptedHttp final : public HttpClient {
 public:
  std::deque<Reply> replies;
  std::vector<HttpClientRequest> requests;

  Result<HttpClientResponse> send(const HttpClientRequest& request, std::stop_token stop) override {
    requests.push_back(request);
    if (stop.stop_requested()) return fail(ErrorKind::cancelled, "cancelled", "Stopped.");
    if (replies.empty()) return fail(ErrorKind::transient, "connection_failed", "Connection refused");
    const Reply reply = replies.front();
    replies.pop_front();
    HttpHeaders headers;
    if (!reply.content_range.empty()) headers.emplace_back("content-range", reply.content_range);
    if (reply.status / 100 == 2) {
      for (std::size_t at = 0; at < reply.body.size(); at += 1000) {
        if (auto ok = request.on_body(std::string_view(reply.body).substr(at, 1000), reply.status, headers); !ok)
          return fail(ok.error());
      }
    }
    if (reply.ends_with) return fail(*reply.ends_with);
    return HttpClientResponse{.status = reply.status, .headers = headers, .body = {}};
  }
  std::string range_of(std::size_t request) const {
    for (const auto& [name, value] : requests.at(request).headers) {
      if (name == "range") return value;
    }
    return "";
  }
};

class PullTest : public ModelStoreTest {
 protected:
  PullTest() {
    for (int i = 0; i < 5000; ++i) bytes_ += static_cast<char>(i * 7 + i / 256);
    model_.manifest = {
        .name = "pulled", .file = "pulled.onnx", .sha256 = sha256_hex(bytes_), .licence = "MIT", .source = "test"};
    model_.bytes = bytes_.size();
    model_.mirrors = {"https://one.example/m.onnx", "https://two.example/m.onnx"};
  }
  Result<ModelEntry> pull() { return pull_model(model_, folder_, http_, {}, stop_.get_token()); }
  void expect_installed(const Result<ModelEntry>& entry) {
    ASSERT_TRUE(entry) << describe(entry.error());
    EXPECT_EQ(*read_file(entry->weights(), kMiB), bytes_);
    EXPECT_TRUE(store_.verify(*entry));
    EXPECT_TRUE(store_.find("pulled"));
    expect_tidy();
  }
  Reply part_from(std::size_t at) const {
    return {.status = 206,
            .body = bytes_.substr(at),
            .content_range = "bytes " + std::to_string(at) + "-4999/5000",
            .ends_with = {}};
  }
  static Error lost() { return {ErrorKind::transient, "connection_lost", "Connection reset by peer"}; }

  std::string bytes_;
  BuiltInModel model_;
  ScriptedHttp http_;
  std::stop_source stop_;
};

TEST_F(PullTest, FromTheFirstMirror) {
  http_.replies = {{.body = bytes_, .content_range = {}, .ends_with = {}}};
  std::vector<std::uint64_t> seen;
  const auto entry = pull_model(model_, folder_, http_,
                                [&](std::uint64_t done, std::uint64_t total) {
                                  EXPECT_EQ(total, 5000U);
                                  seen.push_back(done);
                                },
                                {});
  expect_installed(entry);
  EXPECT_THAT(seen, testing::ElementsAre(1000, 2000, 3000, 4000, 5000));
  EXPECT_EQ(http_.requests.size(), 1U);
  EXPECT_EQ(http_.range_of(0), "");
  EXPECT_TRUE(http_.requests[0].follow_redirects);
}

TEST_F(PullTest, GoesOnWhereTheConnectionWasLost) {
  http_.replies = {{.body = bytes_.substr(0, 2000), .content_range = {}, .ends_with = lost()}, part_from(2000)};
  expect_installed(pull());
  EXPECT_EQ(http_.range_of(1), "bytes=2000-");
}

TEST_F(PullTest, GoesOnInTheNextRunAndOnTheNextMirror) {
  http_.replies = {{.body = bytes_.substr(0, 3000), .content_range = {}, .ends_with = lost()}};
  const auto first = pull();
  EXPECT_EQ(first.error().code, "mirrors_unreachable");
  EXPECT_THAT(first.error().message,
              testing::AllOf(HasSubstr("one.example"), HasSubstr("two.example"), HasSubstr("Pull again")));
  EXPECT_FALSE(store_.find("pulled")) << "half a model is no model";
  http_.requests.clear();
  http_.replies = {{.status = 503, .body = {}, .content_range = {}, .ends_with = {}}, part_from(3000)};
  expect_installed(pull());
  EXPECT_EQ(http_.range_of(0), "bytes=3000-");
  EXPECT_EQ(http_.requests[1].url, "https://two.example/m.onnx");
  EXPECT_EQ(http_.range_of(1), "bytes=3000-");
}

TEST_F(PullTest, AServerThatIgnoresTheRangeStartsOver) {
  http_.replies = {{.body = bytes_.substr(0, 2000), .content_range = {}, .ends_with = lost()},
                   {.body = bytes_, .content_range = {}, .ends_with = {}}};
  expect_installed(pull());
}

TEST_F(PullTest, AWrongRangeIsNotMixedIn) {
  http_.replies = {
      {.body = bytes_.substr(0, 2000), .content_range = {}, .ends_with = lost()}, part_from(1000), part_from(2000)};
  expect_installed(pull());
}

TEST_F(PullTest, WrongBytesOfAnEarlierRunAreDiscarded) {
  http_.replies = {{.body = std::string(2000, 'x'), .content_range = {}, .ends_with = lost()},
                   part_from(2000),
                   {.body = bytes_, .content_range = {}, .ends_with = {}}};
  expect_installed(pull());
  EXPECT_EQ(http_.range_of(2), "");
}

TEST_F(PullTest, OtherFilesAreNotInstalled) {
  const std::string other(5000, 'x');
  http_.replies = {{.body = other, .content_range = {}, .ends_with = {}},
                   {.body = other, .content_range = {}, .ends_with = {}}};
  const auto wrong = pull();
  EXPECT_EQ(wrong.error().code, "wrong_checksum");
  EXPECT_EQ(wrong.error().kind, ErrorKind::invalid);
  EXPECT_THAT(wrong.error().message, HasSubstr(model_.manifest.sha256));
  EXPECT_FALSE(store_.find("pulled"));
  // A page of a proxy; a file that goes on and on.
  http_.replies = {{.body = "<html>", .content_range = {}, .ends_with = {}},
                   {.body = std::string(9000, 'x'), .content_range = {}, .ends_with = {}}};
  EXPECT_EQ(pull().error().code, "mirrors_unreachable");
  EXPECT_FALSE(store_.find("pulled"));
}

TEST_F(PullTest, AMirrorThatHasNothingMoreStartsOver) {
  http_.replies = {{.body = bytes_.substr(0, 2000), .content_range = {}, .ends_with = lost()},
                   {.status = 416, .body = {}, .content_range = {}, .ends_with = {}},
                   {.body = bytes_, .content_range = {}, .ends_with = {}}};
  expect_installed(pull());
}

TEST_F(PullTest, CancellingKeepsThePart) {
  http_.replies = {{.body = bytes_.substr(0, 4000),
                    .content_range = {},
                    .ends_with = Error{ErrorKind::cancelled, "cancelled", "Stopped."}}};
  EXPECT_EQ(pull().error().kind, ErrorKind::cancelled);
  EXPECT_EQ(http_.requests.size(), 1U) << "no other mirror is asked";
  http_.replies = {part_from(4000)};
  expect_installed(pull());
}

TEST_F(PullTest, AFullDiskSaysWhatToDo) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  fs::create_directories(folder_);
  fs::create_symlink("/dev/full", folder_ / ".pulled.part");
  http_.replies = {{.body = bytes_, .content_range = {}, .ends_with = {}}};
  const auto full = pull();
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, "disk_full") << describe(full.error());
  EXPECT_THAT(full.error().message, HasSubstr("Free some space"));
}

TEST_F(PullTest, ADamagedInstallationIsReplaced) {
  http_.replies = {{.body = bytes_, .content_range = {}, .ends_with = {}}};
  const auto entry = pull();
  ASSERT_TRUE(entry);
  std::ofstream(entry->weights(), std::ios::app) << "x";
  http_.replies = {{.body = bytes_, .content_range = {}, .ends_with = {}}};
  expect_installed(pull());
}

TEST_F(PullTest, ModelsThatAreNotPulledSayWhatElse) {
  const auto offline = store_.pull("efficientnet-lite0", http_, {}, {});
  EXPECT_EQ(offline.error().code, "prepared_offline");
  EXPECT_THAT(offline.error().message, HasSubstr("./dev model efficientnet-lite0"));
  ASSERT_TRUE(import(tiny()));
  EXPECT_TRUE(store_.pull("tiny", http_, {}, {})) << "installed and intact: nothing to do";
  EXPECT_EQ(store_.pull("nothing", http_, {}, {}).error().code, "no_such_model");
  EXPECT_TRUE(http_.requests.empty());
  EXPECT_EQ(store_.pull("resnet18", http_, {}, {}).error().code, "mirrors_unreachable");
  EXPECT_EQ(http_.requests.size(), find_built_in("resnet18")->mirrors.size());
}

}  // namespace
}  // namespace imgrec::model_store_test
