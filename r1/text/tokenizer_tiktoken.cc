// .tiktoken rank files: a line is base64(bytes) and a rank, which is also the id. The file holds neither pattern nor control tokens; both
// are known by the number of ranks. Merges are found again by asking, for each token, which two parts its bytes fall into under the ranks
// below its own.
#include <algorithm>
#include <array>
#include <charconv>

#include "r1/base/error.h"
#include "r1/text/pretokenize.h"
#include "r1/text/tokenizer_parts.h"

namespace r1::text {
namespace {

constexpr const char* kCl100k =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct Published {
  size_t ranks;
  const char* pattern;
  bool nfc;
  std::vector<const char*> special;  // ids follow the ranks
  const char* eos;
};

const std::vector<Published>& published() {
  static const std::vector<Published> kAll = {
      {151643, patterns::kQwen2, true, {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}, "<|im_end|>"},
      {248044, patterns::kQwen35, true, {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}, "<|im_end|>"},
      {100256, kCl100k, false, {}, nullptr},
      {128000, patterns::kLlama3, false, {"<|begin_of_text|>", "<|end_of_text|>"}, "<|end_of_text|>"},
      {50256, patterns::kGpt2, false, {"<|endoftext|>"}, "<|endoftext|>"},
  };
  return kAll;
}

bool decode_base64(std::string_view text, std::string* out) {
  out->clear();
  uint32_t bits = 0;
  int n = 0;
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  for (const char c : text) {
    const int v = c >= 'A' && c <= 'Z'   ? c - 'A'
                  : c >= 'a' && c <= 'z' ? c - 'a' + 26
                  : c >= '0' && c <= '9' ? c - '0' + 52
                  : c == '+'             ? 62
                  : c == '/'             ? 63
                                         : -1;
    if (v < 0) return false;
    bits = bits << 6 | uint32_t(v);
    if ((n += 6) >= 8) out->push_back(char(bits >> (n -= 8)));
  }
  return true;
}

// The two parts of a token, by merging its bytes in the order of rank, parts of rank >= `limit` not counting. 0 if they aren't two.
size_t split_point(std::string_view token, TokenId limit, const StringTable& ranks) {
  std::vector<size_t> cuts(token.size() + 1);
  for (size_t i = 0; i < cuts.size(); ++i) cuts[i] = i;
  while (cuts.size() > 3) {
    TokenId best = limit;
    size_t at = 0;
    for (size_t i = 0; i + 2 < cuts.size(); ++i) {
      const TokenId rank = ranks.find(token.substr(cuts[i], cuts[i + 2] - cuts[i]));
      if (rank != kNoToken && rank < best) best = rank, at = i + 1;
    }
    if (at == 0) return 0;
    cuts.erase(cuts.begin() + std::ptrdiff_t(at));
  }
  return cuts.size() == 3 ? cuts[1] : 0;
}

}  // namespace

TokenizerParts read_tiktoken(std::string_view text, const std::string& where) {
  std::vector<std::string> tokens;
  StringTable ranks;
  for (size_t line = 1; !text.empty(); ++line) {
    const size_t newline = std::min(text.find('\n'), text.size());
    const std::string_view row = text.substr(0, newline);
    text.remove_prefix(std::min(newline + 1, text.size()));
    if (row.empty()) continue;
    const size_t space = row.find(' ');
    TokenId rank = -1;
    std::string bytes;
    if (space != std::string_view::npos) std::from_chars(row.data() + space + 1, row.data() + row.size(), rank);
    if (rank != TokenId(tokens.size()) || !decode_base64(row.substr(0, space), &bytes) || bytes.empty())
      fail(where, ":", line, ": expected base64 and the rank ", tokens.size());
    ranks.insert(bytes, rank);
    tokens.push_back(std::move(bytes));
  }
  const auto known = std::ranges::find(published(), tokens.size(), &Published::ranks);
  if (known == published().end())
    fail(where, ": no published vocabulary has ", tokens.size(), " ranks, so its pattern is not known; give a tokenizer.json");

  TokenizerParts parts;
  parts.where = where;
  parts.vocabulary.reserve(tokens.size());
  for (size_t id = 0; id < tokens.size(); ++id) parts.vocabulary.emplace_back(to_byte_letters(tokens[id]), TokenId(id));
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (tokens[id].size() < 2) continue;
    const std::string_view token = tokens[id];
    const size_t cut = split_point(token, TokenId(id), ranks);
    if (cut) parts.merges.push_back({ranks.find(token.substr(0, cut)), ranks.find(token.substr(cut)), TokenId(id)});
  }
  if (known->nfc) parts.normalizer = {{"type", "NFC"}};
  parts.pre_tokenizer = sequence_section("pretokenizers", {split_section(known->pattern), byte_level_section(false, false)});
  parts.post_processor = byte_level_section(true, true, false);
  parts.decoder = byte_level_section(true, true);
  TokenId id = TokenId(tokens.size());
  for (const char* special : known->special) parts.added.push_back({.id = id++, .content = special, .special = true});
  if (known->eos) parts.eos = known->eos;
  if (!known->special.empty()) parts.pad = known->special[0];
  return parts;
}

}  // namespace r1::text
