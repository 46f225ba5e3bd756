#include "r1/http/router.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/message_of.h"

namespace r1::http {
namespace {

Handler nothing() {
  return [](const RequestPtr&, const ResponderPtr&) {};
}

Router router_of(const std::vector<std::pair<std::string, std::string>>& routes) {
  Router router;
  for (const auto& [method, pattern] : routes) router.add({method, pattern, nothing()});
  return router;
}

TEST(Router, FindsByPathAndMethod) {
  const Router router = router_of({{"GET", "/"}, {"GET", "/v1/models"}, {"POST", "/v1/chat/completions"}, {"DELETE", "/v1/models"}});
  EXPECT_EQ(router.find("GET", "/").route->pattern, "/");
  EXPECT_EQ(router.find("GET", "/v1/models").route->pattern, "/v1/models");
  EXPECT_EQ(router.find("DELETE", "/v1/models").route->method, "DELETE");
  for (const char* path : {"/v1", "/v1/", "/v1/models/", "//v1/models", "/v1//models", "v1/models", "", "/V1/models", "/v1/models/x"}) {
    const Match match = router.find("GET", path);
    EXPECT_EQ(match.route, nullptr) << path;
    EXPECT_TRUE(match.allowed.empty()) << path;
  }
  const Match wrong = router.find("PUT", "/v1/models");
  EXPECT_EQ(wrong.route, nullptr);
  EXPECT_EQ(wrong.allowed, (std::vector<std::string>{"DELETE", "GET", "HEAD"}));
  EXPECT_EQ(router.find("GET", "/v1/chat/completions").allowed, (std::vector<std::string>{"POST"}));
}

TEST(Router, AGetRouteAnswersHeadUnlessThereIsOne) {
  const Router router = router_of({{"GET", "/a"}, {"HEAD", "/b"}, {"GET", "/b"}, {"POST", "/c"}});
  EXPECT_EQ(router.find("HEAD", "/a").route->method, "GET");
  EXPECT_EQ(router.find("HEAD", "/b").route->method, "HEAD");
  EXPECT_EQ(router.find("HEAD", "/c").route, nullptr);
}

TEST(Router, Captures) {
  const Router router =
      router_of({{"GET", "/v1/models/{id}"}, {"GET", "/v2/models/{model}/versions/{version}/infer"}, {"GET", "/files/{path...}"}});
  EXPECT_EQ(router.find("GET", "/v1/models/gpt 2").captures.at("id"), "gpt 2");
  const Match two = router.find("GET", "/v2/models/m/versions/1/infer");
  EXPECT_EQ(two.captures.at("model"), "m");
  EXPECT_EQ(two.captures.at("version"), "1");
  EXPECT_EQ(router.find("GET", "/files/a/b/c.txt").captures.at("path"), "a/b/c.txt");
  EXPECT_EQ(router.find("GET", "/files/a/").captures.at("path"), "a/");
  EXPECT_EQ(router.find("GET", "/v1/models/").route, nullptr);
  EXPECT_EQ(router.find("GET", "/files/").route, nullptr);
  EXPECT_EQ(router.find("GET", "/files").route, nullptr);
}

TEST(Router, ALiteralPartIsTakenBeforeACapture) {
  for (bool reversed : {false, true}) {
    std::vector<std::pair<std::string, std::string>> routes = {{"GET", "/m/{id}"},    {"GET", "/m/list"},      {"GET", "/{x}/list"},
                                                               {"GET", "/{rest...}"}, {"GET", "/m/{id}/info"}, {"GET", "/m/{all...}"}};
    if (reversed) std::reverse(routes.begin(), routes.end());
    const Router router = router_of(routes);
    EXPECT_EQ(router.find("GET", "/m/list").route->pattern, "/m/list");
    EXPECT_EQ(router.find("GET", "/m/other").route->pattern, "/m/{id}");
    EXPECT_EQ(router.find("GET", "/n/list").route->pattern, "/{x}/list");
    EXPECT_EQ(router.find("GET", "/m/a/info").route->pattern, "/m/{id}/info");
    EXPECT_EQ(router.find("GET", "/m/a/b").route->pattern, "/m/{all...}");
    EXPECT_EQ(router.find("GET", "/n/a/b").route->pattern, "/{rest...}");
  }
}

TEST(Router, WhatTakesTheSameRequestsIsAnError) {
  Router router = router_of({{"GET", "/m/{id}"}});
  EXPECT_EQ(message_of([&] {
              router.add({"GET", "/m/{name}", nothing()});
            }),
            "[http] routes GET /m/{name} and /m/{id} take the same requests");
  router.add({"POST", "/m/{name}", nothing()});
  router.add({"GET", "/m/{name}/x", nothing()});
  EXPECT_EQ(router.routes().size(), 3u);
}

TEST(Router, PatternsThatMakeNoSense) {
  const auto error = [](const char* method, const char* pattern) {
    return message_of([&] { Router().add({method, pattern, nothing()}); });
  };
  EXPECT_EQ(error("get", "/x"), "[http] route get '/x': the method is upper-case letters");
  EXPECT_EQ(error("GET", "x"), "[http] route GET 'x': a pattern starts with '/'");
  EXPECT_EQ(error("GET", "/{a...}/b"), "[http] route GET '/{a...}/b': {name...} is the last part");
  EXPECT_EQ(error("GET", "/x{a}"), "[http] route GET '/x{a}': a capture takes a whole part: /{name}/");
  EXPECT_EQ(error("GET", "/{}"), "[http] route GET '/{}': a capture has a name");
  EXPECT_EQ(error("GET", "/{a}/{a}"), "[http] route GET '/{a}/{a}': two captures have one name");
  EXPECT_EQ(message_of([] { Router().add({"GET", "/x", nullptr}); }), "[http] route GET '/x': it has no handler");
}

// The definition, written down again by other means: every route is asked by itself whether it takes the path, part by part from the left.
struct Takes {
  bool yes = false;
  std::string order;  // of precedence: "0" a literal, "1" a capture, "2" the rest
};
Takes takes(const std::string& pattern, const std::string& path) {
  if (pattern.empty() || path.empty()) return {pattern.empty() && path.empty(), ""};
  const size_t a = std::min(pattern.find('/', 1), pattern.size()), b = std::min(path.find('/', 1), path.size());
  const std::string part = pattern.substr(1, a - 1), given = path.substr(1, b - 1);
  if (part.ends_with("...}")) return {path.size() > 1, "2"};
  const bool capture = part.starts_with("{");
  if (capture ? given.empty() : part != given) return {};
  const Takes rest = takes(pattern.substr(a), path.substr(b));
  return {rest.yes, (capture ? "1" : "0") + rest.order};
}

TEST(Router, RandomTablesFindWhatTheDefinitionFinds) {
  std::mt19937 rng(7);
  const auto pick = [&](const std::vector<std::string>& from) { return from[rng() % from.size()]; };
  int found = 0, wrong_method = 0;
  for (int round = 0; round < 300; ++round) {
    Router router;
    std::vector<std::pair<std::string, std::string>> routes;
    for (int i = 0; i < 12; ++i) {
      std::string pattern;
      const int parts = 1 + int(rng() % 4);
      for (int p = 0; p < parts; ++p) {
        const bool last = p + 1 == parts;
        const uint32_t kind = rng() % 8;
        pattern += kind < 5 ? "/" + pick({"a", "b", "cc"}) : last && kind == 7 ? "/{r...}" : "/{c" + std::to_string(p) + "}";
      }
      const std::string method = pick({"GET", "POST"});
      try {
        router.add({method, pattern, nothing()});
        routes.emplace_back(method, pattern);
      } catch (const Error&) {
      }
    }
    for (int i = 0; i < 60; ++i) {
      std::string path;
      for (int p = int(rng() % 5); p >= 0; --p) path += "/" + pick({"a", "b", "cc", "x", ""});
      const std::string method = pick({"GET", "POST", "HEAD", "PUT"});
      std::string best, best_order;
      bool any = false;
      for (const auto& [m, pattern] : routes) {
        const Takes t = takes(pattern, path);
        if (!t.yes) continue;
        any = true;
        if (m != method && !(method == "HEAD" && m == "GET")) continue;
        if (best.empty() || t.order < best_order) best = pattern, best_order = t.order;
      }
      const Match match = router.find(method, path);
      EXPECT_EQ(match.route ? match.route->pattern : "", best) << method << " " << path;
      EXPECT_EQ(match.allowed.empty(), match.route || !any) << method << " " << path;
      found += match.route != nullptr;
      wrong_method += !match.allowed.empty();
    }
  }
  EXPECT_GT(found, 2000);
  EXPECT_GT(wrong_method, 500);
}

}  // namespace
}  // namespace r1::http
