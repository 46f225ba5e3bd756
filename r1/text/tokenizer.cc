#include "r1/text/tokenizer.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/gguf_file.h"
#include "r1/text/tokenizer_impl.h"

namespace r1::text {

void Normalizer::add(const Json& spec, const std::string& where) {
  if (spec.is_null()) return;
  const std::string type = json_get<std::string>(spec, "type", where);
  if (type == "NFC") {
    forms_.push_back({Form::kNfc, "", ""});
  } else if (type == "NFD") {
    forms_.push_back({Form::kNfd, "", ""});
  } else if (type == "Replace") {
    const std::string from = json_get<std::string>(json_get<Json>(spec, "pattern", where), "String", where);
    if (from.empty()) fail(where, ": Replace of an empty string");
    forms_.push_back({Form::kReplace, from, json_get<std::string>(spec, "content", where)});
  } else if (type == "Prepend") {
    forms_.push_back({Form::kPrepend, "", json_get<std::string>(spec, "prepend", where)});
  } else if (type == "Sequence") {
    if (forms_.size() > 16) fail(where, ": more than 16 normalizers");
    for (const Json& inner : json_get<Json>(spec, "normalizers", where)) add(inner, where);
  } else {
    fail(where, ": normalizer of type '", printable(type), "' is not supported (known: NFC, NFD, Replace, Prepend, Sequence)");
  }
}

Tokenizer::Impl::Impl(TokenizerParts source) : parts(std::move(source)) {
  normalizer = Normalizer(parts.normalizer, parts.where + ": normalizer");
  pre_tokenizer = PreTokenizer(parts.pre_tokenizer, parts.where + ": pre_tokenizer");
  build_added();
  build_vocabulary();
  build_post_processor(parts.post_processor);
  build_decoder();
  build_special();
}

// Ids, states and lookup by content. An added token that the vocabulary has too takes the vocabulary's id.
void Tokenizer::Impl::build_added() {
  TokenId max_id = -1;
  size_t text = 0;
  for (const auto& [content, id] : parts.vocabulary) max_id = std::max(max_id, id), text += content.size();
  by_content.reserve(parts.vocabulary.size() + parts.added.size(), text + parts.added.size() * 16);
  for (const auto& [content, id] : parts.vocabulary) by_content.insert(content, id);
  for (AddedToken& token : parts.added) {
    if (const TokenId id = by_content.find(token.content); id != kNoToken) token.id = id;
    max_id = std::max(max_id, token.id);
    by_content.insert(token.content, token.id);
  }
  state.assign(size_t(max_id + 1), State::kAbsent);
  for (const auto& [content, id] : parts.vocabulary) state[size_t(id)] = State::kNormal;
  for (const AddedToken& token : parts.added) state[size_t(token.id)] = token.special ? State::kSpecial : State::kNormal;

  std::vector<std::string> raw, normalized;
  std::vector<AddedToken> raw_tokens, normalized_tokens;
  for (const AddedToken& token : parts.added) {
    if (token.normalized) {
      // HF normalizes the token as if it were a text; SentencePiece cuts its user-defined pieces out wherever they stand.
      normalized.push_back(parts.sentence_piece                   ? normalizer.inside(token.content)
                           : normalizer.may_change(token.content) ? normalizer.run(token.content, false).text
                                                                  : token.content);
      normalized_tokens.push_back(token);
    } else {
      raw.push_back(token.content);
      raw_tokens.push_back(token);
    }
  }
  raw_matcher = AddedTokenMatcher(raw, std::move(raw_tokens));
  normalized_matcher = AddedTokenMatcher(normalized, std::move(normalized_tokens));
}

namespace {

// "<0x0A>" is the byte 10.
std::optional<uint8_t> spelled_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || !token.ends_with('>')) return {};
  uint8_t byte = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
  return error == std::errc() && end == token.data() + 5 ? std::optional(byte) : std::nullopt;
}

}  // namespace

void Tokenizer::Impl::build_vocabulary() {
  ModelOptions options;
  options.kind = parts.kind;
  options.byte_level = pre_tokenizer.byte_level();
  options.byte_fallback = parts.byte_fallback;
  options.ignore_merges = parts.ignore_merges;
  options.fuse_unk = parts.fuse_unk;
  if (parts.unk_token) {
    options.unk = by_content.find(*parts.unk_token);
    if (options.unk == kNoToken) fail(parts.where, ": unk_token '", printable(*parts.unk_token), "' is not in the vocabulary");
  }
  // A control token that no merge makes or uses must stay out of reach of plain text (ignore_merges looks whole pieces up).
  std::vector<bool> hidden(state.size(), false);
  // So must, in such a vocabulary, an added token of any kind: a text that holds it has been cut there, unless it was asked not to be. The
  // bytes of byte fallback are reached by what they stand for, whatever the file calls them.
  for (const AddedToken& token : parts.added)
    hidden[size_t(token.id)] = (token.special || (parts.ignore_merges && !token.single_word)) && token.content.size() > 1 &&
                               !(parts.byte_fallback && spelled_byte(token.content));
  for (const Model::MergeRule& m : parts.merges) hidden[size_t(m.left)] = hidden[size_t(m.right)] = hidden[size_t(m.result)] = false;
  if (parts.kind == ModelOptions::Kind::kWordLevel) hidden.assign(state.size(), false);
  std::vector<std::string> unspelled(options.byte_level ? parts.vocabulary.size() : 0);
  std::vector<std::pair<std::string_view, TokenId>> keys;
  keys.reserve(parts.vocabulary.size());
  for (size_t i = 0; i < parts.vocabulary.size(); ++i) {
    const auto& [content, id] = parts.vocabulary[i];
    if (hidden[size_t(id)]) continue;
    if (!options.byte_level) {
      keys.push_back({content, id});
    } else if (from_byte_letters(content, &unspelled[i])) {
      keys.push_back({unspelled[i], id});
    }
  }
  model = Model(options, keys, parts.merges, parts.merge_ranks);
}

void Tokenizer::Impl::build_post_processor(const Json& spec) {
  const std::string where = parts.where + ": post_processor";
  if (spec.is_null()) return;
  const std::string type = json_get<std::string>(spec, "type", where);
  if (type == "Sequence") {
    for (const Json& inner : json_get<Json>(spec, "processors", where)) build_post_processor(inner);
  } else if (type == "TemplateProcessing") {
    build_template(spec);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    const auto id = [&](const char* key) {  // ["</s>", 2]
      const auto pair = json_get<std::pair<std::string, TokenId>>(spec, key, where);
      if (!known(pair.second)) fail(where, ": unknown id of '", printable(pair.first), "'");
      return pair.second;
    };
    before.insert(before.begin(), id("cls"));
    after.push_back(id("sep"));
  } else if (type != "ByteLevel") {
    fail(where, ": type '", printable(type),
         "' is not supported (known: TemplateProcessing, ByteLevel, BertProcessing, RobertaProcessing, Sequence)");
  }
}

// {"single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}], "special_tokens": {"<s>": {"ids": [1]}}}
void Tokenizer::Impl::build_template(const Json& spec) {
  const std::string where = parts.where + ": post_processor";
  const Json special = json_get_or<Json>(spec, "special_tokens", Json::object(), where);
  std::vector<TokenId> front, back;
  bool seen = false;
  for (const Json& item : json_get<Json>(spec, "single", where)) {
    if (!item.is_object()) fail(where, ": an item of 'single' is no object");
    if (item.contains("Sequence")) {
      if (seen) fail(where, ": a template that repeats its text is not supported");
      seen = true;
      continue;
    }
    const std::string name = json_get<std::string>(json_get<Json>(item, "SpecialToken", where), "id", where);
    for (const Json& id : json_get<Json>(json_get<Json>(special, name.c_str(), where), "ids", where)) {
      if (!id.is_number_integer() || !known(id.get<TokenId>())) fail(where, ": unknown id of '", printable(name), "'");
      (seen ? back : front).push_back(id.get<TokenId>());
    }
  }
  if (!seen) fail(where, ": the template has no place for the text");
  before.insert(before.begin(), front.begin(), front.end());
  after.insert(after.end(), back.begin(), back.end());
}

void Tokenizer::Impl::build_decoder() {
  const std::string where = parts.where + ": decoder";
  std::vector<Json> decoders;
  bool fused = false;
  const auto collect = [&](const auto& self, const Json& spec) -> void {
    const std::string type = json_get<std::string>(spec, "type", where);
    if (type == "Sequence") {
      for (const Json& inner : json_get<Json>(spec, "decoders", where)) self(self, inner);
    } else if (type == "Fuse") {
      fused = true;
    } else if (type == "Strip" && fused) {
      strip_start = json_get<std::string>(spec, "content", where);
      strip_count = json_get_or<size_t>(spec, "start", 0, where);
      if (json_get_or<size_t>(spec, "stop", 0, where) > 0) fail(where, ": Strip at the end is not supported");
    } else if (type == "ByteLevel" || type == "ByteFallback" || type == "Replace") {
      decoders.push_back(spec);
    } else {
      fail(where, ": type '", printable(type),
           "' is not supported here (known: ByteLevel, ByteFallback, Replace, Fuse, Strip after Fuse, Sequence)");
    }
  };
  if (parts.decoder.is_null()) {
    join_with_space = true;
  } else {
    collect(collect, parts.decoder);
  }
  bytes.resize(state.size());
  for (const auto& [content, id] : parts.vocabulary) bytes[size_t(id)] = decoded_token(content, decoders);
  for (const AddedToken& token : parts.added) bytes[size_t(token.id)] = decoded_token(token.content, decoders);
}

namespace {

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  if (from.empty()) return std::string(text);
  std::string out;
  size_t at = 0;
  for (size_t next; (next = text.find(from, at)) != std::string_view::npos; at = next + from.size())
    out.append(text, at, next - at).append(to);
  return out.append(text, at);
}

}  // namespace

std::string Tokenizer::Impl::decoded_token(const std::string& content, const std::vector<Json>& decoders) const {
  std::string out = content;
  for (const Json& d : decoders) {
    const std::string& type = d["type"].get_ref<const std::string&>();
    if (type == "ByteLevel") {
      std::string raw;
      if (from_byte_letters(out, &raw)) out = std::move(raw);
    } else if (type == "ByteFallback") {
      if (const auto byte = spelled_byte(out)) out = std::string(1, char(*byte));
    } else {
      const std::string where = parts.where + ": decoder";
      const std::string from = json_get<std::string>(json_get<Json>(d, "pattern", where), "String", where),
                        to = json_get<std::string>(d, "content", where);
      out = replace_all(out, from, to);
    }
  }
  return out;
}

std::optional<TokenId> Tokenizer::Impl::id_of(const std::optional<std::string>& content) const {
  if (!content) return {};
  const TokenId id = by_content.find(*content);
  return id == kNoToken ? std::nullopt : std::optional(id);
}

void Tokenizer::Impl::build_special() {
  bos = id_of(parts.bos);
  eos = id_of(parts.eos);
  pad = id_of(parts.pad);
  const bool template_has_bos = bos && std::ranges::find(before, *bos) != before.end();
  if (before.empty() && after.empty()) {  // no template: the config's flags speak
    if (parts.add_bos.value_or(false) && bos) before.push_back(*bos);
    if (parts.add_eos.value_or(false) && eos) after.push_back(*eos);
  }
  wants_bos = bos && parts.add_bos.value_or(template_has_bos);
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::from_parts(TokenizerParts parts) {
  return Tokenizer(std::make_unique<Impl>(std::move(parts)));
}

Tokenizer Tokenizer::without_tokens() {
  TokenizerParts parts;
  parts.where = "a model without tokenizer";
  return from_parts(std::move(parts));
}

namespace {

void read_neighbours(const fs::path& folder, TokenizerParts& parts) {
  const fs::path config = folder / "tokenizer_config.json";
  if (fs::exists(config)) read_tokenizer_config(parse_json_file(config), config.string(), parts);
  const fs::path map = folder / "special_tokens_map.json";
  if (fs::exists(map)) read_special_tokens_map(parse_json_file(map), map.string(), parts);
  const fs::path jinja = folder / "chat_template.jinja";
  if (fs::exists(jinja)) {
    parts.chat_template = read_file(jinja);
    parts.chat_template_where = jinja.string();
  }
}

TokenizerParts read_parts(const fs::path& path) {
  if (fs::is_directory(path)) {
    if (fs::exists(path / "tokenizer.json")) return read_parts(path / "tokenizer.json");
    for (const auto& entry : fs::directory_iterator(path))
      if (entry.path().extension() == ".tiktoken") return read_parts(entry.path());
    if (const fs::path gguf = gguf_of_folder(path); !gguf.empty()) return read_parts(gguf);
    fail(path.string(), ": no tokenizer in this folder (tokenizer.json, a .tiktoken or a .gguf file)");
  }
  if (!fs::exists(path)) fail(path.string(), ": no such file");
  const std::string where = path.string(), extension = path.extension().string();
  if (extension == ".gguf") return read_gguf_vocabulary(path);
  if (extension == ".model") fail(where, ": SentencePiece models are not read; give a tokenizer.json or a GGUF file");
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  if (extension == ".safetensors") return read_parts(folder);  // the weights of a HF folder stand for it
  if (extension == ".tiktoken") return read_tiktoken(read_file(path), where);
  TokenizerParts parts = read_tokenizer_json(read_file(path), where);
  read_neighbours(folder, parts);
  return parts;
}

}  // namespace

Tokenizer Tokenizer::load(const fs::path& path) {
  return from_parts(read_parts(path));
}

Tokenizer Tokenizer::from_words(const std::vector<std::string>& words, const WordOptions& options) {
  TokenizerParts parts;
  parts.where = "word list";
  parts.kind = ModelOptions::Kind::kWordLevel;
  parts.unk_token = options.unk;
  std::set<std::string> seen;
  std::vector<std::string> plain;
  for (const std::string& word : words) {
    if (word.empty()) fail("[tokenizer] a word list with an empty word");
    if (!seen.insert(word).second) fail("[tokenizer] the word '", word, "' is twice in the list");
    const TokenId id = TokenId(parts.vocabulary.size());
    parts.vocabulary.emplace_back(word, id);
    if (std::ranges::find(options.special, word) != options.special.end() || word == options.unk) {
      parts.added.push_back({.id = id, .content = word, .special = true});
    } else {
      plain.push_back(word);
    }
  }
  if (!seen.contains(options.unk)) fail("[tokenizer] the word list lacks the unknown word '", options.unk, "'");
  // Longest first: an alternation takes the first that fits.
  std::ranges::stable_sort(plain, [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
  std::string pattern;
  for (const std::string& word : plain) {
    if (!pattern.empty()) pattern += '|';
    for (const char c : word) {
      if (std::string_view("\\^$.|?*+()[]{}-/#&~").find(c) != std::string_view::npos) pattern += '\\';
      pattern += c;
    }
  }
  parts.pre_tokenizer = split_section(pattern.empty() ? "(?!)" : pattern);
  parts.decoder = {{"type", "Fuse"}};
  parts.bos = options.bos;
  parts.eos = options.eos;
  parts.pad = options.pad;
  parts.chat_template = options.chat_template;
  return from_parts(std::move(parts));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  return impl_->encode(text, options);
}

Encoding Tokenizer::encode_with_offsets(std::string_view text, EncodeOptions options) const {
  return impl_->encode_with_offsets(text, options);
}

void Tokenizer::Impl::append_bytes(std::string& out, TokenId id, bool first) const {
  if (join_with_space && !first) out += ' ';
  const std::string& token = bytes[size_t(id)];
  size_t from = 0;
  if (first && !strip_start.empty())
    for (size_t n = 0; n < strip_count && std::string_view(token).substr(from).starts_with(strip_start); ++n) from += strip_start.size();
  out.append(token, from);
}

std::string Tokenizer::decode_bytes(const std::vector<TokenId>& ids, bool skip_special) const {
  std::string out;
  bool first = true;
  for (const TokenId id : ids) {
    if (!impl_->known(id) || (skip_special && impl_->state[size_t(id)] == Impl::State::kSpecial)) continue;
    impl_->append_bytes(out, id, first);
    first = false;
  }
  return out;
}

std::string Tokenizer::decode(const std::vector<TokenId>& ids, bool skip_special) const {
  return to_valid_utf8(decode_bytes(ids, skip_special));
}

const std::string& Tokenizer::token_bytes(TokenId id) const {
  if (!impl_->known(id)) fail("[tokenizer] no token has the id ", id, " (vocabulary of ", vocab_size(), ")");
  return impl_->bytes[size_t(id)];
}

bool Tokenizer::known(TokenId id) const {
  return impl_->known(id);
}

int64_t Tokenizer::vocab_size() const {
  return int64_t(impl_->state.size());
}

std::optional<TokenId> Tokenizer::token_id(std::string_view content) const {
  TokenId id = impl_->by_content.find(content);
  if (id == kNoToken) id = impl_->model.find(content);
  return id == kNoToken ? std::nullopt : std::optional(id);
}

bool Tokenizer::is_special(TokenId id) const {
  return impl_->known(id) && impl_->state[size_t(id)] == Impl::State::kSpecial;
}

const std::vector<AddedToken>& Tokenizer::added_tokens() const {
  return impl_->parts.added;
}
std::optional<TokenId> Tokenizer::bos_id() const {
  return impl_->bos;
}
std::optional<TokenId> Tokenizer::eos_id() const {
  return impl_->eos;
}
std::optional<TokenId> Tokenizer::pad_id() const {
  return impl_->pad;
}
bool Tokenizer::add_bos() const {
  return impl_->wants_bos;
}
std::vector<TokenId> Tokenizer::end_ids() const {
  std::vector<TokenId> ids;
  if (impl_->eos) ids.push_back(*impl_->eos);
  for (const TokenId id : impl_->parts.more_eos)
    if (std::ranges::find(ids, id) == ids.end()) ids.push_back(id);
  return ids;
}
const std::string& Tokenizer::chat_template() const {
  return impl_->parts.chat_template;
}
const std::string& Tokenizer::chat_template_where() const {
  return impl_->parts.chat_template_where;
}

std::string Tokenizer::hash() const {
  const std::string json = write_tokenizer_json(impl_->parts);
  return sha256(std::as_bytes(std::span(json)));
}

void Tokenizer::save(const fs::path& folder) const {
  make_folder(folder);
  write_file_atomic(folder / "tokenizer.json", write_tokenizer_json(impl_->parts));
  write_file_atomic(folder / "tokenizer_config.json", write_tokenizer_config(impl_->parts));
}

}  // namespace r1::text
