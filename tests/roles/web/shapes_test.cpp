// Clients of other services: Amazon Rekognition's DetectLabels, and the Open Inference Protocol.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "lib/job/tensor.hpp"
#include "tests/roles/web/web_node.hpp"

namespace imgrec::shapes_test {
namespace {

using nlohmann::json;
using test::Backend;
using test::FakeWorker;
using test::HttpAsk;
using test::HttpReply;
using test::jpeg_of;
using test::WebNode;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

std::string base64(const std::string& bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t at) { return at < bytes.size() ? static_cast<unsigned char>(bytes[at]) : 0U; };
    const unsigned group = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    for (std::size_t digit = 0; digit < 4; ++digit) {
      text += i + digit > bytes.size() ? '=' : kDigits[group >> (18 - 6 * digit) & 63];
    }
  }
  return text;
}

HttpAsk json_post(const std::string& target, const json& body) {
  return {.method = "POST", .target = target, .headers = {{"Content-Type", "application/json"}}, .body = body.dump()};
}

HttpAsk sdk_post(const json& body, const std::string& operation = "RekognitionService.DetectLabels") {
  return {.method = "POST",
          .target = "/",
          .headers = {{"Content-Type", "application/x-amz-json-1.1"}, {"X-Amz-Target", operation}},
          .body = body.dump()};
}

json detect(const std::string& image) {
  return {{"Image", {{"Bytes", base64(image)}}}};
}

std::string error_name(const HttpReply& reply) {
  return json::parse(reply.body).value("__type", "none");
}

class ShapesTest : public testing::Test {
 protected:
  Backend backend_;
  WebNode node_{backend_};
  FakeWorker worker_{backend_};
};

TEST_F(ShapesTest, DetectLabelsAnswersAsRekognition) {
  json body = detect(jpeg_of("cat"));
  body["MinConfidence"] = 25;
  for (const HttpAsk& ask : {json_post("/v1/detect-labels", body), sdk_post(body)}) {
    const HttpReply reply = node_.ask(ask);
    ASSERT_EQ(reply.status, 200) << reply.body;
    EXPECT_EQ(reply.header("content-type"), "application/x-amz-json-1.1");
    EXPECT_NE(reply.header("x-amzn-requestid"), "");
    const json answer = json::parse(reply.body);
    ASSERT_THAT(answer["Labels"], SizeIs(3));  // 90, 45 and 30 %; the fourth has 22.5
    EXPECT_EQ(answer["Labels"][0]["Name"], "cat");
    EXPECT_NEAR(answer["Labels"][0]["Confidence"].get<double>(), 90, 1e-9);
    EXPECT_EQ(answer["Labels"][0]["Parents"], json::array());
    EXPECT_EQ(answer["LabelModelVersion"], "fake-00");
  }
}

TEST_F(ShapesTest, DetectLabelsKeepsItsLimits) {
  json body = detect(jpeg_of("cat"));
  EXPECT_THAT(json::parse(node_.ask(sdk_post(body)).body)["Labels"], SizeIs(1)) << "from 55 % on, as there";
  body["MinConfidence"] = 0;
  body["MaxLabels"] = 2;
  EXPECT_THAT(json::parse(node_.ask(sdk_post(body)).body)["Labels"], SizeIs(2));
  body["MinConfidence"] = 95.5;
  EXPECT_THAT(json::parse(node_.ask(sdk_post(body)).body)["Labels"], SizeIs(0));
}

TEST_F(ShapesTest, DetectLabelsHasRekognitionsErrors) {
  const auto name_for = [&](json body) {
    const HttpReply reply = node_.ask(sdk_post(body));
    EXPECT_EQ(reply.status, 400) << reply.body;
    return error_name(reply);
  };
  EXPECT_EQ(name_for(json::object()), "InvalidParameterException");
  EXPECT_EQ(name_for(json::array()), "SerializationException");
  EXPECT_EQ(name_for({{"Image", json::object()}}), "InvalidParameterException");
  EXPECT_EQ(name_for({{"Image", {{"Bytes", "%"}}}}), "SerializationException");
  EXPECT_EQ(name_for({{"Image", {{"S3Object", {{"Bucket", "b"}, {"Name", "k"}}}}}}), "InvalidS3ObjectException");
  EXPECT_EQ(name_for(detect("")), "InvalidParameterException");
  EXPECT_EQ(name_for(detect("no image")), "InvalidImageFormatException");
  EXPECT_EQ(name_for(detect(jpeg_of("error image_truncated"))), "InvalidImageFormatException");
  EXPECT_EQ(name_for(detect(jpeg_of("error image_too_large"))), "ImageTooLargeException");
  for (const auto& [member, value] : {std::pair<std::string, json>{"MaxLabels", -1},
                                      {"MaxLabels", "x"},
                                      {"MinConfidence", 101},
                                      {"Features", {"IMAGE_PROPERTIES"}},
                                      {"Settings", {{"ImageProperties", {{"MaxDominantColors", 1}}}}}}) {
    json body = detect(jpeg_of("cat"));
    body[member] = value;
    EXPECT_EQ(name_for(body), "InvalidParameterException") << member;
  }
  EXPECT_EQ(error_name(node_.ask(sdk_post(json::object(), "RekognitionService.DetectFaces"))),
            "UnknownOperationException");
  const HttpReply failed = node_.ask(sdk_post(detect(jpeg_of("error internal_error"))));
  EXPECT_EQ(failed.status, 500);
  EXPECT_EQ(error_name(failed), "InternalServerError");
}

TEST_F(ShapesTest, ATargetOnAFormDisturbsNoReferenceClient) {
  HttpAsk ask = test::form_post("/", {{"inputFile", "test_0.JPEG", jpeg_of("cat")}});
  ask.headers.emplace_back("X-Amz-Target", "RekognitionService.DetectLabels");
  EXPECT_EQ(node_.ask(ask).body, "test_0:cat");
}

// As tritonclient writes it: JSON, then the tensors' bytes.
HttpAsk binary_post(json request, const std::string& tensor) {
  request["inputs"][0]["parameters"]["binary_data_size"] = tensor.size();
  const std::string head = request.dump();
  return {.method = "POST",
          .target = "/v2/models/resnet18/infer",
          .headers = {{"Content-Type", "application/octet-stream"},
                      {"Inference-Header-Content-Length", std::to_string(head.size())}},
          .body = head + tensor};
}

std::string element(const std::string& bytes) {
  std::string text(4, '\0');
  const auto size = static_cast<std::uint32_t>(bytes.size());
  std::memcpy(text.data(), &size, sizeof size);
  return text + bytes;
}

json image_input(int count) {
  return {{"inputs", {{{"name", "image"}, {"shape", {count}}, {"datatype", "BYTES"}}}}};
}

TEST_F(ShapesTest, InferenceTakesImagesAsBytesAndAnswersEveryOutput) {
  json request = image_input(2);
  request["id"] = "call 7";
  const HttpReply reply = node_.ask(binary_post(request, element(jpeg_of("cat")) + element(jpeg_of("dog"))));
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json answer = json::parse(reply.body);
  EXPECT_EQ(answer["model_name"], "resnet18");
  EXPECT_EQ(answer["id"], "call 7");
  ASSERT_THAT(answer["outputs"], SizeIs(4));
  const json& classes = answer["outputs"][0];
  EXPECT_EQ(classes["name"], "classes");
  EXPECT_EQ(classes["shape"], json({2, 5}));
  EXPECT_EQ(classes["data"][0], "0.900000:0:cat");
  EXPECT_EQ(classes["data"][5], "0.900000:0:dog");
  EXPECT_EQ(answer["outputs"][1]["data"][5], "dog");
  EXPECT_EQ(answer["outputs"][2]["data"][1], 0.45);
  EXPECT_EQ(answer["outputs"][3]["data"], json({0, 1, 2, 3, 4, 0, 1, 2, 3, 4}));
}

TEST_F(ShapesTest, InferenceTakesBase64InJson) {
  json request = image_input(1);
  request["inputs"][0]["data"] = {base64(jpeg_of("cat"))};
  request["outputs"] = {{{"name", "scores"}, {"parameters", {{"classification", 2}}}}};
  const HttpReply reply = node_.ask(json_post("/v2/models/resnet18/versions/1/infer", request));
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json answer = json::parse(reply.body);
  ASSERT_THAT(answer["outputs"], SizeIs(1));
  EXPECT_EQ(answer["outputs"][0]["datatype"], "BYTES");
  EXPECT_EQ(answer["outputs"][0]["data"], json({"0.900000:0:cat", "0.450000:1:other"}));
}

TEST_F(ShapesTest, InferenceAnswersInBinaryWhenItIsAsked) {
  json request = image_input(1);
  request["parameters"]["binary_data_output"] = true;
  request["outputs"] = {{{"name", "labels"}, {"parameters", {{"binary_data", false}}}}, {{"name", "indices"}}};
  const HttpReply reply = node_.ask(binary_post(request, element(jpeg_of("cat"))));
  ASSERT_EQ(reply.status, 200) << reply.body;
  const std::size_t head = std::stoul(reply.header("inference-header-content-length"));
  const json answer = json::parse(reply.body.substr(0, head));
  EXPECT_EQ(answer["outputs"][0]["data"][0], "cat");
  EXPECT_EQ(answer["outputs"][1]["parameters"]["binary_data_size"], 5 * 8);
  std::int64_t last = 0;
  std::memcpy(&last, reply.body.data() + head + 32, sizeof last);
  EXPECT_EQ(last, 4);
  EXPECT_EQ(reply.body.size(), head + 40);
}

TEST(Tensors, TravelThroughTheQueueAsObjects) {
  Backend backend;
  WebNode node(backend);
  const std::vector<float> numbers(2 * 3 * 2 * 2, 0.5F);
  const std::string bytes(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(float));
  auto reply = node.ask_later(
      binary_post({{"inputs", {{{"name", "tensor"}, {"shape", {2, 3, 2, 2}}, {"datatype", "FP32"}}}}}, bytes));
  for (const JobRequest& request : backend.take(2)) {
    const std::string object = backend.image_of(request);
    const auto tensor = parse_tensor(object);
    ASSERT_TRUE(tensor) << describe(tensor.error());
    EXPECT_EQ(tensor->height, 2);
    EXPECT_EQ(tensor->numbers, bytes.substr(0, bytes.size() / 2));
    JobResult result = test::answer_of(request, object);
    result.error.reset();
    result.labels = {{.index = 1, .wnid = "", .label = "dog", .score = 1}};
    backend.store_and_respond(result);
  }
  EXPECT_EQ(reply.get().status, 200);
}

TEST(Tensors, AreRefusedAtTheDoorWhenTheyCannotBeRun) {
  EXPECT_FALSE(is_tensor("imgrec"));
  const auto code = [](const std::string& object) { return parse_tensor(object).error().code; };
  EXPECT_EQ(code("imgrec-tensor 2 f32 3 1 1\n"), "bad_tensor");
  EXPECT_EQ(code("imgrec-tensor 1 f32 3 0 1\n"), "bad_tensor");
  EXPECT_EQ(code("imgrec-tensor 1 f32 3 99999 1\n"), "bad_tensor");
  EXPECT_EQ(code("imgrec-tensor 1 f32 3 1 1"), "bad_tensor");
  EXPECT_EQ(code(tensor_header(1, 1) + "too short"), "bad_tensor");
  for (const float bad : {NAN, INFINITY, -1e5F}) {
    std::string object = tensor_header(1, 1) + std::string(12, '\0');
    EXPECT_TRUE(parse_tensor(object));
    std::memcpy(object.data() + object.size() - sizeof bad, &bad, sizeof bad);
    EXPECT_EQ(code(object), "bad_tensor");
  }
}

TEST_F(ShapesTest, InferenceSaysWhatIsWrong) {
  const auto error = [&](const HttpAsk& ask, int status) {
    const HttpReply reply = node_.ask(ask);
    EXPECT_EQ(reply.status, status) << reply.body;
    const json answer = json::parse(reply.body, nullptr, false);
    EXPECT_THAT(answer, SizeIs(1)) << reply.body;
    return answer.value("error", "");
  };
  const std::string url = "/v2/models/resnet18/infer";
  EXPECT_THAT(error(json_post(url, json::array()), 400), HasSubstr("JSON"));
  EXPECT_THAT(error(json_post(url, json::object()), 400), HasSubstr("inputs"));
  json two = image_input(1);
  two["inputs"].push_back(two["inputs"][0]);
  EXPECT_THAT(error(json_post(url, two), 400), HasSubstr("one input"));
  EXPECT_THAT(error(json_post(url, image_input(1)), 400), HasSubstr("neither"));
  json few = image_input(2);
  few["inputs"][0]["data"] = {base64(jpeg_of("cat"))};
  EXPECT_THAT(error(json_post(url, few), 400), HasSubstr("fewer"));
  EXPECT_THAT(error(binary_post(image_input(1), element("x") + "y"), 400), HasSubstr("elements"));
  EXPECT_THAT(error(binary_post(image_input(1), "\xFF\xFF\xFF\xFF"), 400), HasSubstr("elements"));
  EXPECT_THAT(error(binary_post(image_input(1), element("no image")), 415), HasSubstr("JPEG"));
  EXPECT_THAT(error(binary_post(image_input(1), element(jpeg_of("error image_truncated"))), 422), HasSubstr("bad"));
  json output = image_input(1);
  output["outputs"] = {{{"name", "logits"}}};
  EXPECT_THAT(error(binary_post(output, element(jpeg_of("cat"))), 400), HasSubstr("logits"));
  HttpAsk cut = binary_post(image_input(1), element(jpeg_of("cat")));
  cut.headers.back().second = "99999";
  EXPECT_THAT(error(cut, 400), HasSubstr("Inference-Header-Content-Length"));
  json tensor = {{"inputs", {{{"name", "tensor"}, {"shape", {1, 1, 2, 2}}, {"datatype", "FP32"}}}}};
  EXPECT_THAT(error(binary_post(tensor, std::string(16, '\0')), 400), HasSubstr("[N, 3"));
  EXPECT_THAT(error(json_post("/v2/models/another/infer", image_input(1)), 404), HasSubstr("resnet18"));
  EXPECT_THAT(error({.target = "/v2/models/another", .headers = {}, .body = {}}, 404), HasSubstr("resnet18"));
  EXPECT_THAT(error({.target = "/v2/nothing", .headers = {}, .body = {}}, 404), HasSubstr("nothing"));
}

TEST_F(ShapesTest, TheServerTellsWhatItHas) {
  EXPECT_EQ(node_.get("/v2/health/live").status, 200);
  EXPECT_EQ(node_.get("/v2/health/ready").status, 200);
  EXPECT_EQ(node_.get("/v2/models/resnet18/ready").status, 200);
  EXPECT_EQ(node_.get("/v2/models/resnet18/versions/1/ready").status, 200);
  EXPECT_EQ(node_.get("/v2/models/resnet18/versions/2/ready").status, 404);
  EXPECT_EQ(json::parse(node_.get("/v2").body)["name"], "imgrec");
  for (const char* url : {"/v2/models/resnet18", "/v2/models/resnet18/versions/1"}) {
    const json model = json::parse(node_.get(url).body);
    EXPECT_EQ(model["name"], "resnet18");
    EXPECT_EQ(model["inputs"][0]["datatype"], "BYTES");
    EXPECT_EQ(model["outputs"][0]["name"], "classes");
  }
}

}  // namespace
}  // namespace imgrec::shapes_test
