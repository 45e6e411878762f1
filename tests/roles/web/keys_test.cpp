// Keys, where they lie, and who may do what with one.
#include "roles/web/access/keys.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <set>

#include "lib/base/text.hpp"
#include "lib/job/job.hpp"
#include "roles/web/access/caller.hpp"
#include "roles/web/access/cors.hpp"
#include "roles/web/access/key_place.hpp"
#include "roles/web/access/key_ring.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/memory_store.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec::keys_test {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

NewKey new_key(const std::string& roles, const std::string& name = "a program") {
  return make_key({.id = "", .name = name, .roles = parse_roles(roles).value()}, system_rng());
}

Request request_with(HttpHeaders headers) {
  Request request;
  request.method = "POST";
  request.path = "/v1/classify";
  request.headers = std::move(headers);
  return request;
}

/// A ring over a file, for tests that change it.
struct RingOverFile {
  test::TempDir folder;
  test::FakeClock clock;
  std::filesystem::path file = folder.path() / "keys.json";
  std::unique_ptr<KeyPlace> place = make_key_file(file);
  KeyRing ring{make_key_file(file), clock};

  void write(const std::vector<AccessKey>& keys) {
    const auto present = place->read({});
    ASSERT_EQ(place->replace(to_json(keys), present ? present->version : "").value(), true);
  }
};

TEST(Keys, HaveAnIdAndARandomSecretOfWhichOnlyADigestIsKept) {
  const NewKey made = new_key("submit"), other = new_key("submit");
  EXPECT_THAT(made.key.reveal(), testing::MatchesRegex("imgrec_[0-9a-f]{12}_[0-9a-f]{64}"));
  EXPECT_EQ(id_of_key(made.key.reveal()), made.entry.id);
  EXPECT_TRUE(matches(made.entry, made.key.reveal()));
  EXPECT_FALSE(matches(made.entry, other.key.reveal()));
  EXPECT_NE(made.entry.id, other.entry.id);
  const std::string document = to_json(std::vector{made.entry});
  EXPECT_THAT(document, Not(HasSubstr(made.key.reveal().substr(20))));
}

TEST(Keys, OfAnotherFormAreNone) {
  const std::string key = new_key("submit").key.reveal();
  for (const std::string& wrong : {std::string(), std::string("imgrec_"), key.substr(1), key + "0",
                                   "Imgrec" + key.substr(6), key.substr(0, 19) + "-" + key.substr(20),
                                   key.substr(0, 83) + "G", std::string(84, '\0'), std::string(100'000, 'a')}) {
    EXPECT_EQ(id_of_key(wrong), std::nullopt) << wrong.substr(0, 100);
  }
}

TEST(Keys, AreWrittenAndReadBack) {
  NewKey limited = new_key("submit,read", "Zoë's \"camera\"");
  limited.entry.images_per_second = 1.5;
  limited.entry.images_per_day = 5000;
  limited.entry.created_at = WallTime(Millis(1'700'000'000'123));
  const std::vector<AccessKey> keys = {limited.entry, new_key("admin").entry};
  EXPECT_EQ(parse_keys(to_json(keys)).value(), keys);
  EXPECT_EQ(parse_keys(to_json(std::vector<AccessKey>{})).value(), std::vector<AccessKey>{});
}

TEST(Keys, ADocumentThatIsWrongIsRefusedWhole) {
  const std::string good = to_json(std::vector{new_key("read").entry});
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  for (const std::string& wrong :
       {std::string(), std::string("[]"), good.substr(0, good.size() / 2), with("\"v\":1", "\"v\":2"),
        with("\"read\"", "\"root\""), with("\"id\":\"", "\"id\":\"zz"), with("\"sha256\":\"", "\"sha256\":\"0"),
        with("\"name\":\"a program\"", "\"name\":\"\""), with("\"created_at\":\"", "\"created_at\":\"x"),
        with("\"name\"", "\"images_per_second\":-1,\"name\""),
        with("\"name\"", "\"images_per_day\":\"many\",\"name\"")}) {
    EXPECT_EQ(parse_keys(wrong).error().code, "bad_keys") << wrong;
  }
  const AccessKey key = new_key("read").entry;
  EXPECT_THAT(parse_keys(to_json(std::vector{key, key})).error().message, HasSubstr("twice"));
}

TEST(Keys, RatesAndQuotas) {
  EXPECT_DOUBLE_EQ(parse_rate("10/s").value(), 10);
  EXPECT_DOUBLE_EQ(parse_rate("90/m").value(), 1.5);
  EXPECT_DOUBLE_EQ(parse_rate("1800/h").value(), 0.5);
  for (const char* wrong : {"", "10", "0/s", "-1/s", "ten/s", "10/d", "10/s ", "1e9/s", "nan/s", "inf/s"}) {
    EXPECT_FALSE(parse_rate(wrong)) << wrong;
  }
  EXPECT_EQ(parse_quota("5000/day").value(), 5000U);
  EXPECT_EQ(parse_quota("7").value(), 7U);
  for (const char* wrong : {"", "0", "-1", "1.5", "5/s", "99999999999999999999"})
    EXPECT_FALSE(parse_quota(wrong)) << wrong;
}

TEST(KeyFile, IsForItsOwnerAlone) {
  RingOverFile over;
  over.write({new_key("submit").entry});
  struct stat info{};
  ASSERT_EQ(::stat(over.file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST(KeyPlaces, AChangeBySomebodyElseIsNotOverwritten) {
  test::FakeClock clock;
  test::TempDir folder;
  const auto file = folder.path() / "keys.json";
  const auto store = std::make_shared<test::MemoryStore>(clock);
  for (const auto& make :
       {std::function([&] { return make_key_file(file); }), std::function([&] { return make_key_object(store); })}) {
    const auto mine = make(), theirs = make();
    EXPECT_EQ(mine->read({}).error().kind, ErrorKind::not_found);
    EXPECT_EQ(theirs->replace("first", "").value(), true);
    EXPECT_EQ(mine->replace("second", "").value(), false) << "it expected none";
    const std::string version = mine->read({}).value().version;
    EXPECT_EQ(theirs->replace("third", version).value(), true);
    EXPECT_EQ(mine->replace("fourth", version).value(), false);
    EXPECT_EQ(mine->read({}).value().bytes, "third");
  }
}

TEST(KeyRing, RefusesToStartWithoutOrWithBrokenKeys) {
  RingOverFile over;
  EXPECT_EQ(over.ring.load({}).error().code, "no_keys");
  std::ofstream(over.file) << "{";
  EXPECT_EQ(over.ring.load({}).error().code, "bad_keys");
}

TEST(KeyRing, KnowsNewKeysAndForgetsRevokedOnesAtTheNextRefresh) {
  RingOverFile over;
  const NewKey first = new_key("submit"), second = new_key("admin");
  over.write({first.entry});
  ASSERT_TRUE(over.ring.load({}));
  EXPECT_EQ(*over.ring.find(first.key.reveal()), first.entry);
  EXPECT_EQ(over.ring.find(second.key.reveal()), nullptr);
  over.write({second.entry});
  over.ring.refresh({});
  EXPECT_EQ(over.ring.find(first.key.reveal()), nullptr);
  EXPECT_EQ(*over.ring.find(second.key.reveal()), second.entry);
}

TEST(KeyRing, AKeyWithAnotherSecretIsNone) {
  RingOverFile over;
  const NewKey real = new_key("admin");
  over.write({real.entry});
  ASSERT_TRUE(over.ring.load({}));
  std::string forged = real.key.reveal();
  forged.back() = forged.back() == '0' ? '1' : '0';
  EXPECT_EQ(over.ring.find(forged), nullptr);
}

TEST(KeyRing, KeepsTheLastGoodOnesWhileTheFileIsBrokenOrGone) {
  RingOverFile over;
  const NewKey key = new_key("submit");
  over.write({key.entry});
  ASSERT_TRUE(over.ring.load({}));
  std::ofstream(over.file) << "{\"v\":1,\"keys\":[{";
  over.ring.refresh({});
  EXPECT_NE(over.ring.find(key.key.reveal()), nullptr);
  std::filesystem::remove(over.file);
  over.ring.refresh({});
  EXPECT_NE(over.ring.find(key.key.reveal()), nullptr);
  over.write({});
  over.ring.refresh({});
  EXPECT_EQ(over.ring.find(key.key.reveal()), nullptr) << "an empty list revokes all";
}

TEST(Callers, PresentAKeyInAnyOfFourWays) {
  const WebConfig web;
  const auto presented = [&](HttpHeaders headers) { return presented_key(request_with(std::move(headers)), web); };
  EXPECT_EQ(presented({{"authorization", "Bearer k1"}}), "k1");
  EXPECT_EQ(presented({{"authorization", "bearer   k1 "}}), "k1");
  EXPECT_EQ(presented({{"x-api-key", " k2 "}}), "k2");
  EXPECT_EQ(
      presented({{"authorization",
                  "AWS4-HMAC-SHA256 Credential=k3/20261127/us-east-1/rekognition/aws4_request, SignedHeaders=host"}}),
      "k3");
  EXPECT_EQ(presented({{"cookie", "a=b; imgrec_key=k4"}}), "k4");
  EXPECT_EQ(presented({{"authorization", "Basic dTpw"}, {"x-api-key", "k2"}}), "k2");
  for (const char* other : {"", "Bearer", "Bearerk1", "Basic dTpw", "AWS4-HMAC-SHA256 SignedHeaders=host"}) {
    EXPECT_EQ(presented({{"authorization", other}}), std::nullopt) << other;
  }
}

TEST(Callers, TheCookieCountsForTheServicesOwnPageAlone) {
  WebConfig web;
  web.cors_origins = "*";
  const HttpHeaders cookie = {{"cookie", "imgrec_key=k"}, {"host", "h"}};
  const auto from = [&](const std::string& origin) {
    HttpHeaders headers = cookie;
    headers.emplace_back("origin", origin);
    return presented_key(request_with(headers), web);
  };
  EXPECT_EQ(from("http://h"), "k");
  EXPECT_EQ(from("http://other"), std::nullopt);
  EXPECT_EQ(from("null"), std::nullopt);
}

TEST(Callers, MayDoWhatTheirRolesAllow) {
  const auto may = [](const std::string& roles) {
    const Caller caller{.key = std::make_shared<AccessKey>(new_key(roles).entry), .keys_needed = true};
    std::string allowed;
    if (caller.may(Access::open)) allowed += "o";
    if (caller.may(Access::submit)) allowed += "s";
    if (caller.may(Access::watch)) allowed += "w";
    if (caller.may(Access::read)) allowed += "r";
    if (caller.may(Access::admin)) allowed += "a";
    return allowed;
  };
  EXPECT_EQ(may("submit"), "osw");
  EXPECT_EQ(may("read"), "owr");
  EXPECT_EQ(may("submit,read"), "oswr");
  EXPECT_EQ(may("admin"), "oswra");
  const Caller nobody{.key = nullptr, .keys_needed = true};
  EXPECT_EQ(check_access(nobody, Access::submit).error().code, "key_needed");
  EXPECT_TRUE(check_access(nobody, Access::open));
  EXPECT_TRUE(check_access(Caller{}, Access::admin)) << "no keys are asked for";
  EXPECT_FALSE(Caller{}.sees_all());
  const Caller reader{.key = std::make_shared<AccessKey>(new_key("read").entry), .keys_needed = true};
  EXPECT_EQ(check_access(reader, Access::admin).error().code, "role_needed");
  EXPECT_THAT(check_access(reader, Access::submit).error().message, HasSubstr("submit or admin"));
}

TEST(Callers, AWrongKeyIsNotTakenForNone) {
  RingOverFile over;
  over.write({new_key("submit").entry});
  ASSERT_TRUE(over.ring.load({}));
  EXPECT_EQ(identify(request_with({{"x-api-key", "guess"}}), {}, &over.ring).error().code, "bad_key");
  EXPECT_EQ(identify(request_with({{"x-api-key", ""}}), {}, &over.ring).error().code, "bad_key");
  EXPECT_FALSE(identify(request_with({}), {}, &over.ring).value().key);
  EXPECT_FALSE(identify(request_with({{"x-api-key", "guess"}}), {}, nullptr).value().keys_needed);
}

TEST(Owners, AreTheSessionAndTheKey) {
  const Caller open, first{.key = std::make_shared<AccessKey>(new_key("submit").entry), .keys_needed = true},
      second{.key = std::make_shared<AccessKey>(new_key("submit").entry), .keys_needed = true};
  const Request plain = request_with({}), a = request_with({{"x-session-id", "a"}}),
                b = request_with({{"x-session-id", "b"}});
  EXPECT_EQ(owner_of(plain, open), std::nullopt);
  EXPECT_EQ(owner_of(a, open), SessionId("a"));
  const std::set<std::optional<SessionId>> all = {owner_of(plain, first),  owner_of(a, first),  owner_of(b, first),
                                                  owner_of(plain, second), owner_of(a, second), owner_of(a, open)};
  EXPECT_EQ(all.size(), 6U);
  EXPECT_EQ(owner_of(a, first), owner_of(a, first));
  EXPECT_TRUE(parse_session_id(owner_of(a, first)->str()));
}

TEST(Cors, IsOffUnlessAnOriginIsListed) {
  WebConfig web;
  const Request request = request_with({{"origin", "https://App.example"}, {"host", "h"}});
  EXPECT_EQ(cors_headers(request, web), HttpHeaders{});
  web.cors_origins = "http://localhost:3000, https://app.example/";
  EXPECT_EQ(cors_origin(request, web), "https://App.example");
  EXPECT_THAT(cors_headers(request, web), Contains(Pair("Access-Control-Allow-Origin", "https://App.example")));
  EXPECT_THAT(cors_headers(request, web), Contains(Pair("Vary", "Origin")));
  const Request other = request_with({{"origin", "https://app.example.evil"}, {"host", "h"}});
  EXPECT_EQ(cors_headers(other, web), (HttpHeaders{{"Vary", "Origin"}}));
  web.cors_origins = "*";
  EXPECT_THAT(cors_headers(other, web), Contains(Pair("Access-Control-Allow-Origin", "*")));
  for (const auto& [name, value] : cors_headers(other, web))
    EXPECT_NE(to_lower(name), "access-control-allow-credentials");
}

}  // namespace
}  // namespace imgrec::keys_test
