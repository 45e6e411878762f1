#include "roles/web/api/intake.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/roles/web/web_node.hpp"

#include "roles/web/access/session.hpp"

namespace imgrec::intake_test {
namespace {

using test::form_post;
using test::jpeg_of;

Request with_headers(HttpHeaders headers) {
  Request request;
  request.headers = std::move(headers);
  return request;
}

Request form(const std::vector<test::FormFile>& files) {
  test::HttpAsk ask = form_post("/", files);
  Request request = with_headers({{"content-type", ask.headers[0].second}});
  request.body = std::move(ask.body);
  return request;
}

TEST(TakeImages, FieldDecidesDialectAndPicksItsParts) {
  Request request = form({{"other", "x.jpg", jpeg_of("x")}, {"inputFile", "a.jpg", jpeg_of("a")}});
  const auto intake = take_images(request, {}, {});
  ASSERT_TRUE(intake) << describe(intake.error());
  EXPECT_EQ(intake->dialect, Dialect::stem_label);
  ASSERT_EQ(intake->images.size(), 1U);
  EXPECT_EQ(intake->images[0].name, "a.jpg");
  EXPECT_EQ(intake->images[0].bytes, jpeg_of("a"));

  request = form({{"MyFile", "b.jpg", jpeg_of("b")}});
  EXPECT_EQ(take_images(request, {}, {})->dialect, Dialect::label);
}

TEST(TakeImages, AnyFieldServesAndEmptyFileFieldsAreSkipped) {
  Request request = form({{"p", "1.jpg", jpeg_of("1")}, {"q", "", ""}, {"p", "2.jpg", jpeg_of("2")}});
  const auto intake = take_images(request, {}, {});
  ASSERT_TRUE(intake);
  ASSERT_EQ(intake->images.size(), 2U);
  EXPECT_EQ(intake->images[1].name, "2.jpg");
}

TEST(TakeImages, RawBodyIsNamedByQueryThenDisposition) {
  Request request = with_headers({{"content-disposition", "attachment; filename=\"c d.jpg\""}});
  request.body = jpeg_of("c");
  EXPECT_EQ(take_images(request, {}, {})->images[0].name, "c d.jpg");
  request.body = jpeg_of("c");
  request.query = {{"name", "q.jpg"}};
  EXPECT_EQ(take_images(request, {}, {})->images[0].name, "q.jpg");
}

TEST(TakeImages, RawNamesMayHaveSemicolonsAndTheExtendedForm) {
  for (const auto& [header, name] :
       {std::pair{R"(attachment; filename="a;b.jpg")", "a;b.jpg"},
        {R"(attachment; filename="x"; filename*=UTF-8''na%C3%AFve.jpg)", "na\xC3\xAFve.jpg"}}) {
    Request request = with_headers({{"content-disposition", header}});
    request.body = jpeg_of("c");
    EXPECT_EQ(take_images(request, {}, {})->images[0].name, name);
  }
}

TEST(TakeImages, AnUnreadablePartIsAnErrorOfItsOwn) {
  Request request = form({{"p", "1.jpg", jpeg_of("1")}, {"p", "2.jpg", jpeg_of("2")}});
  const std::size_t second = request.body.find("filename=\"2.jpg\"");
  ASSERT_NE(second, std::string::npos);
  request.body.replace(second, 16, "filename*=UTF-8''%zz");
  const auto intake = take_images(request, {}, {});
  ASSERT_TRUE(intake) << describe(intake.error());
  ASSERT_EQ(intake->images.size(), 2U);
  EXPECT_FALSE(intake->images[0].error);
  ASSERT_TRUE(intake->images[1].error);
  EXPECT_EQ(intake->images[1].error->code, "bad_multipart");
}

TEST(TakeImages, WholeRequestErrors) {
  Request request;
  EXPECT_EQ(take_images(request, {}, {}).error().code, "no_image");
  request = form({});
  request.body =
      "--0f1e2d3c4b5a69788796a5b4c3d2e1f0\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n"
      "--0f1e2d3c4b5a69788796a5b4c3d2e1f0--\r\n";
  EXPECT_EQ(take_images(request, {}, {}).error().code, "no_image");
  WebConfig web;
  web.images_per_request_max = 1;
  request = form({{"a", "1", jpeg_of("")}, {"a", "2", jpeg_of("")}});
  EXPECT_EQ(take_images(request, web, {}).error().code, "too_many_images");
}

TEST(TakeImages, EachImageIsCheckedAtTheDoor) {
  ImageConfig limits;
  limits.bytes_max = 10;
  Request request =
      form({{"a", "ok", jpeg_of("ok")}, {"a", "text", "hello"}, {"a", "none", ""}, {"a", "big", jpeg_of("1234567")}});
  const auto intake = take_images(request, {}, limits);
  ASSERT_TRUE(intake);
  ASSERT_EQ(intake->images.size(), 4U);
  EXPECT_FALSE(intake->images[0].error);
  EXPECT_EQ(intake->images[1].error->code, "unsupported_format");
  EXPECT_THAT(intake->images[1].error->message, testing::HasSubstr("JPEG, PNG"));
  EXPECT_EQ(intake->images[2].error->code, "image_empty");
  EXPECT_EQ(intake->images[3].error->code, "image_too_large");
}

Request json_request(std::string body) {
  Request request = with_headers({{"content-type", "application/json; charset=utf-8"}});
  request.body = std::move(body);
  return request;
}

TEST(TakeImages, AReferenceNamesAnObjectOfAnAllowedBucket) {
  ImageConfig limits;
  limits.object_buckets = "scans,photos";
  Request request = json_request(R"({"images":[{"object":{"bucket":"photos","key":"2026/cat.jpg","version":"v1"}},
      {"name":"own","object":{"bucket":"scans","key":"x"}},{"object":{"bucket":"others","key":"x"}},
      {"object":{"bucket":"photos","key":"../x"}}]})");
  const auto intake = take_images(request, {}, limits);
  ASSERT_TRUE(intake) << describe(intake.error());
  ASSERT_EQ(intake->images.size(), 4U);
  const ObjectReference cat{.bucket = "photos", .key = ObjectKey("2026/cat.jpg"), .version = "v1"};
  EXPECT_EQ(intake->images[0].object, cat);
  EXPECT_EQ(intake->images[0].name, "cat.jpg");
  EXPECT_EQ(intake->images[0].bytes, to_json(cat));
  EXPECT_FALSE(intake->images[0].error);
  EXPECT_EQ(intake->images[1].name, "own");
  EXPECT_FALSE(intake->images[1].error);
  EXPECT_EQ(intake->images[2].error->code, "bucket_not_allowed");
  EXPECT_EQ(intake->images[3].error->code, "bad_object_reference");
}

TEST(TakeImages, ReferencesAreRefusedByDefault) {
  Request request = json_request(R"({"object":{"bucket":"photos","key":"cat.jpg"}})");
  EXPECT_EQ(take_images(request, {}, {})->images.at(0).error->code, "bucket_not_allowed");
}

TEST(TakeImages, AReferenceHasItsForm) {
  for (const char* body :
       {R"({"object":"photos/cat.jpg"})", R"({"object":{"bucket":"photos"}})", R"({"object":{"key":"cat.jpg"}})",
        R"({"object":{"bucket":1,"key":"x"}})", R"({"object":{"bucket":"photos","key":"x","version":1}})",
        R"({"content":"","object":{"bucket":"photos","key":"x"}})"}) {
    Request request = json_request(body);
    const auto intake = take_images(request, {}, {});
    ASSERT_FALSE(intake) << body;
    EXPECT_EQ(intake.error().code, "bad_json") << body;
  }
}

TEST(ParsePrefer, TakesWhatItKnows) {
  EXPECT_FALSE(parse_prefer({}).respond_async);
  const auto both = parse_prefer(with_headers({{"prefer", "respond-async, wait=10"}}));
  EXPECT_TRUE(both.respond_async);
  EXPECT_EQ(both.wait, Seconds(10));
  const auto several =
      parse_prefer(with_headers({{"prefer", "handling=lenient"}, {"prefer", "Wait = \"7\";x"}, {"prefer", "wait=9"}}));
  EXPECT_FALSE(several.respond_async);
  EXPECT_EQ(several.wait, Seconds(7));
  EXPECT_FALSE(parse_prefer(with_headers({{"prefer", "wait=-1"}})).wait);
  EXPECT_FALSE(parse_prefer(with_headers({{"prefer", "wait=soon"}})).wait);
}

TEST(ParseOptions, HaveRanges) {
  Request request;
  EXPECT_FALSE(parse_options(request)->top_k);
  EXPECT_FALSE(parse_options(request)->min_score);
  EXPECT_FALSE(parse_options(request)->model);
  EXPECT_FALSE(parse_options(request)->thumbnail);
  request.query = {{"top_k", "3"}, {"min_score", "0.25"}, {"model", "m"}, {"thumbnail", "16"}};
  const auto options = parse_options(request);
  EXPECT_EQ(options->top_k, 3);
  EXPECT_EQ(options->min_score, 0.25);
  EXPECT_EQ(options->model, "m");
  EXPECT_EQ(options->thumbnail, 16);
  for (const char* bad : {"0", "15", "257", "-16", "x", "", "3x"}) {
    request.query = {{"thumbnail", bad}};
    EXPECT_EQ(parse_options(request).error().code, "bad_thumbnail") << bad;
  }
  for (const char* bad : {"0", "1001", "-1", "x", "", "3x"}) {
    request.query = {{"top_k", bad}};
    EXPECT_EQ(parse_options(request).error().code, "bad_top_k") << bad;
  }
  for (const char* bad : {"-0.1", "1.1", "x", "", "nan", "inf"}) {
    request.query = {{"min_score", bad}};
    EXPECT_EQ(parse_options(request).error().code, "bad_min_score") << bad;
  }
}

// base64 of jpeg_of("cat") and jpeg_of("dog")
constexpr const char* kCat = "/9j/4GNhdA==";
constexpr const char* kDog = "/9j/4GRvZw==";

TEST(TakeImages, JsonHasAListOfImages) {
  Request request = json_request(R"({"images":[{"name":"a\u00e9.jpg","content":")" + std::string(kCat) +
                                 R"("},{"content":"?"},{"content":")" + kDog +
                                 R"("}],"top_k":2,"min_score":0.5,"model":"m","thumbnail":256,"other":[1]})");
  request.query = {{"top_k", "7"}, {"model", "of the query"}};
  const auto intake = take_images(request, {}, {});
  ASSERT_TRUE(intake) << describe(intake.error());
  EXPECT_TRUE(intake->is_list);
  ASSERT_EQ(intake->images.size(), 3U);
  EXPECT_EQ(intake->images[0].name, "a\u00e9.jpg");
  EXPECT_EQ(intake->images[0].bytes, jpeg_of("cat"));
  EXPECT_EQ(intake->images[1].error->code, "bad_base64");
  EXPECT_EQ(intake->images[2].bytes, jpeg_of("dog"));
  EXPECT_EQ(intake->options.top_k, 2);
  EXPECT_EQ(intake->options.min_score, 0.5);
  EXPECT_EQ(intake->options.model, "m");
  EXPECT_EQ(intake->options.thumbnail, 256);
}

TEST(TakeImages, JsonMayBeOneImage) {
  Request request = json_request(R"({"content":")" + std::string(kCat) + R"("})");
  request.query = {{"top_k", "7"}, {"thumbnail", "96"}};
  const auto intake = take_images(request, {}, {});
  ASSERT_TRUE(intake) << describe(intake.error());
  EXPECT_EQ(intake->options.thumbnail, 96);
  EXPECT_FALSE(intake->is_list);
  ASSERT_EQ(intake->images.size(), 1U);
  EXPECT_EQ(intake->images[0].bytes, jpeg_of("cat"));
  EXPECT_EQ(intake->options.top_k, 7);
}

TEST(TakeImages, JsonThatIsNoRequestIsRefused) {
  for (const auto& [body, code] :
       std::vector<std::pair<std::string, std::string>>{{"{", "bad_json"},
                                                        {"[]", "bad_json"},
                                                        {"{}", "bad_json"},
                                                        {R"({"images":{}})", "bad_json"},
                                                        {R"({"images":["x"]})", "bad_json"},
                                                        {R"({"images":[{"name":"a"}]})", "bad_json"},
                                                        {R"({"images":[{"name":1,"content":""}]})", "bad_json"},
                                                        {R"({"images":[{"content":1}]})", "bad_json"},
                                                        {R"({"images":[],"model":1})", "bad_json"},
                                                        {std::string(2000, '['), "bad_json"},
                                                        {R"({"images":[]})", "no_image"},
                                                        {R"({"images":[],"top_k":0})", "bad_top_k"},
                                                        {R"({"images":[],"top_k":1.5})", "bad_top_k"},
                                                        {R"({"images":[],"top_k":4294967297})", "bad_top_k"},
                                                        {R"({"images":[],"min_score":"0.5"})", "bad_min_score"},
                                                        {R"({"images":[],"min_score":2})", "bad_min_score"}}) {
    Request request = json_request(body);
    const auto intake = take_images(request, {}, {});
    ASSERT_FALSE(intake) << body;
    EXPECT_EQ(intake.error().code, code) << body;
  }
  Request empty = json_request(R"({"content":""})");
  EXPECT_EQ(take_images(empty, {}, {})->images[0].error->code, "image_empty");
  WebConfig web;
  web.images_per_request_max = 1;
  Request many = json_request(R"({"images":[{"content":""},{"content":""}]})");
  EXPECT_EQ(take_images(many, web, {}).error().code, "too_many_images");
}

TEST(SessionOf, HeaderThenCookieAndNothingElse) {
  EXPECT_FALSE(session_of({}));
  EXPECT_EQ(session_of(with_headers({{"cookie", "a=b; imgrec_session=s1"}}))->str(), "s1");
  EXPECT_EQ(session_of(with_headers({{"cookie", "imgrec_session=s1"}, {"x-session-id", "s2"}}))->str(), "s2");
  EXPECT_FALSE(session_of(with_headers({{"x-session-id", "../../etc"}})));
  EXPECT_FALSE(session_of(with_headers({{"cookie", "ximgrec_session=s1"}})));
}

TEST(TraceparentOf, OnlyTheRightForm) {
  const std::string good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  EXPECT_EQ(traceparent_of(with_headers({{"traceparent", good}})), good);
  EXPECT_EQ(traceparent_of(with_headers({{"traceparent", good + "0"}})), "");
  EXPECT_EQ(traceparent_of(with_headers({{"traceparent", "zz" + good.substr(2)}})), "");
}

}  // namespace
}  // namespace imgrec::intake_test
