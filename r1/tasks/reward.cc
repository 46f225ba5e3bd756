#include "r1/tasks/reward.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/tasks/code_reward.h"
#include "r1/tasks/options.h"

namespace r1::tasks {

namespace {

constexpr const char* kTags[] = {"<think>", "</think>", "<answer>", "</answer>"};

int64_t count(const std::string& text, const std::string& what) {
  int64_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + what.size())) ++n;
  return n;
}

std::string trim(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

// One code point of valid UTF-8; a bad byte stands for itself.
char32_t next_code_point(const std::string& text, size_t& at) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned char lead = byte(at);
  const int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
  char32_t c = more == 3 ? lead & 7 : more == 2 ? lead & 15 : more == 1 ? lead & 31 : lead;
  for (int i = 1; i <= more; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return ++at, lead;
    c = c << 6 | (byte(at + i) & 0x3F);
  }
  at += size_t(more) + 1;
  return c;
}

bool is_cjk(char32_t c) {
  return (c >= 0x3040 && c <= 0x30FF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x20000 && c <= 0x2FA1F);
}
bool is_latin(char32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= 0xC0 && c <= 0x24F && c != 0xD7 && c != 0xF7);
}
bool is_space(char32_t c) {
  return c <= ' ' || c == 0xA0 || c == 0x3000 || (c >= 0x2000 && c <= 0x200A);
}
// A letter of any script, coarsely: what is beyond ASCII and no punctuation, symbol or space of the common blocks.
bool is_letter(char32_t c) {
  return is_latin(c) || is_cjk(c) ||
         (c >= 0x250 && !is_space(c) && !(c >= 0x2000 && c <= 0x2BFF) && !(c >= 0x3000 && c <= 0x303F) && !(c >= 0xFF00 && c <= 0xFFEF) &&
          c < 0x1F000);
}

// A reward of one completion by itself.
class Single : public Reward {
 public:
  using Rule = std::function<std::optional<double>(const RewardInput&)>;
  explicit Single(Rule rule) : rule_(std::move(rule)) {}
  std::vector<std::optional<double>> operator()(std::span<const RewardInput> group) const override {
    std::vector<std::optional<double>> out;
    for (const auto& input : group) out.push_back(rule_(input));
    return out;
  }

 private:
  Rule rule_;
};

bool right(const RewardInput& input) {
  return input.score.verdict == Verdict::kRight;
}

class Length : public Reward {
 public:
  std::vector<std::optional<double>> operator()(std::span<const RewardInput> group) const override {
    const auto [shortest, longest] =
        std::minmax_element(group.begin(), group.end(), [](const auto& a, const auto& b) { return a.tokens < b.tokens; });
    const double lo = double(shortest->tokens), hi = double(longest->tokens);
    std::vector<std::optional<double>> out;
    for (const auto& input : group) {
      const double lambda = hi > lo ? 0.5 - (double(input.tokens) - lo) / (hi - lo) : 0.0;
      out.push_back(right(input) ? lambda : std::min(0.0, lambda));
    }
    return out;
  }
};

std::string thought_of(const std::string& completion) {
  const size_t end = completion.find("</think>");
  if (end == std::string::npos) return completion;
  const size_t begin = completion.find("<think>");
  const size_t from = begin == std::string::npos || begin > end ? 0 : begin + 7;
  return completion.substr(from, end - from);
}

bool begins_as_step(const std::string& line) {
  static const std::vector<std::string> kOpeners = {"First", "Second", "Third", "Next", "Then", "Finally", "- ", "* "};
  for (const auto& opener : kOpeners)
    if (line.compare(0, opener.size(), opener) == 0) return true;
  size_t at = line.compare(0, 5, "Step ") == 0 ? 5 : 0;
  const size_t digits = at;
  while (at < line.size() && std::isdigit(static_cast<unsigned char>(line[at]))) ++at;
  return at > digits && at < line.size() && (line[at] == '.' || line[at] == ':') && (digits == 5 || line[at] == '.') &&
         (at + 1 == line.size() || line[at + 1] == ' ');
}

double reasoning_steps(const std::string& completion) {
  const std::string thought = thought_of(completion);
  int64_t steps = 0;
  for (size_t begin = 0; begin <= thought.size();) {
    const size_t end = std::min(thought.find('\n', begin), thought.size());
    steps += begins_as_step(trim(thought.substr(begin, end - begin)) + " ");
    begin = end + 1;
  }
  return std::min(1.0, double(steps) / 3.0);
}

std::string without_tags(std::string text) {
  for (const char* tag : kTags)
    for (size_t at = text.find(tag); at != std::string::npos; at = text.find(tag)) text.replace(at, std::string(tag).size(), " ");
  return text;
}

using Maker = std::function<std::unique_ptr<Reward>(OptionReader&)>;

std::unique_ptr<Reward> single(Single::Rule rule) {
  return std::make_unique<Single>(std::move(rule));
}

const std::vector<std::pair<std::string, Maker>>& makers() {
  static const std::vector<std::pair<std::string, Maker>> kMakers = {
      {"accuracy", [](OptionReader&) { return single([](const RewardInput& i) { return std::optional<double>(i.score.accuracy); }); }},
      {"format",
       [](OptionReader& o) {
         const bool allow = o.boolean("allow_empty_thought", false);
         return single([allow](const RewardInput& i) { return std::optional<double>(parse_tagged(i.completion, allow) ? 1.0 : 0.0); });
       }},
      {"format_if_right",
       [](OptionReader& o) {
         const bool allow = o.boolean("allow_empty_thought", false);
         return single(
             [allow](const RewardInput& i) { return std::optional<double>(right(i) && parse_tagged(i.completion, allow) ? 1.0 : 0.0); });
       }},
      {"tag_count",
       [](OptionReader&) {
         return single([](const RewardInput& i) {
           double sum = 0;
           for (const char* tag : kTags) sum += count(i.completion, tag) == 1 ? 0.25 : 0.0;
           return std::optional<double>(sum);
         });
       }},
      {"reasoning_steps",
       [](OptionReader&) { return single([](const RewardInput& i) { return std::optional<double>(reasoning_steps(i.completion)); }); }},
      {"length", [](OptionReader&) { return std::make_unique<Length>(); }},
      {"cosine",
       [](OptionReader& o) {
         const double limit = o.number("max_length", 1024, 1, 1e9), rs = o.number("right_short", 1.0, -100, 100),
                      rl = o.number("right_long", 0.5, -100, 100), ws = o.number("wrong_short", -1.0, -100, 100),
                      wl = o.number("wrong_long", -0.5, -100, 100);
         return single([=](const RewardInput& i) {
           const double cosine = std::cos(std::min(1.0, double(i.tokens) / limit) * 3.14159265358979323846);
           const double from = right(i) ? rs : ws, to = right(i) ? rl : wl;
           return std::optional<double>(to + 0.5 * (from - to) * (1.0 + cosine));
         });
       }},
      {"repetition_penalty",
       [](OptionReader& o) {
         const int n = int(o.integer("n", 3, 1, 100));
         const double most = o.number("max_penalty", 1.0, 0, 100);
         return single([=](const RewardInput& i) { return std::optional<double>(-most * repetition(i.completion, n)); });
       }},
      {"soft_overlong_punishment",
       [](OptionReader& o) {
         const double limit = o.number("max_length", 16384, 1, 1e9), cache = o.number("cache", 4096, 1, 1e9);
         return single([=](const RewardInput& i) {
           const double length = double(i.tokens), begin = limit - cache;
           return std::optional<double>(length <= begin ? 0.0 : length <= limit ? (begin - length) / cache : -1.0);
         });
       }},
      {"language_consistency",
       [](OptionReader& o) {
         const std::string language = o.one_of("language", "en", {"en", "zh"});
         return single([language](const RewardInput& i) { return language_share(without_tags(thought_of(i.completion)), language); });
       }},
      {"code", make_code},
      {"binary_code", make_binary_code},
      {"ioi_code", make_ioi_code},
      {"cf_code", make_cf_code},
      {"code_format", make_code_format},
  };
  return kMakers;
}

}  // namespace

std::optional<TaggedParts> parse_tagged(const std::string& completion, bool allow_empty_thought) {
  for (const char* tag : kTags)
    if (count(completion, tag) != 1) return std::nullopt;
  const std::string text = trim(completion);
  const size_t think_end = text.find("</think>"), answer = text.find("<answer>"), answer_end = text.find("</answer>");
  if (text.find("<think>") != 0 || think_end > answer || answer > answer_end || answer_end + 9 != text.size()) return std::nullopt;
  if (!trim(text.substr(think_end + 8, answer - think_end - 8)).empty()) return std::nullopt;
  TaggedParts parts{trim(text.substr(7, think_end - 7)), trim(text.substr(answer + 8, answer_end - answer - 8))};
  if (parts.answer.empty() || (parts.thought.empty() && !allow_empty_thought)) return std::nullopt;
  return parts;
}

std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> out;
  std::string word;
  const auto flush = [&] {
    if (!word.empty()) out.push_back(std::move(word));
    word.clear();
  };
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = next_code_point(text, at);
    if (is_space(c) || is_cjk(c)) flush();
    if (is_cjk(c)) out.push_back(text.substr(begin, at - begin));
    if (!is_space(c) && !is_cjk(c)) word += text.substr(begin, at - begin);
  }
  flush();
  return out;
}

double repetition(const std::string& text, int n) {
  auto list = words(text);
  for (auto& word : list)
    for (char& c : word) c = char(std::tolower(static_cast<unsigned char>(c)));
  if (int(list.size()) < n) return 0;
  std::set<std::vector<std::string>> distinct;
  const size_t total = list.size() - size_t(n) + 1;
  for (size_t i = 0; i < total; ++i) distinct.insert({list.begin() + long(i), list.begin() + long(i) + n});
  return 1.0 - double(distinct.size()) / double(total);
}

std::optional<double> language_share(const std::string& text, const std::string& language) {
  double all = 0, target = 0;
  for (const auto& word : words(text)) {
    bool latin = false, cjk = false, other = false;
    for (size_t at = 0; at < word.size();) {
      const char32_t c = next_code_point(word, at);
      latin |= is_latin(c);
      cjk |= is_cjk(c);
      other |= is_letter(c) && !is_latin(c) && !is_cjk(c);
    }
    if (!latin && !cjk && !other) continue;
    all += 1;
    target += language == "zh" ? cjk : latin && !other;
  }
  if (all == 0) return std::nullopt;
  return target / all;
}

std::vector<std::string> reward_names() {
  std::vector<std::string> out;
  for (const auto& [name, unused] : makers()) out.push_back(name);
  return out;
}

std::unique_ptr<Reward> make_reward(const std::string& name, const Json& options) {
  for (const auto& [known, make] : makers()) {
    if (known != name) continue;
    OptionReader reader(options, "reward " + name);
    auto out = make(reader);
    reader.finish();
    return out;
  }
  fail_usage("unknown reward '", name, "'", did_you_mean(name, reward_names()));
}

}  // namespace r1::tasks
