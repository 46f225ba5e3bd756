#include "r1/corpus/fetch_robots.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "r1/base/strings.h"

namespace r1::corpus {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
// The RFC has letters, '_' and '-'; crawlers have digits too.
bool is_product_character(char c) {
  return is_letter(c) || is_digit(c) || c == '_' || c == '-';
}
std::string_view product_prefix(std::string_view text) {
  return text.substr(0, size_t(std::ranges::find_if_not(text, is_product_character) - text.begin()));
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  c = char(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The form in which patterns and paths are compared (section 2.2.2): what needs no %xx stands as it is, what lies beyond ASCII is %XX in upper
// case. '*' and '$' of a path are %2A and %24, as a pattern writes them that means these characters (2.2.3). In a query ':' and '/' mean the same either way: the RFC's example has "?baz=https://foo.bar" match its encoded form.
std::string normal_form(std::string_view path, bool is_pattern) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  bool query = false;
  const auto encode = [&](unsigned char c) {
    out += '%';
    out += kHex[c >> 4];
    out += kHex[c & 15];
  };
  for (size_t i = 0; i < path.size(); ++i) {
    auto c = static_cast<unsigned char>(path[i]);
    const int high = c == '%' && i + 2 < path.size() ? hex_value(path[i + 1]) : -1;
    const int low = high >= 0 ? hex_value(path[i + 2]) : -1;
    if (low >= 0) {
      i += 2;
      c = static_cast<unsigned char>(high * 16 + low);
      const char plain = char(c);
      const bool unreserved = is_letter(plain) || is_digit(plain) || plain == '-' || plain == '.' || plain == '_' || plain == '~';
      if (unreserved || (query && (plain == ':' || plain == '/')))
        out += plain;
      else
        encode(c);
      continue;
    }
    query |= c == '?';
    const bool special = (c == '*' && !is_pattern) || (c == '$' && !(is_pattern && i + 1 == path.size()));
    if (c > 0x7F || special)
      encode(c);
    else
      out += char(c);
  }
  return out;
}

// Each piece between stars is found where it comes first: linear in the path for each of them.
bool matches(std::string_view pattern, std::string_view path) {
  const bool to_end = pattern.ends_with('$');
  if (to_end) pattern.remove_suffix(1);
  size_t star = pattern.find('*');
  if (!path.starts_with(pattern.substr(0, star))) return false;
  if (star == std::string_view::npos) return !to_end || path.size() == pattern.size();
  path.remove_prefix(star);
  while (true) {
    pattern.remove_prefix(star + 1);
    star = pattern.find('*');
    const std::string_view piece = pattern.substr(0, star);
    if (star == std::string_view::npos && to_end) return path.ends_with(piece);
    const size_t at = path.find(piece);
    if (at == std::string_view::npos) return false;
    if (star == std::string_view::npos) return true;
    path.remove_prefix(at + piece.size());
  }
}

enum class Key { kOther, kUserAgent, kAllow, kDisallow, kCrawlDelay };

Key key_of(std::string_view text) {
  const std::string key = lower_ascii(text);
  for (const char* known : {"user-agent", "useragent", "user agent"})
    if (key == known) return Key::kUserAgent;
  for (const char* known : {"disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw"})
    if (key == known) return Key::kDisallow;
  if (key == "allow") return Key::kAllow;
  if (key == "crawl-delay" || key == "crawldelay") return Key::kCrawlDelay;
  return Key::kOther;
}

struct Line {
  Key key = Key::kOther;
  std::string_view value;
};

// "key: value # comment". Without a colon: two words with blanks between them.
std::optional<Line> parse_line(std::string_view line) {
  line = trim(line.substr(0, line.find('#')));
  size_t separator = line.find(':');
  if (separator == std::string_view::npos) {
    separator = line.find_first_of(" \t");
    if (separator == std::string_view::npos || trim(line.substr(separator)).find_first_of(" \t") != std::string_view::npos)
      return std::nullopt;
  }
  const std::string_view key = trim(line.substr(0, separator));
  if (key.empty()) return std::nullopt;
  return Line{key_of(key), trim(line.substr(separator + 1))};
}

// A whole number or a decimal fraction of seconds; 0 for anything else.
double seconds_of(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  return error == std::errc() && end == text.data() + text.size() && value > 0 && value < 1e9 ? value : 0;
}

}  // namespace

Robots Robots::nothing() {
  Robots robots;
  robots.rules_.push_back({"/", false});
  return robots;
}

Robots Robots::parse(std::string_view text, std::string_view product) {
  const std::string own_name = lower_ascii(product_prefix(product));
  if (text.size() > kMaxBytes) {
    text = text.substr(0, kMaxBytes);
    text = text.substr(0, text.find_last_of("\r\n") + 1);  // npos + 1 == 0
  }
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);

  // Whom the lines being read are for. A user-agent line after a rule begins a new group; for the delay, which other readers take for a rule, one
  // after a delay does too. (For the rules it does not: other records must not interfere.)
  struct Heads {
    bool own = false, all = false, open = false;
    void user_agent(bool is_own, bool is_all) {
      if (!open) own = all = false;
      open = true;
      own |= is_own;
      all |= is_all;
    }
  };
  Robots own, all;       // what the groups that name this crawler say, and those for all
  bool any_own = false;  // a group names it
  Heads rules, delays;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of("\r\n"), text.size());
    const std::optional<Line> line = parse_line(text.substr(0, end));
    text.remove_prefix(std::min(text.size(), end + 1));
    if (!line) continue;
    switch (line->key) {
      case Key::kUserAgent: {
        const std::string_view value = line->value;
        const bool is_all = value.starts_with('*') && (value.size() == 1 || value[1] == ' ' || value[1] == '\t');
        const bool is_own = !is_all && !own_name.empty() && lower_ascii(product_prefix(value)) == own_name;
        any_own |= is_own;
        rules.user_agent(is_own, is_all);
        delays.user_agent(is_own, is_all);
        break;
      }
      case Key::kAllow:
      case Key::kDisallow:
        rules.open = delays.open = false;
        if (line->value.empty()) break;  // says nothing: "Disallow:" allows all
        if (rules.own) own.rules_.push_back({normal_form(line->value, true), line->key == Key::kAllow});
        if (rules.all) all.rules_.push_back({normal_form(line->value, true), line->key == Key::kAllow});
        break;
      case Key::kCrawlDelay:
        delays.open = false;
        if (delays.own) own.crawl_delay_ = std::max(own.crawl_delay_, seconds_of(line->value));
        if (delays.all) all.crawl_delay_ = std::max(all.crawl_delay_, seconds_of(line->value));
        break;
      case Key::kOther:
        break;
    }
  }
  return any_own ? own : all;
}

bool Robots::allows(std::string_view path) const {
  const std::string normal = normal_form(path.empty() ? "/" : path.substr(0, path.find('#')), false);
  if (normal == "/robots.txt") return true;
  size_t longest = 0;
  bool allowed = true;
  for (const Rule& rule : rules_) {
    if (rule.pattern.size() < longest || (rule.pattern.size() == longest && !rule.allow)) continue;
    if (!matches(rule.pattern, normal)) continue;
    longest = rule.pattern.size();
    allowed = rule.allow;
  }
  return allowed;
}

std::string product_of_user_agent(std::string_view user_agent) {
  return std::string(product_prefix(trim(user_agent)));
}

}  // namespace r1::corpus
