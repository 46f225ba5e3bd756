#include "r1/api/body.h"

#include <gtest/gtest.h>

#include "field_sweep.h"

namespace r1::api {
namespace {

struct Point {
  double x = 0;
  std::string mark;
  void visit(Body& v) {
    v("x", x, "where", {.min = 0, .max = 1, .required = true});
    v("mark", mark, "how it is drawn", {.one_of = {"dot", "cross"}});
  }
};

struct Plot {
  std::string title;
  std::optional<int64_t> max_points;
  int64_t any = 0;
  uint64_t seed = 0;
  bool grid = false;
  std::vector<Point> points;
  std::vector<std::vector<int64_t>> rows;
  std::optional<Point> origin;
  std::map<std::string, double> weights;
  Json free;
  void visit(Body& v) {
    v.alias("caption", "title");
    v("title", title, "shown above", {.max_length = 20, .required = true});
    v.alias("most_points", "max_points");
    v("max_points", max_points, "no more than these", {.min = 0, .max = 100});
    v("any", any, "any integer");
    v("seed", seed, "of the colours");
    v("grid", grid, "lines");
    v("points", points, "what is drawn", {.max_items = 3});
    v("rows", rows, "a table", {.min = -1, .max = 9, .min_items = 0, .max_items = 4});
    v("origin", origin, "where the axes meet");
    v("weights", weights, "by name", {.min = -1, .max = 1, .max_items = 2});
    v("free", free, "either", {.schema = {{"anyOf", Json::array({Json{{"type", "string"}}, Json{{"type", "integer"}}})}}});
    v.ignore({"maxpoint"});
  }
};

Plot read(const std::string& text) {
  Plot plot;
  read_body(text, plot);
  return plot;
}

// "param | code | message" of what is refused.
std::string refused(const std::string& text) {
  try {
    read(text);
  } catch (const http::ApiError& error) {
    EXPECT_EQ(error.status, 400);
    return error.param + " | " + error.code + " | " + error.what();
  }
  return "taken";
}

TEST(Body, ReadsWhatIsThere) {
  const Plot plot = read(
      R"({"title": "a", "max_points": 7, "any": -9223372036854775808, "seed": 18446744073709551615, "grid": true, "points": [{"x": 0.5, "mark": "dot"}, {"x": 1}],
          "rows": [[1, 2], []], "origin": {"x": 0}, "weights": {"a": 0.5, "b": -1}, "free": 4, "something": "else"})");
  EXPECT_EQ(plot.title, "a");
  EXPECT_EQ(plot.max_points, 7);
  EXPECT_EQ(plot.any, INT64_MIN);
  EXPECT_EQ(plot.seed, UINT64_MAX);
  EXPECT_TRUE(plot.grid);
  ASSERT_EQ(plot.points.size(), 2u);
  EXPECT_EQ(plot.points[0].mark, "dot");
  EXPECT_EQ(plot.points[1].x, 1);
  EXPECT_EQ(plot.rows, (std::vector<std::vector<int64_t>>{{1, 2}, {}}));
  ASSERT_TRUE(plot.origin);
  EXPECT_EQ(plot.weights, (std::map<std::string, double>{{"a", 0.5}, {"b", -1}}));
  EXPECT_EQ(plot.free, 4);
}

TEST(Body, NullIsAbsent) {
  const Plot plot = read(R"({"title": "a", "max_points": null, "grid": null, "points": null, "origin": null, "weights": null})");
  EXPECT_FALSE(plot.max_points);
  EXPECT_FALSE(plot.origin);
  EXPECT_EQ(refused(R"({"title": null})"), "title | missing_required_parameter | title: is missing");
  EXPECT_EQ(refused(R"({"title": "a", "points": [null]})"), "points[0] | invalid_type | points[0]: expected an object, got null");
}

TEST(Body, OtherNames) {
  EXPECT_EQ(read(R"({"caption": "a", "most_points": 3})").max_points, 3);
  EXPECT_EQ(read(R"({"caption": "a", "title": "b"})").title, "b") << "the field's own name counts";
  EXPECT_EQ(read(R"({"caption": "a", "title": null})").title, "a");
  EXPECT_EQ(refused(R"({"caption": "a", "most_points": 101})"),
            "most_points | invalid_value | most_points: expected an integer from 0 to 100, got 101")
      << "the error has the name that the client wrote";
}

TEST(Body, NamesThatAreNear) {
  EXPECT_EQ(refused(R"({"title": "a", "max_point": 3})"),
            "max_point | unknown_parameter | max_point: no such field, did you mean 'max_points'?");
  EXPECT_EQ(refused(R"({"title": "a", "maxPoints": 3})"),
            "maxPoints | unknown_parameter | maxPoints: no such field, did you mean 'max_points'?");
  EXPECT_EQ(refused(R"({"title": "a", "wieghts": {}})"), "wieghts | unknown_parameter | wieghts: no such field, did you mean 'weights'?");
  EXPECT_EQ(refused(R"({"title": "a", "origin": {"x": 0, "marks": 1}})"), "taken") << "short names are near to each other by chance";
  EXPECT_EQ(refused(R"({"title": "a", "seeds": 1, "grids": 1, "x": 1, "": 2, "max": 1, "points_max": 1})"), "taken");
  EXPECT_EQ(refused(R"({"title": "a", "maxpoint": 1})"), "taken") << "this one is known";
  EXPECT_EQ(refused("{\"title\": \"a\", \"" + std::string(100'000, 'y') + "\": 1}"), "taken");
}

TEST(Body, NumbersAreWhole) {
  EXPECT_EQ(read(R"({"title": "a", "max_points": 1e1, "any": 3.0})").max_points, 10) << "JSON knows one kind of number";
  EXPECT_EQ(refused(R"({"title": "a", "max_points": 1.5})"),
            "max_points | invalid_type | max_points: expected an integer from 0 to 100, got 1.5");
  EXPECT_EQ(refused(R"({"title": "a", "max_points": "7"})"),
            "max_points | invalid_type | max_points: expected an integer from 0 to 100, got '7'");
  EXPECT_EQ(refused(R"({"title": "a", "max_points": true})"),
            "max_points | invalid_type | max_points: expected an integer from 0 to 100, got true");
  EXPECT_EQ(refused(R"({"title": "a", "any": 9223372036854775808})"),
            "any | invalid_value | any: expected an integer, got 9223372036854775808");
  EXPECT_EQ(refused(R"({"title": "a", "any": 1e300})"), "any | invalid_value | any: expected an integer, got 1e+300");
  EXPECT_EQ(refused(R"({"title": "a", "seed": -1})"), "seed | invalid_value | seed: expected an integer, got -1");
  EXPECT_EQ(refused(R"({"title": "a", "seed": 18446744073709551616})"),
            "seed | invalid_value | seed: expected an integer, got 1.8446744073709552e+19");
  EXPECT_EQ(refused(R"({"title": "a", "origin": {"x": -1e-9}})"),
            "origin.x | invalid_value | origin.x: expected a number from 0 to 1, got -1e-09");
}

TEST(Body, PlacesAreNamed) {
  EXPECT_EQ(refused(R"({"title": "a", "points": [{"x": 0}, {"x": 2}]})"),
            "points[1].x | invalid_value | points[1].x: expected a number from 0 to 1, got 2");
  EXPECT_EQ(refused(R"({"title": "a", "points": [{"x": 0}, {}]})"), "points[1].x | missing_required_parameter | points[1].x: is missing");
  EXPECT_EQ(refused(R"({"title": "a", "points": [{"x": 0, "mark": "star"}]})"),
            "points[0].mark | invalid_value | points[0].mark: expected one of 'dot', 'cross', got 'star'");
  EXPECT_EQ(refused(R"({"title": "a", "rows": [[1], [2, 10]]})"),
            "rows[1][1] | invalid_value | rows[1][1]: expected an integer from -1 to 9, got 10");
  EXPECT_EQ(refused(R"({"title": "a", "points": {}})"), "points | invalid_type | points: expected a list, got object");
  EXPECT_EQ(refused(R"({"title": "a", "points": [{"x":1},{"x":1},{"x":1},{"x":1}]})"),
            "points | invalid_value | points: expected a list of at most 3 items, got 4");
  EXPECT_EQ(refused(R"({"title": "a", "weights": {"a": "b"}})"),
            "weights.a | invalid_type | weights.a: expected a number from -1 to 1, got 'b'");
  EXPECT_EQ(refused(R"({"title": "a", "weights": {"a": 0, "b": 0, "c": 0}})"),
            "weights | invalid_value | weights: expected 0 to 2 entries, got 3");
  EXPECT_EQ(refused(R"({"title": "123456789012345678901"})"),
            "title | string_above_max_length | title: expected a string of at most 20 bytes, got 21");
  EXPECT_EQ(refused(R"({"title": ["\u001b[2J"]})"), "title | invalid_type | title: expected a string, got array");
  EXPECT_EQ(refused(R"({"title": "a", "grid": "\u001b[2J"})"), "grid | invalid_type | grid: expected true or false, got '\\x1b[2J'")
      << "no control character of a client gets into a message";
}

TEST(Body, WhatIsNoObject) {
  EXPECT_EQ(refused(""), " |  | the body is empty; expected a JSON object");
  EXPECT_EQ(refused(" \n"), " |  | the body is empty; expected a JSON object");
  EXPECT_EQ(refused("[]"), " | invalid_type | the body: expected a JSON object, got array");
  EXPECT_EQ(refused("7"), " | invalid_type | the body: expected a JSON object, got 7");
  for (const std::string text :
       {"{", "{\"title\": NaN}", "{\"title\": 1e400}", "{\"title\": \"\\ud800\"}", "{\"title\": \"\xff\"}", "{\"title\": \"\xc0\x80\"}",
        "{title: 1}", "{\"title\": \"a\"} x", "{\"title\": '\x01'}", "{\"title\": 01}"}) {
    const std::string what = refused(text);
    EXPECT_TRUE(what.starts_with(" | invalid_json | the body: ")) << text << ": " << what;
  }
  EXPECT_TRUE(refused("{\"title\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}")
                  .starts_with(" | invalid_json | the body: nested deeper"));
  const auto nested = [](int levels) {
    return "{\"title\": \"a\", \"free\":" + std::string(size_t(levels), '[') + std::string(size_t(levels), ']') + "}";
  };
  EXPECT_EQ(refused(nested(99)), "taken");
  EXPECT_EQ(refused(nested(100)), " | invalid_json | the body: nested deeper than 100 levels");
  std::string many = "{\"title\": \"a\"";
  for (int i = 0; i < 1000; ++i) many += ",\"k" + std::to_string(i) + "\":0";
  EXPECT_EQ(refused(many + "}"), " | invalid_value | the body: expected at most 1000 fields, got 1001");
}

TEST(Body, SchemaSaysTheSame) {
  const Json schema = body_schema<Plot>();
  EXPECT_EQ(schema["type"], "object");
  const Json& p = schema["properties"];
  EXPECT_EQ(p["max_points"],
            Json::parse(R"({"type": ["integer", "null"], "minimum": 0, "maximum": 100, "description": "no more than these"})"));
  EXPECT_EQ(p["most_points"]["description"], "another name of max_points");
  EXPECT_EQ(p["any"]["minimum"], INT64_MIN);
  EXPECT_EQ(p["any"]["maximum"], INT64_MAX);
  EXPECT_EQ(p["seed"]["maximum"], UINT64_MAX);
  EXPECT_EQ(p["points"]["items"],
            Json::parse(R"({"type": "object", "properties": {"x": {"type": "number", "minimum": 0, "maximum": 1, "description": "where"},
    "mark": {"type": ["string", "null"], "enum": ["dot", "cross", null], "description": "how it is drawn"}}, "required": ["x"]})"));
  EXPECT_EQ(p["rows"]["items"]["items"]["minimum"], -1);
  EXPECT_EQ(p["weights"]["additionalProperties"]["maximum"], 1);
  EXPECT_EQ(p["free"]["anyOf"].size(), 2u);
  EXPECT_EQ(schema["allOf"], Json::parse(R"([{"anyOf": [{"required": ["title"]}, {"required": ["caption"]}]}])"));
  EXPECT_FALSE(schema.contains("required"));
}

TEST(Body, EveryFieldWithEveryValue) {
  const Json valid = Json::parse(R"({"title": "a", "points": [{"x": 0.5, "mark": "dot"}], "rows": [[1]], "origin": {"x": 0}})");
  Sweep sweep;
  Json schema = body_schema<Plot>();
  schema["properties"].erase("caption");
  schema["properties"].erase("most_points");  // the sweep puts them beside the field itself, which then counts
  sweep = sweep_fields(schema, valid, [](const std::string& body) { read(body); });
  EXPECT_GT(sweep.cases, 300);
  EXPECT_GT(sweep.refused, 150);
}

TEST(Body, ChangedBytesAreTakenOrRefused) {
  const Sweep sweep =
      mutate_bodies({R"({"title": "a", "points": [{"x": 0.5, "mark": "dot"}], "rows": [[1, 2], [3]], "weights": {"a": 1}, "free": "x"})",
                     R"({"caption": "\u00e9\ud83d\ude00", "max_points": 10, "any": -5, "origin": {"x": 1e-3}})"},
                    10'000, [](const std::string& body) { read(body); });
  EXPECT_GT(sweep.refused, 5'000);
  EXPECT_LT(sweep.refused, 10'000);
}

}  // namespace
}  // namespace r1::api
