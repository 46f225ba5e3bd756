#include "r1/http/router.h"

#include <algorithm>
#include <optional>

#include "r1/base/error.h"

namespace r1::http {
namespace {

// The parts between slashes of a path that starts with one: "/a/b" has two, "/" has one, which is empty.
std::vector<std::string_view> parts_of(std::string_view path) {
  std::vector<std::string_view> parts;
  for (size_t begin = 1; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    parts.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

enum class Kind { kLiteral, kCapture, kRest };  // in the order of precedence

Kind kind_of(std::string_view part) {
  if (part.size() < 2 || part.front() != '{' || part.back() != '}') return Kind::kLiteral;
  return part.ends_with("...}") ? Kind::kRest : Kind::kCapture;
}

std::string name_of(std::string_view part) {
  return std::string(part.substr(1, part.size() - (kind_of(part) == Kind::kRest ? 5 : 2)));
}

void check_pattern(const Route& route) {
  const auto fault = [&](const char* what) { fail("[http] route ", route.method, " '", printable(route.pattern), "': ", what); };
  if (route.method.empty() || !std::all_of(route.method.begin(), route.method.end(), [](char c) { return c >= 'A' && c <= 'Z'; }))
    fault("the method is upper-case letters");
  if (!route.pattern.starts_with('/')) fault("a pattern starts with '/'");
  if (!route.handler) fault("it has no handler");
  std::vector<std::string> names;
  const auto parts = parts_of(route.pattern);
  for (size_t i = 0; i < parts.size(); ++i) {
    const Kind kind = kind_of(parts[i]);
    if (kind == Kind::kLiteral) {
      if (parts[i].find_first_of("{}") != std::string_view::npos) fault("a capture takes a whole part: /{name}/");
      continue;
    }
    if (kind == Kind::kRest && i + 1 < parts.size()) fault("{name...} is the last part");
    names.push_back(name_of(parts[i]));
    if (names.back().empty()) fault("a capture has a name");
    if (std::count(names.begin(), names.end(), names.back()) > 1) fault("two captures have one name");
  }
}

// Both take exactly the same paths.
bool same_shape(std::string_view a, std::string_view b) {
  const auto x = parts_of(a), y = parts_of(b);
  if (x.size() != y.size()) return false;
  for (size_t i = 0; i < x.size(); ++i) {
    if (kind_of(x[i]) != kind_of(y[i])) return false;
    if (kind_of(x[i]) == Kind::kLiteral && x[i] != y[i]) return false;
  }
  return true;
}

// The kinds of the pattern's parts, if it takes the path.
std::optional<std::vector<Kind>> fit(const std::vector<std::string_view>& pattern, const std::vector<std::string_view>& path) {
  std::vector<Kind> kinds;
  for (size_t i = 0; i < pattern.size(); ++i) {
    kinds.push_back(kind_of(pattern[i]));
    if (i >= path.size()) return std::nullopt;
    if (kinds.back() == Kind::kRest) return path[i].empty() && i + 1 == path.size() ? std::nullopt : std::optional(kinds);
    if (kinds.back() == Kind::kLiteral ? pattern[i] != path[i] : path[i].empty()) return std::nullopt;
  }
  return pattern.size() == path.size() ? std::optional(kinds) : std::nullopt;
}

std::map<std::string, std::string> captures_of(std::string_view pattern, std::string_view path) {
  std::map<std::string, std::string> captures;
  const auto parts = parts_of(pattern), given = parts_of(path);
  for (size_t i = 0; i < parts.size(); ++i) {
    const Kind kind = kind_of(parts[i]);
    if (kind == Kind::kCapture) captures[name_of(parts[i])] = std::string(given[i]);
    if (kind == Kind::kRest) captures[name_of(parts[i])] = std::string(path.substr(size_t(given[i].data() - path.data())));
  }
  return captures;
}

}  // namespace

void Router::add(Route route) {
  check_pattern(route);
  for (const Route& other : routes_)
    if (other.method == route.method && same_shape(other.pattern, route.pattern))
      fail("[http] routes ", route.method, " ", route.pattern, " and ", other.pattern, " take the same requests");
  routes_.push_back(std::move(route));
}

Match Router::find(std::string_view method, std::string_view path) const {
  Match best;
  std::vector<Kind> best_kinds;
  std::vector<std::string> allowed;
  if (!path.starts_with('/')) return best;
  const auto parts = parts_of(path);
  for (const Route& route : routes_) {
    const auto kinds = fit(parts_of(route.pattern), parts);
    if (!kinds) continue;
    allowed.push_back(route.method);
    if (route.method == "GET") allowed.push_back("HEAD");
    const bool own = route.method == method, as_head = method == "HEAD" && route.method == "GET";
    if (!own && !as_head) continue;
    const bool own_before = best.route && best.route->method == method;
    if (best.route && (*kinds > best_kinds || (*kinds == best_kinds && own_before))) continue;
    best.route = &route;
    best_kinds = *kinds;
  }
  if (best.route) {
    best.captures = captures_of(best.route->pattern, path);
    return best;
  }
  std::sort(allowed.begin(), allowed.end());
  allowed.erase(std::unique(allowed.begin(), allowed.end()), allowed.end());
  best.allowed = std::move(allowed);
  return best;
}

}  // namespace r1::http
