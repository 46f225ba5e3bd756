#include "r1/base/json.h"

#include <gtest/gtest.h>

#include <chrono>

#include "r1/base/rng.h"

namespace r1 {
namespace {

std::string error_of(std::string_view text, bool reject_duplicates = false) {
  try {
    parse_json(text, "x.json", reject_duplicates);
  } catch (const Error& error) {
    return error.what();
  }
  return "(no error)";
}

TEST(Json, KeepsOrderAndValues) {
  const std::string text = R"({"b":1,"a":[true,null,-2,18446744073709551615,0.1,"é\u00e9"],"c":{"z":{},"y":[]}})";
  EXPECT_EQ(dump_json(parse_json(text, "x")), R"({"b":1,"a":[true,null,-2,18446744073709551615,0.1,"éé"],"c":{"z":{},"y":[]}})");
  EXPECT_EQ(parse_json(text, "x"), Json::parse(text));
  EXPECT_EQ(dump_json(parse_json("3", "x")), "3");
}

TEST(Json, DepthLimit) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_NO_THROW(parse_json(nested(kMaxJsonDepth), "x"));
  EXPECT_THROW(parse_json(nested(kMaxJsonDepth + 1), "x"), Error);
  EXPECT_NE(error_of(std::string(10'000'000, '[')).find("nested deeper than 128"), std::string::npos);
  std::string objects;
  for (int i = 0; i < 200; ++i) objects += R"({"a":)";
  EXPECT_NE(error_of(objects).find("nested deeper"), std::string::npos);
}

TEST(Json, ErrorsNameThePlace) {
  EXPECT_NE(error_of("{\n  \"a\": 1,\n  \"b\": tru\n}").find("x.json: line 3, column "), std::string::npos)
      << error_of("{\n  \"a\": 1,\n  \"b\": tru\n}");
  EXPECT_NE(error_of("{\"a\" 1}").find("x.json: column 6"), std::string::npos) << error_of("{\"a\" 1}");
  for (const char* bad : {"", " ", "{", "[1,]", "{\"a\":1,}", "nul", "1 2", "\"\\ud800\"", "\"\xff\"", "1e999", "{\"a\":}", "'a'", "\"\n\"",
                          "[1", "{\"a\"}"}) {
    EXPECT_EQ(error_of(bad).find("x.json: "), 0u) << bad << ": " << error_of(bad);
    EXPECT_LT(error_of(bad).size(), 250u);
  }
}

TEST(Json, Duplicates) {
  EXPECT_EQ(dump_json(parse_json(R"({"a":1,"b":2,"a":[3]})", "x")), R"({"a":[3],"b":2})");
  EXPECT_EQ(error_of(R"({"a":1,"b":2,"a":3})", true), "x.json: duplicate key 'a'");
  std::string many = "{";
  for (int i = 0; i < 100; ++i) many += "\"k" + std::to_string(i) + "\":" + std::to_string(i) + ",";
  EXPECT_EQ(error_of(many + R"("k77":0})", true), "x.json: duplicate key 'k77'");
  EXPECT_EQ(error_of(many + R"("k5":0})", true), "x.json: duplicate key 'k5'");
  const Json last = parse_json(many + R"("k77":"last"})", "x");
  EXPECT_EQ(last.size(), 100u);
  EXPECT_EQ(last["k77"], "last");
}

// nlohmann's own builder takes minutes for this (linear search a key).
TEST(Json, LargeObjectIsLinear) {
  std::string text = "{";
  for (int i = 0; i < 300'000; ++i) text += (i ? ",\"" : "\"") + std::to_string(i) + "\":" + std::to_string(i);
  text += "}";
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(parse_json(text, "x").size(), 300'000u);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(Json, Get) {
  const Json object = parse_json(R"({"n":3,"s":"x","z":null})", "c.json");
  EXPECT_EQ(json_get<int>(object, "n", "c.json"), 3);
  EXPECT_EQ(json_get_or<int>(object, "z", 9, "c.json"), 9);
  EXPECT_THROW(json_get<int>(object, "s", "c.json"), Error);
  EXPECT_THROW(json_get_or<int>(object, "s", 1, "c.json"), Error);
  EXPECT_THROW(json_get<int>(object, "missing", "c.json"), Error);
}

TEST(Json, DumpReplacesBadUtf8) {
  EXPECT_EQ(dump_json(Json("a\xff")), "\"a\xef\xbf\xbd\"");
}

// Broken documents end in r1::Error, never in another exception; good ones read as nlohmann reads them.
TEST(Json, MutationsAgainstNlohmann) {
  const std::string seed = R"({"a":[1,2.5e3,"x\n\u00e9",{"b":null,"c":[[],{}]}],"d":true,"e":-0,"a":"twice"})";
  Rng rng(11);
  int good = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = seed;
    for (uint64_t edits = 1 + rng.below(3); edits > 0; --edits) {
      const size_t at = rng.below(text.size());
      switch (rng.below(3)) {
        case 0:
          text[at] = "{}[],:\"0e-\\ntfu\xff "[rng.below(18)];
          break;
        case 1:
          text.erase(at, 1 + rng.below(4));
          break;
        default:
          text.insert(at, 1, "{}[],:\"0"[rng.below(8)]);
      }
      if (text.empty()) text = " ";
    }
    const bool valid = Json::accept(text);
    try {
      const Json mine = parse_json(text, "m");
      ASSERT_TRUE(valid) << text;
      ASSERT_EQ(dump_json(mine), dump_json(Json::parse(text))) << text;
      ++good;
    } catch (const Error&) {
      ASSERT_FALSE(valid) << text;
    }
  }
  EXPECT_GT(good, 1000);
}

}  // namespace
}  // namespace r1
