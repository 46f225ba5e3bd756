// tokenizer.json and tokenizer_config.json, read and written. The vocabulary and merges (millions of small strings) are read by a pull
// parser; the small sections go through the JSON DOM, whose ordered objects would take quadratic time on a vocabulary.
#include <algorithm>
#include <charconv>
#include <numeric>

#include "r1/base/error.h"
#include "r1/text/tokenizer_parts.h"
#include "r1/text/unicode.h"

namespace r1::text {
namespace {

class Reader {
 public:
  Reader(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  [[noreturn]] void give_up(std::string_view what) const { fail(where_, ": ", what, " at byte ", at_); }

  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool accept(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) give_up(str("expected '", c, "'"));
  }

  std::string string() {
    std::string out;
    string_into(out);
    return out;
  }

  void string_into(std::string& out) {
    out.clear();
    expect('"');
    for (;;) {
      const size_t stop = text_.find_first_of("\"\\", at_);
      if (stop == std::string_view::npos) give_up("a string without end");
      out.append(text_, at_, stop - at_);
      at_ = stop + 1;
      if (text_[stop] == '"') return;
      escape(out);
    }
  }

  int64_t integer() {
    peek();
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (error != std::errc()) give_up("expected an integer");
    at_ = size_t(end - text_.data());
    return value;
  }

  // The raw text of the value that comes next.
  std::string_view value() {
    peek();
    const size_t begin = at_;
    skip();
    return text_.substr(begin, at_ - begin);
  }

  // Calls member(key) for each member, positioned at its value.
  template <class Member>
  void object(Member member) {
    expect('{');
    if (accept('}')) return;
    std::string key;
    do {
      string_into(key);
      expect(':');
      member(key);
    } while (accept(','));
    expect('}');
  }

  template <class Element>
  void array(Element element) {
    expect('[');
    if (accept(']')) return;
    do element();
    while (accept(','));
    expect(']');
  }

 private:
  uint32_t hex4() {
    uint32_t value = 0;
    const char* const p = text_.data() + at_;
    if (text_.size() - at_ < 4) give_up("a cut \\u escape");
    const auto [end, error] = std::from_chars(p, p + 4, value, 16);
    if (error != std::errc() || end != p + 4) give_up("a bad \\u escape");
    at_ += 4;
    return value;
  }

  void escape(std::string& out) {
    if (at_ >= text_.size()) give_up("a string without end");
    const char c = text_[at_++];
    constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
    if (const size_t i = kFrom.find(c); i != std::string_view::npos) {
      out += kTo[i];
      return;
    }
    if (c != 'u') give_up("a bad escape");
    uint32_t cp = hex4();
    if (cp >= 0xD800 && cp < 0xDC00 && text_.substr(at_, 2) == "\\u") {
      at_ += 2;
      const uint32_t low = hex4();
      if (low < 0xDC00 || low >= 0xE000) give_up("half a surrogate pair");
      cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
    }
    if (cp >= 0xD800 && cp < 0xE000) give_up("half a surrogate pair");
    append_utf8(out, cp);
  }

  void skip_string() {
    ++at_;
    for (;;) {
      const size_t stop = text_.find_first_of("\"\\", at_);
      if (stop == std::string_view::npos || (text_[stop] == '\\' && stop + 1 >= text_.size())) give_up("a string without end");
      at_ = stop + (text_[stop] == '"' ? 1 : 2);
      if (text_[stop] == '"') return;
    }
  }

  void skip() {
    int depth = 0;
    do {
      const char c = peek();
      if (c == '\0') give_up("the file ends too early");
      if (c == '"') {
        skip_string();
      } else if (c == '{' || c == '[') {
        ++depth, ++at_;
      } else if (c == '}' || c == ']') {
        if (--depth < 0) give_up("expected a value");
        ++at_;
      } else if (c == ',' || c == ':') {
        if (depth == 0) give_up("expected a value");
        ++at_;
      } else {
        const size_t end = std::min(text_.find_first_of(",:{}[]\" \n\r\t", at_), text_.size());
        if (end == at_) give_up("expected a value");
        at_ = end;
      }
    } while (depth > 0);
  }

  std::string_view text_;
  std::string where_;
  size_t at_ = 0;
};

constexpr int64_t kMaxId = 1 << 24;

TokenId checked_id(int64_t id, const std::string& where) {
  if (id < 0 || id >= kMaxId) fail(where, ": token id ", id, " is out of range");
  return TokenId(id);
}

void read_vocabulary(std::string_view json, const std::string& where, TokenizerParts& parts) {
  Reader reader(json, where);
  reader.object([&](const std::string& key) { parts.vocabulary.emplace_back(key, checked_id(reader.integer(), where)); });
}

void read_merges(std::string_view json, const std::string& where, TokenizerParts& parts) {
  MergeResolver resolver(parts.vocabulary, where);
  Reader reader(json, where);
  std::string left, right;
  reader.array([&] {
    if (reader.peek() == '"') {
      reader.string_into(left);
      parts.merges.push_back(resolver.resolve(left));
      return;
    }
    reader.expect('[');
    reader.string_into(left);
    reader.expect(',');
    reader.string_into(right);
    reader.expect(']');
    parts.merges.push_back(resolver.resolve(left, right));
  });
}

void read_model(std::string_view json, const std::string& where, TokenizerParts& parts) {
  Reader reader(json, where);
  std::string_view vocab, merges;
  Json rest = Json::object();
  reader.object([&](const std::string& key) {
    const std::string_view value = reader.value();
    if (key == "vocab") {
      vocab = value;
    } else if (key == "merges") {
      merges = value;
    } else {
      rest[key] = parse_json(value, where + ": model." + key);
    }
  });
  const std::string type = json_get_or<std::string>(rest, "type", merges.empty() ? "WordLevel" : "BPE", where + ": model");
  if (vocab.empty()) fail(where, ": model.vocab is missing");
  if (!vocab.starts_with('{'))
    fail(where, ": model.vocab of a ", printable(type), " model is no object (only BPE and WordLevel vocabularies are read)");
  read_vocabulary(vocab, where + ": model.vocab", parts);
  if (rest.contains("unk_token") && rest["unk_token"].is_string()) parts.unk_token = rest["unk_token"].get<std::string>();
  if (type == "WordLevel") {
    parts.kind = ModelOptions::Kind::kWordLevel;
    return;
  }
  if (type != "BPE") fail(where, ": model of type '", printable(type), "' is not supported (known: BPE, WordLevel)");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!json_get_or<std::string>(rest, key, "", where).empty()) fail(where, ": model.", key, " is not supported");
  if (json_get_or(rest, "dropout", 0.0, where) != 0) fail(where, ": model.dropout is not supported");
  parts.byte_fallback = json_get_or(rest, "byte_fallback", false, where);
  parts.ignore_merges = json_get_or(rest, "ignore_merges", false, where);
  parts.fuse_unk = json_get_or(rest, "fuse_unk", false, where);
  if (merges.empty()) fail(where, ": model.merges is missing");
  read_merges(merges, where + ": model.merges", parts);
}

AddedToken read_added(const Json& json, TokenId id, const std::string& where) {
  AddedToken token;
  token.id = id;
  token.content = json_get<std::string>(json, "content", where);
  token.special = json_get_or(json, "special", false, where);
  token.lstrip = json_get_or(json, "lstrip", false, where);
  token.rstrip = json_get_or(json, "rstrip", false, where);
  token.single_word = json_get_or(json, "single_word", false, where);
  token.normalized = json_get_or(json, "normalized", !token.special, where);
  return token;
}

std::optional<std::string> token_text(const Json& config, const char* key) {
  const auto it = config.find(key);
  if (it == config.end()) return {};
  if (it->is_string()) return it->get<std::string>();
  if (it->is_object() && it->contains("content") && (*it)["content"].is_string()) return (*it)["content"].get<std::string>();
  return {};
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\', out += c;
    } else if (uint8_t(c) < 0x20) {
      char buffer[8];
      std::snprintf(buffer, sizeof buffer, "\\u%04x", unsigned(uint8_t(c)));
      out += buffer;
    } else {
      out += c;
    }
  }
  out += '"';
}

}  // namespace

MergeResolver::MergeResolver(const std::vector<std::pair<std::string, TokenId>>& vocabulary, std::string where) : where_(std::move(where)) {
  size_t bytes = 0;
  for (const auto& [text, id] : vocabulary) bytes += text.size();
  table_.reserve(vocabulary.size(), bytes);
  for (const auto& [text, id] : vocabulary) table_.insert(text, id);
}

TokenId MergeResolver::id_of(std::string_view spelled) const {
  const TokenId id = table_.find(spelled);
  if (id == kNoToken) fail(where_, ": token '", printable(spelled), "' of a merge is not in the vocabulary");
  return id;
}

Model::MergeRule MergeResolver::resolve(std::string_view left, std::string_view right) {
  joined_.assign(left).append(right);
  return {id_of(left), id_of(right), id_of(joined_)};
}

Model::MergeRule MergeResolver::resolve(std::string_view pair) {
  const size_t space = pair.find(' ');
  if (space == std::string_view::npos || pair.find(' ', space + 1) != std::string_view::npos)
    fail(where_, ": merge '", printable(pair), "' is not two tokens and a space");
  return resolve(pair.substr(0, space), pair.substr(space + 1));
}

Json byte_level_section(bool add_prefix_space, bool use_regex, bool trim_offsets) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", add_prefix_space}, {"trim_offsets", trim_offsets}, {"use_regex", use_regex}};
}

Json split_section(std::string_view regex) {
  return {{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}};
}

Json sequence_section(const char* key, std::vector<Json> members) {
  return {{"type", "Sequence"}, {key, std::move(members)}};
}

TokenizerParts read_tokenizer_json(std::string_view json, const std::string& where) {
  if (json.size() > size_t(1) << 30) fail(where, ": ", json.size(), " bytes are more than a tokenizer.json may have");
  for (const char *p = json.data(), *end = p + json.size(); p < end;) {
    uint32_t cp;
    p += decode_utf8(p, end, &cp);
    if (cp == kInvalid) fail(where, ": invalid UTF-8 at byte ", p - json.data() - 1);
  }
  TokenizerParts parts;
  parts.where = where;
  std::string_view model;
  Reader reader(json, where);
  reader.object([&](const std::string& key) {
    const std::string_view value = reader.value();
    if (key == "model") {
      model = value;
    } else if (key == "normalizer") {
      parts.normalizer = parse_json(value, where + ": normalizer");
    } else if (key == "pre_tokenizer") {
      parts.pre_tokenizer = parse_json(value, where + ": pre_tokenizer");
    } else if (key == "post_processor") {
      parts.post_processor = parse_json(value, where + ": post_processor");
    } else if (key == "decoder") {
      parts.decoder = parse_json(value, where + ": decoder");
    } else if (key == "added_tokens") {
      for (const Json& token : parse_json(value, where + ": added_tokens")) {
        const std::string place = str(where, ": added_tokens[", parts.added.size(), "]");
        parts.added.push_back(read_added(token, checked_id(json_get<int64_t>(token, "id", place), place), place));
      }
    }
  });
  if (reader.peek() != '\0') reader.give_up("something follows the document");
  if (model.empty()) fail(where, ": key 'model' is missing (is this a tokenizer.json?)");
  read_model(model, where, parts);
  return parts;
}

void read_tokenizer_config(const Json& config, const std::string& where, TokenizerParts& parts) {
  if (!config.is_object()) fail(where, ": expected a JSON object");
  parts.bos = token_text(config, "bos_token");
  parts.eos = token_text(config, "eos_token");
  parts.pad = token_text(config, "pad_token");
  const auto flag = [&](const char* key) -> std::optional<bool> {
    const auto it = config.find(key);
    return it != config.end() && it->is_boolean() ? std::optional(it->get<bool>()) : std::nullopt;
  };
  parts.add_bos = flag("add_bos_token");
  parts.add_eos = flag("add_eos_token");
  parts.chat_template_where = where + ": chat_template";
  if (const auto it = config.find("chat_template"); it != config.end()) {
    if (it->is_string()) parts.chat_template = it->get<std::string>();
    if (it->is_array()) {
      for (const Json& named : *it) {
        const std::string text = json_get<std::string>(named, "template", where + ": chat_template");
        if (parts.chat_template.empty() || json_get_or<std::string>(named, "name", "", where) == "default") parts.chat_template = text;
      }
    }
  }
  if (const auto it = config.find("added_tokens_decoder"); it != config.end() && it->is_object()) {
    for (const auto& [key, value] : it->items()) {
      int64_t id = -1;
      std::from_chars(key.data(), key.data() + key.size(), id);
      const std::string place = str(where, ": added_tokens_decoder['", printable(key), "']");
      AddedToken token = read_added(value, checked_id(id, place), place);
      if (std::ranges::none_of(parts.added, [&](const AddedToken& a) { return a.content == token.content; }))
        parts.added.push_back(std::move(token));
    }
  }
}

void read_special_tokens_map(const Json& map, const std::string& where, TokenizerParts& parts) {
  if (!map.is_object()) fail(where, ": expected a JSON object");
  if (!parts.bos) parts.bos = token_text(map, "bos_token");
  if (!parts.eos) parts.eos = token_text(map, "eos_token");
  if (!parts.pad) parts.pad = token_text(map, "pad_token");
}

std::string write_tokenizer_json(const TokenizerParts& parts) {
  std::string out = "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n  \"added_tokens\": [";
  for (size_t i = 0; i < parts.added.size(); ++i) {
    const AddedToken& t = parts.added[i];
    const Json json = {{"id", t.id},         {"content", t.content},       {"single_word", t.single_word}, {"lstrip", t.lstrip},
                       {"rstrip", t.rstrip}, {"normalized", t.normalized}, {"special", t.special}};
    out += (i ? ",\n    " : "\n    ") + dump_json(json);
  }
  out += "\n  ],\n  \"normalizer\": " + dump_json(parts.normalizer) + ",\n  \"pre_tokenizer\": " + dump_json(parts.pre_tokenizer) +
         ",\n  \"post_processor\": " + dump_json(parts.post_processor) + ",\n  \"decoder\": " + dump_json(parts.decoder) +
         ",\n  \"model\": {\n";
  std::string unk = "null";
  if (parts.unk_token) append_quoted(unk = "", *parts.unk_token);
  const auto truth = [](bool b) { return b ? "true" : "false"; };
  const bool bpe = parts.kind == ModelOptions::Kind::kBpe;
  if (bpe) {
    out += str("    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": ", unk,
               ",\n    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n    \"fuse_unk\": ", truth(parts.fuse_unk),
               ",\n    \"byte_fallback\": ", truth(parts.byte_fallback), ",\n    \"ignore_merges\": ", truth(parts.ignore_merges), ",\n");
  } else {
    out += "    \"type\": \"WordLevel\",\n";
  }
  std::vector<uint32_t> order(parts.vocabulary.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::stable_sort(order, {}, [&](uint32_t i) { return parts.vocabulary[i].second; });
  out += "    \"vocab\": {";
  TokenId max_id = -1;
  for (size_t i = 0; i < order.size(); ++i) {
    const auto& [text, id] = parts.vocabulary[order[i]];
    out += i ? ",\n      " : "\n      ";
    append_quoted(out, text);
    out += ": " + std::to_string(id);
    max_id = std::max(max_id, id);
  }
  out += "\n    }";
  if (bpe) {
    std::vector<const std::string*> spelled(size_t(max_id) + 1);
    for (const auto& [text, id] : parts.vocabulary) spelled[size_t(id)] = &text;
    out += ",\n    \"merges\": [";
    for (size_t i = 0; i < parts.merges.size(); ++i) {
      out += i ? ",\n      [" : "\n      [";
      append_quoted(out, *spelled[size_t(parts.merges[i].left)]);
      out += ", ";
      append_quoted(out, *spelled[size_t(parts.merges[i].right)]);
      out += "]";
    }
    out += "\n    ]\n";
  } else {
    out += ",\n    \"unk_token\": " + unk + "\n";
  }
  return out + "  }\n}\n";
}

std::string write_tokenizer_config(const TokenizerParts& parts) {
  Json config = Json::object();
  const auto token = [&](const char* key, const std::optional<std::string>& text) { config[key] = text ? Json(*text) : Json(); };
  if (parts.add_bos) config["add_bos_token"] = *parts.add_bos;
  if (parts.add_eos) config["add_eos_token"] = *parts.add_eos;
  token("bos_token", parts.bos);
  token("eos_token", parts.eos);
  token("pad_token", parts.pad);
  config["clean_up_tokenization_spaces"] = false;
  if (!parts.chat_template.empty()) config["chat_template"] = parts.chat_template;
  config["tokenizer_class"] = "PreTrainedTokenizerFast";
  return dump_json(config, 2) + "\n";
}

}  // namespace r1::text
