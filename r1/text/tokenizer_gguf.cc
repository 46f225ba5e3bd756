// The vocabulary inside a GGUF file (tokenizer.ggml.*), as the HF sections it came from. tokenizer.ggml.pre names the pre-tokenizer; the
// names are llama.cpp's, what they stand for is the published tokenizer.json of the family.
#include <algorithm>
#include <cmath>

#include "r1/base/error.h"
#include "r1/base/gguf_file.h"
#include "r1/text/pretokenize.h"
#include "r1/text/tokenizer_parts.h"
#include "r1/text/unicode.h"

namespace r1::text {
namespace {

constexpr const char* kO200k =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

Json steps(std::vector<Json> members) {
  members.push_back(byte_level_section(false, false));
  return sequence_section("pretokenizers", std::move(members));
}

Json digits(bool individual) {
  return {{"type", "Digits"}, {"individual_digits", individual}};
}

struct Family {
  std::vector<const char*> names;
  Json (*pre_tokenizer)();
  bool nfc, ignore_merges, add_bos;
};

// deepseek-llm spells its cased letters out; they are these categories.
const Family kFamilies[] = {
    {{"gpt-2", "gpt2", "phi-2", "olmo", "mpt", "jais", "exaone"}, [] { return byte_level_section(false, true); }, false, false, false},
    {{"qwen2", "deepseek-r1-qwen", "megrez", "stablelm2"}, [] { return steps({split_section(patterns::kQwen2)}); }, true, false, false},
    {{"qwen35"}, [] { return steps({split_section(patterns::kQwen35)}); }, true, false, false},
    {{"llama-bpe", "llama3", "llama-v3", "falcon3", "dbrx", "smaug-bpe"},
     [] { return steps({split_section(patterns::kLlama3)}); },
     false,
     true,
     true},
    {{"llama4", "gpt-4o"}, [] { return steps({split_section(kO200k)}); }, false, true, false},
    {{"smollm", "starcoder", "refact", "command-r", "codeshell"},
     [] {
       return sequence_section("pretokenizers", {digits(true), byte_level_section(false, true)});
     },
     false,
     false,
     false},
    {{"deepseek-v3", "deepseek3"},
     [] {
       return steps(
           {split_section(patterns::kDeepSeekNumbers), split_section(patterns::kDeepSeekCjk), split_section(patterns::kDeepSeekRest)});
     },
     false,
     false,
     false},
    {{"deepseek-coder"},
     [] {
       return steps({split_section("[\r\n]"), split_section(R"(\s?\p{L}+)"), split_section(R"(\s?\p{P}+)"),
                     split_section("[一-龥ࠀ-一가-퟿]+"), digits(true)});
     },
     false,
     false,
     false},
    {{"deepseek-llm"},
     [] {
       return steps({split_section("[\r\n]"), split_section(R"(\s?[\p{Lu}\p{Ll}\p{Lt}]+)"),
                     split_section("\\s?[!-/:-~！-／：-～‘-‟　-。]+"), split_section(R"(\s+$)"), split_section("[一-龥ࠀ-一가-퟿]+"),
                     digits(false)});
     },
     false,
     false,
     false},
    {{"default", ""},
     [] {
       return steps({split_section(R"([\p{P}\$\+<=>\^~\|]+)"),
                     split_section(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S))"), split_section(R"(\p{N}+)"),
                     split_section("[0-9][0-9][0-9]")});
     },
     false,
     false,
     false},
};

const Family& family_of(const std::string& pre, const std::string& where) {
  for (const Family& family : kFamilies)
    if (std::ranges::any_of(family.names, [&](const char* name) { return pre == name; })) return family;
  std::string known;
  for (const Family& family : kFamilies)
    for (const std::string name : family.names)
      if (!name.empty()) known += (known.empty() ? "" : ", ") + name;
  fail(where, ": tokenizer.ggml.pre is '", printable(pre), "', which is not known here (known: ", known, ")");
}

constexpr int64_t kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4;

}  // namespace

Json template_section(const std::optional<std::pair<std::string, TokenId>>& bos,
                      const std::optional<std::pair<std::string, TokenId>>& eos) {
  const auto piece = [](const std::string& name, int type) { return Json{{"SpecialToken", {{"id", name}, {"type_id", type}}}}; };
  const auto text = [](const char* name, int type) { return Json{{"Sequence", {{"id", name}, {"type_id", type}}}}; };
  std::vector<Json> single, pair;
  Json special = Json::object();
  for (int type = 0; type < 2; ++type) {
    const auto add = [&](const Json& item) {
      if (type == 0) single.push_back(item);
      pair.push_back(item);
    };
    if (bos) add(piece(bos->first, type));
    add(text(type == 0 ? "A" : "B", type));
    if (eos) add(piece(eos->first, type));
  }
  for (const auto& token : {bos, eos})
    if (token)
      special[token->first] = {
          {"id", token->first}, {"ids", std::vector<TokenId>{token->second}}, {"tokens", std::vector<std::string>{token->first}}};
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", special}};
}

TokenizerParts read_gguf_vocabulary(const std::filesystem::path& path) {
  return gguf_vocabulary(GgufFile::open(path, {.allow_truncated = true}));
}

namespace {

constexpr const char* kSpace = "\xE2\x96\x81";  // U+2581, how SentencePiece writes a space

struct Vocabulary {
  std::vector<std::string> tokens;
  std::vector<int64_t> types;
};

Vocabulary read_tokens(const GgufFile& file) {
  Vocabulary v{file.strings("tokenizer.ggml.tokens"), {}};
  v.types = file.has("tokenizer.ggml.token_type") ? file.integers("tokenizer.ggml.token_type") : std::vector<int64_t>(v.tokens.size(), 1);
  if (v.types.size() != v.tokens.size())
    fail(file.name(), ": tokenizer.ggml.token_type has ", v.types.size(), " entries for ", v.tokens.size(), " tokens");
  if (v.tokens.empty()) fail(file.name(), ": tokenizer.ggml.tokens is empty");
  for (size_t id = 0; id < v.tokens.size(); ++id)
    if (to_valid_utf8(v.tokens[id]) != v.tokens[id]) fail(file.name(), ": token ", id, " is not valid UTF-8");
  return v;
}

bool is_special(int64_t type) {
  return type == kControl || type == kUnknown;
}

void read_byte_level(const GgufFile& file, const Vocabulary& v, const Family& family, TokenizerParts& parts) {
  parts.pre_tokenizer = family.pre_tokenizer();
  parts.ignore_merges = family.ignore_merges;
  if (family.nfc) parts.normalizer = {{"type", "NFC"}};
  parts.decoder = byte_level_section(true, true);
  parts.vocabulary.reserve(v.tokens.size());
  for (size_t id = 0; id < v.tokens.size(); ++id) {
    if (is_special(v.types[id]) || v.types[id] == kUserDefined) {
      parts.added.push_back({.id = TokenId(id), .content = v.tokens[id], .special = is_special(v.types[id])});
    } else {
      parts.vocabulary.emplace_back(v.tokens[id], TokenId(id));
    }
  }
  // Merges may use control tokens' text only in broken files: resolve against the plain vocabulary.
  MergeResolver resolver(parts.vocabulary, parts.where + ": tokenizer.ggml.merges");
  for (const std::string& merge : file.strings("tokenizer.ggml.merges")) parts.merges.push_back(resolver.resolve(merge));
}

// What a vocabulary of SentencePiece's may cost: the work on a piece grows with the square of its length. Gemma's longest has 48 bytes, and
// its pieces are cut in 513,511 ways.
constexpr size_t kMaxPieceBytes = 1024, kMaxMerges = size_t{1} << 22;

// A SentencePiece vocabulary has scores, no merges: of all neighbours that together are a piece, those merge whose piece scores best, the
// leftmost of equals. So every way to cut a plain piece into two of them is a merge with the rank of the piece's score.
void merges_from_scores(const Vocabulary& v, const std::vector<double>& scores, TokenizerParts& parts) {
  StringTable pieces;
  for (size_t id = 0; id < v.tokens.size(); ++id)
    if (v.types[id] == kNormal) pieces.insert(v.tokens[id], TokenId(id));
  std::vector<Model::MergeRule> merges;
  for (size_t id = 0; id < v.tokens.size(); ++id) {
    const std::string_view text = v.tokens[id];
    for (size_t cut = 1; v.types[id] == kNormal && cut < text.size(); ++cut) {
      if ((uint8_t(text[cut]) & 0xC0) == 0x80) continue;  // inside a character
      const TokenId left = pieces.find(text.substr(0, cut)), right = left == kNoToken ? kNoToken : pieces.find(text.substr(cut));
      if (right != kNoToken) merges.push_back({left, right, TokenId(id)});
    }
    if (merges.size() > kMaxMerges) fail(parts.where, ": the pieces can be cut into others in more than ", kMaxMerges, " ways");
  }
  const auto score = [&](const Model::MergeRule& m) { return scores[size_t(m.result)]; };
  std::ranges::stable_sort(merges, [&](const auto& a, const auto& b) { return score(a) > score(b); });
  parts.merge_ranks.resize(merges.size());
  for (size_t i = 1; i < merges.size(); ++i)
    parts.merge_ranks[i] = parts.merge_ranks[i - 1] + (score(merges[i]) != score(merges[i - 1]) ? 1 : 0);
  parts.merges = std::move(merges);
}

// Spaces to and from their letter; with `prefix` a space stands before each text.
void set_space_rules(bool prefix, TokenizerParts& parts) {
  const auto replace = [](const char* from, const char* to) {
    return Json{{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
  };
  parts.normalizer = replace(" ", kSpace);
  std::vector<Json> decoders{replace(kSpace, " "), Json{{"type", "ByteFallback"}}, Json{{"type", "Fuse"}}};
  if (prefix) {
    parts.normalizer = sequence_section("normalizers", {Json{{"type", "Prepend"}, {"prepend", kSpace}}, parts.normalizer});
    decoders.push_back(Json{{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  parts.decoder = sequence_section("decoders", std::move(decoders));
}

// SentencePiece's BPE: spaces are letters, characters that the vocabulary lacks are spelled in bytes, user-defined pieces are cut out of
// the text (its spaces being letters already) before anything merges.
void read_sentence_piece(const GgufFile& file, const Vocabulary& v, TokenizerParts& parts) {
  const std::vector<double> scores = file.numbers("tokenizer.ggml.scores");
  if (scores.size() != v.tokens.size())
    fail(parts.where, ": tokenizer.ggml.scores has ", scores.size(), " entries for ", v.tokens.size(), " tokens");
  for (const double score : scores)
    if (!std::isfinite(score)) fail(parts.where, ": tokenizer.ggml.scores holds ", score);
  for (size_t id = 0; id < v.tokens.size(); ++id)
    if (v.tokens[id].size() > kMaxPieceBytes)
      fail(parts.where, ": token ", id, " has ", v.tokens[id].size(), " bytes, at most ", kMaxPieceBytes, " are allowed");
  set_space_rules(file.boolean_or("tokenizer.ggml.add_space_prefix", true), parts);
  parts.sentence_piece = parts.byte_fallback = parts.fuse_unk = true;
  const int64_t unknown = file.integer_or("tokenizer.ggml.unknown_token_id", -1);
  if (unknown >= 0 && size_t(unknown) < v.tokens.size()) parts.unk_token = v.tokens[size_t(unknown)];
  parts.vocabulary.reserve(v.tokens.size());
  for (size_t id = 0; id < v.tokens.size(); ++id) {
    parts.vocabulary.emplace_back(v.tokens[id], TokenId(id));
    if (is_special(v.types[id])) parts.added.push_back({.id = TokenId(id), .content = v.tokens[id], .special = true});
    if (v.types[id] == kUserDefined) parts.added.push_back({.id = TokenId(id), .content = v.tokens[id], .normalized = true});
  }
  merges_from_scores(v, scores, parts);
}

// Whole words: the tokenizer.json that the file holds, if it holds one of that kind and with the same tokens.
bool read_words(const GgufFile& file, const Vocabulary& v, TokenizerParts& parts) {
  if (!file.has(kTokenizerJsonKey)) return false;
  const std::string text = file.string(kTokenizerJsonKey), where = str(file.name(), ": ", kTokenizerJsonKey);
  // Of other kinds tokenizer.ggml says it all, whatever else is in there.
  const Json whole = parse_json(text, where);
  const auto model = whole.find("model");
  if (!whole.is_object() || model == whole.end() || !model->is_object() || model->value("type", Json()) != "WordLevel") return false;
  TokenizerParts json = read_tokenizer_json(text, where);
  const auto is_there = [&](const std::string& text, TokenId id) {
    if (size_t(id) >= v.tokens.size() || v.tokens[size_t(id)] != text)
      fail(json.where, ": token ", id, " is '", printable(text), "' there, and another in tokenizer.ggml.tokens");
  };
  for (const auto& [text, id] : json.vocabulary) is_there(text, id);
  for (const AddedToken& added : json.added) is_there(added.content, added.id);
  json.where = parts.where;
  parts = std::move(json);
  return true;
}

}  // namespace

TokenizerParts gguf_vocabulary(const GgufFile& file) {
  TokenizerParts parts;
  parts.where = file.name();
  const std::string model = file.string("tokenizer.ggml.model");
  const bool sentence_piece = model == "llama";
  if (model != "gpt2" && !sentence_piece)
    fail(parts.where, ": tokenizer.ggml.model is '", printable(model),
         "'; byte-level BPE ('gpt2') and SentencePiece's BPE ('llama') vocabularies are read");
  const Vocabulary vocabulary = read_tokens(file);
  const std::vector<std::string>& tokens = vocabulary.tokens;
  const bool words = read_words(file, vocabulary, parts);
  const Family* family = sentence_piece || words ? nullptr : &family_of(file.string_or("tokenizer.ggml.pre", ""), parts.where);
  if (sentence_piece && !words) read_sentence_piece(file, vocabulary, parts);
  if (family) read_byte_level(file, vocabulary, *family, parts);

  const auto named = [&](const char* key) -> std::optional<std::pair<std::string, TokenId>> {
    if (!file.has(key)) return {};
    const int64_t id = file.integer(key);
    if (id < 0 || size_t(id) >= tokens.size()) return {};
    return std::pair(tokens[size_t(id)], TokenId(id));
  };
  const auto bos = named("tokenizer.ggml.bos_token_id"), eos = named("tokenizer.ggml.eos_token_id"),
             pad = named("tokenizer.ggml.padding_token_id");
  if (bos) parts.bos = bos->first;
  if (eos) parts.eos = eos->first;
  if (pad) parts.pad = pad->first;
  for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"})
    if (const auto end = named(key)) parts.more_eos.push_back(end->second);
  parts.add_bos = file.boolean_or("tokenizer.ggml.add_bos_token", family ? family->add_bos : sentence_piece) && bos;
  parts.add_eos = file.boolean_or("tokenizer.ggml.add_eos_token", false) && eos;
  if (words) {  // it says itself what stands around a text
  } else if (*parts.add_bos || *parts.add_eos) {
    parts.post_processor = template_section(*parts.add_bos ? bos : std::nullopt, *parts.add_eos ? eos : std::nullopt);
  } else if (!sentence_piece) {
    parts.post_processor = byte_level_section(true, true, false);
  }
  parts.chat_template = file.string_or("tokenizer.chat_template", "");
  parts.chat_template_where = parts.where + ": tokenizer.chat_template";
  return parts;
}

}  // namespace r1::text
