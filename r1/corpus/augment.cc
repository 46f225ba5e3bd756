#include "r1/corpus/augment.h"

#include <xxhash.h>

#include <algorithm>
#include <cctype>

#include "r1/base/error.h"
#include "r1/base/strings.h"
#include "r1/corpus/augment_numbers.h"
#include "r1/corpus/survey.h"

namespace r1::corpus {
namespace {

constexpr const char* kTransforms[] = {"numbers", "synonyms", "comments", "rename", "fim"};  // in the order of a chain
constexpr const char* kCopy = "augment:copy";
constexpr size_t kShown = 8;  // changes that a mark tells

uint64_t hash_of(std::string_view text) {
  return XXH3_64bits(text.data(), text.size());
}

bool is_blank(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}

// "numbers 12->17, 5->8"
std::string told(const std::string& transform, const std::vector<std::pair<std::string, std::string>>& changes) {
  std::string mark = "augment:" + transform;
  for (size_t i = 0; i < std::min(changes.size(), kShown); ++i) mark += (i ? ", " : " ") + changes[i].first + "->" + changes[i].second;
  if (changes.size() > kShown) mark += str(" and ", changes.size() - kShown, " more");
  return mark;
}

// The stretches of a document's text that its messages (extra.messages) are, whatever became of their blanks. Nothing: they are others.
struct Said {
  std::string role;
  size_t message, begin, end;
};
std::optional<std::vector<Said>> said_in(const Document& d) {
  std::vector<Said> out;
  size_t at = 0;
  const auto skip = [&] {
    while (at < d.text.size() && is_blank(d.text[at])) ++at;
  };
  const Json& messages = d.extra["messages"];
  if (!messages.is_array()) return std::nullopt;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (!messages[i].is_object() || !messages[i].contains("content") || !messages[i]["content"].is_string()) return std::nullopt;
    const std::string& content = messages[i]["content"].get_ref<const std::string&>();
    if (trim(content).empty()) continue;
    skip();
    Said s{.role = messages[i].value("role", ""), .message = i, .begin = at, .end = at};
    for (const char c : content) {
      if (is_blank(c)) continue;
      skip();
      if (at == d.text.size() || d.text[at] != c) return std::nullopt;
      s.end = ++at;
    }
    out.push_back(std::move(s));
  }
  skip();
  return at == d.text.size() ? std::optional(out) : std::nullopt;
}

// Puts new words for what was said in the text and the messages.
void say(Document& d, const std::vector<Said>& said, const std::vector<std::string>& words) {
  std::string text;
  size_t at = 0;
  for (size_t i = 0; i < said.size(); ++i) {
    text += d.text.substr(at, said[i].begin - at) + words[i];
    at = said[i].end;
    d.extra["messages"][said[i].message]["content"] = words[i];
  }
  d.text = text + d.text.substr(at);
}

bool has_messages(const Document& d) {
  return d.extra.is_object() && d.extra.contains("messages");
}

// Another field of the row tells one of these numbers: it would be wrong afterwards.
bool tells(const Json& value, const std::string& number) {
  if (value.is_structured()) return std::ranges::any_of(value, [&](const Json& part) { return tells(part, number); });
  const std::string text = value.is_string() ? value.get<std::string>() : value.is_number() ? value.dump() : "";
  const auto digit = [&](size_t i) { return i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])); };
  for (size_t at = text.find(number); at != std::string::npos; at = text.find(number, at + 1))
    if ((at == 0 || !digit(at - 1)) && !digit(at + number.size())) return true;
  return false;
}

std::string without_commas(std::string number) {
  std::erase(number, ',');
  return number;
}

// The language of a document of code; none of others.
std::optional<CodeKind> code_kind_of(const Document& d) {
  if (d.extra.is_object() && d.extra.contains("code") && d.extra["code"].is_string())
    return code_kind(d.extra["code"].get_ref<const std::string&>());
  // As rows of code corpora say it; two small letters are a language that is spoken.
  return d.language.size() > 2 || d.language == "C" || d.language == "Go" ? code_kind(d.language) : std::nullopt;
}

std::string_view label_of(std::string_view answer) {
  const size_t at = answer.rfind("####");
  return at == answer.npos ? "" : trim(answer.substr(at + 4));
}

}  // namespace

void AugmentOptions::visit(Fields& v) {
  v("transforms", transforms, "numbers (of word problems), synonyms, comments (out of code), rename (variables of Python), fim");
  v("rate", rate, "share of the documents that each of them takes; fim has its own", Range{0, 1});
  v("copies", copies, "how many each makes of a document", Range{1, 1000});
  v("replace", replace, "copies stand in the place of their original");
  v("chain", chain, "one copy goes through all transforms, rather than one through each");
  v("parts", parts, "parts of the split that are augmented");
  v("seed", seed, "another seed, other copies");
  v("quantities", quantities, "numbers: how many of a problem change at once", Range{1, 1000});
  v("synonyms", synonyms, "synonyms: a table, word TAB synonym TAB synonym; none: a small one of English and Chinese");
  v("synonym_rate", synonym_rate, "synonyms: share of the words that have one", Range{0, 1});
  v("licence", licence, "comments: a file's licence stays");
  v("docstrings", docstrings, "comments: Python's docstrings go too");
  v.group("fim", fim, "filling in the middle");
}

bool AugmentOptions::has(const char* transform) const {
  return std::ranges::find(transforms, transform) != transforms.end();
}

void AugmentOptions::check_transforms() const {
  std::string names;
  for (const char* t : kTransforms) names += std::string(names.empty() ? "" : ", ") + t;
  if (transforms.empty()) fail_usage("stage augment needs augment.transforms; there are: ", names);
  for (const std::string& t : transforms) {
    if (std::ranges::find(kTransforms, t) == std::end(kTransforms))
      fail_usage("augment.transforms: there is no '", printable(t), "'; there are: ", names);
    if (std::ranges::count(transforms, t) > 1) fail_usage("augment.transforms: '", t, "' stands there twice");
  }
  for (const std::string& part : parts)
    if (part != "train" && part != "validation" && part != "test")
      fail_usage("augment.parts: there is no part '", printable(part), "'; there are: train, validation, test");
}

Augmenter::Augmenter(const AugmentOptions& options, const text::Tokenizer* tokenizer) : options_(options) {
  options.check_transforms();
  if (options.has("synonyms")) synonyms_ = options.synonyms.empty() ? Synonyms::built_in() : Synonyms::load(options.synonyms);
  if (!options.has("fim")) return;
  sentinels_ = fim_sentinels(options.fim);
  if (!tokenizer) fail_usage("augment: fim needs --tokenizer, in which its control tokens must be");
  check_fim_sentinels(sentinels_, *tokenizer);
}

std::vector<Document> Augmenter::apply(Document d) const {
  std::vector<Document> out;
  const std::string part = mark_value(d, "split");
  if (!part.empty() && std::ranges::find(options_.parts, part) == options_.parts.end()) {
    out.push_back(std::move(d));
    return out;
  }
  // By the text, not by the place: a corpus that lies in another folder gets the same copies.
  const uint64_t id = hash_of(d.text);
  std::vector<std::string> taken;
  for (const char* t : kTransforms) {
    const double rate = t == std::string_view("fim") ? options_.fim.rate : options_.rate;
    if (options_.has(t) && random_uniform(options_.seed ^ id, hash_of(t), 0) < rate) taken.emplace_back(t);
  }
  const auto keep = [&](Document copy) {
    const auto same = [&](const Document& other) { return other.text == copy.text; };
    if (same(d) || std::ranges::any_of(out, same)) return;
    if (!options_.replace) copy.marks.emplace_back(kCopy);
    out.push_back(std::move(copy));
  };
  for (int64_t c = 0; c < options_.copies; ++c) {
    Document chained = d;
    for (const std::string& t : taken) {
      const Rng rng = Rng(options_.seed ^ id, hash_of(t)).split(uint64_t(c));
      if (options_.chain) {
        change(t, chained, rng);
      } else if (Document copy = d; change(t, copy, rng)) {
        keep(std::move(copy));
      }
    }
    if (options_.chain) keep(std::move(chained));
  }
  if (out.empty() || !options_.replace) out.insert(out.begin(), std::move(d));
  return out;
}

bool Augmenter::change(const std::string& t, Document& d, Rng rng) const {
  if (t == "numbers") return change_numbers_of(d, rng);
  if (t == "synonyms") return change_words_of(d, rng);
  if (t == "fim") return cut(d, rng);
  return change_code_of(d, t == "rename", rng);
}

bool Augmenter::change_numbers_of(Document& d, Rng& rng) const {
  if (d.kind != "problems" || !has_messages(d)) return false;
  const auto said = said_in(d);
  if (!said || said->size() != 2 || (*said)[0].role != "user" || (*said)[1].role != "assistant") return false;
  const auto words = [&](const Said& s) { return std::string_view(d.text).substr(s.begin, s.end - s.begin); };
  const std::string label(label_of(words((*said)[1])));
  const auto changed = change_numbers(words((*said)[0]), words((*said)[1]), options_.quantities, rng);
  if (!changed) return false;
  std::vector<std::string> gone;
  for (const auto& [before, after] : changed->changes) gone.push_back(before);
  if (label_of(changed->answer) != label) gone.push_back(label);
  for (const auto& [key, value] : d.extra.items())
    for (const std::string& number : gone)
      if (key != "messages" && (tells(value, number) || tells(value, without_commas(number)))) return false;
  if (std::ranges::any_of(gone, [&](const std::string& number) { return tells(d.title, number); })) return false;
  say(d, *said, {changed->question, changed->answer});
  d.marks.push_back(told("numbers", changed->changes));
  return true;
}

bool Augmenter::change_words_of(Document& d, Rng& rng) const {
  if (d.kind == "code" || code_kind_of(d)) return false;
  std::vector<std::pair<std::string, std::string>> all;
  const auto other = [&](std::string_view text) {
    Synonyms::Replaced r = synonyms_->replace(text, options_.synonym_rate, rng);
    all.insert(all.end(), r.words.begin(), r.words.end());
    return std::move(r.text);
  };
  if (has_messages(d)) {
    const auto said = said_in(d);
    if (!said) return false;
    std::vector<std::string> words;
    for (const Said& s : *said) {
      const std::string_view text = std::string_view(d.text).substr(s.begin, s.end - s.begin);
      words.push_back(s.role == "user" || s.role == "assistant" ? other(text) : std::string(text));
    }
    say(d, *said, words);
  } else {
    d.text = other(d.text);
  }
  if (!all.empty()) d.marks.push_back(told("synonyms", all));
  return !all.empty();
}

bool Augmenter::change_code_of(Document& d, bool rename, Rng& rng) const {
  const auto kind = code_kind_of(d);
  if (!kind || has_messages(d) || (rename && kind != CodeKind::kPython)) return false;
  if (rename) {
    auto renamed = rename_python_variables(d.text, rng);
    if (!renamed) return false;
    d.text = std::move(renamed->code);
    d.marks.push_back(told("rename", renamed->names));
    return true;
  }
  auto stripped = strip_comments(d.text, *kind, {.licence = options_.licence, .docstrings = options_.docstrings});
  // What was nothing but comments is left alone.
  if (!stripped || trim(stripped->code).empty()) return false;
  d.text = std::move(stripped->code);
  d.marks.push_back(str("augment:comments ", stripped->removed));
  return true;
}

bool Augmenter::cut(Document& d, Rng& rng) const {
  const bool spm = rng.uniform() < options_.fim.spm;
  auto fim = make_fim(d.text, spm, sentinels_, rng);
  if (!fim) return false;
  d.text = std::move(fim->text);
  // What the messages said stands in another order.
  if (has_messages(d)) d.extra.erase("messages");
  for (const ControlRange& range : fim->control) d.extra["control"].push_back(Json::array({range.begin, range.end}));
  d.marks.emplace_back(spm ? "augment:fim spm" : "augment:fim psm");
  return true;
}

bool is_augmented_copy(const Document& d) {
  const auto copy = [](const auto& mark) { return mark == kCopy; };
  if (std::ranges::any_of(d.marks, copy)) return true;
  return d.extra.is_object() && d.extra.contains("marks") && d.extra["marks"].is_array() && std::ranges::any_of(d.extra["marks"], copy);
}

}  // namespace r1::corpus
