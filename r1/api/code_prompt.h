// From a place in a file to the prompt of a model that fills in code: the model's own control tokens for it (fill-in-the-middle, Bavarian et
// al. 2022), the text around the cursor cut to a budget of tokens, and other files where the model has tokens for those.
//   Qwen2.5-Coder   <|repo_name|>R\n<|file_sep|>PATH\nTEXT\n .. <|file_sep|>PATH\n<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>
//   StarCoder       <repo_name>R<file_sep>PATH\nTEXT .. <file_sep><fim_prefix>PATH\nP<fim_suffix>S<fim_middle>, and the first one's <filename>
//   DeepSeek-Coder  <｜fim▁begin｜>#PATH\nTEXT\n .. P<｜fim▁hole｜>S<｜fim▁end｜>
//   CodeLlama       ▁<PRE>P ▁<SUF>S ▁<MID>;  CodeGemma, Codestral ([SUFFIX]S[PREFIX]P), GLM, Seed-Coder likewise
// Which it is is found in the vocabulary. A model that has none goes on from the prefix, and the result says so.
//
// What is too long is cut by lines, never in silence (`dropped_*`): nearest lines first; of what is further away the heads of the
// definitions that the cursor is in, then the imports. The cursor's own line stays, as much of it as the budget holds.
// The text's own spelling of a control token is ordinary text.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "r1/api/code_stop.h"
#include "r1/text/tokenizer.h"

namespace r1::api {

// The control tokens of a vocabulary. Ids that it lacks are -1.
struct FimTokens {
  std::string family;  // "qwen", "starcoder", ..
  text::TokenId prefix = -1, suffix = -1, middle = -1, repository = -1, file = -1;
  bool suffix_first = false;            // S before P
  bool path_in_prefix = false;          // the cursor's file is named behind the prefix token (StarCoder)
  std::vector<text::TokenId> stop_ids;  // beside the model's own: every control token that a completion may run into
};
std::optional<FimTokens> find_fim_tokens(const text::Tokenizer& tokenizer);

struct CodePromptOptions {
  int64_t budget = 8192;       // tokens of the whole prompt, at least 16
  bool trim = true;            // false: nothing is left out, however long it is
  double suffix_share = 0.25;  // of the budget, where both sides are longer; what one side leaves over the other may have
};

struct CodePrompt {
  std::vector<text::TokenId> ids, stop_ids;
  std::string family;  // "" if the model has no tokens for it
  std::string note;    // what a client should know: that the suffix was not used; "" if nothing
  // Lines that were left out, and files that are not there or not whole. A line of which only a part is there counts.
  int64_t dropped_prefix_lines = 0, dropped_suffix_lines = 0, dropped_files = 0;
  bool truncated() const { return dropped_prefix_lines + dropped_suffix_lines + dropped_files > 0; }
};

// The place's lines end with \n (unix_lines). Usage errors name what is out of range.
CodePrompt make_code_prompt(const CodePlace& place, const text::Tokenizer& tokenizer, const CodePromptOptions& options = {});

// Ids of ordinary text: no control token, whatever it spells.
std::vector<text::TokenId> encode_plain(const text::Tokenizer& tokenizer, std::string_view text);

// For tests and curious people: which whole lines of the prefix would be kept, given each line's cost. Lines are without their newlines; the
// last one is the cursor's and always kept. Sorted; sum of costs <= budget if the last line's is.
std::vector<size_t> choose_prefix_lines(const CodeLanguage& language, std::span<const std::string_view> lines,
                                        std::span<const int64_t> costs, int64_t budget);

}  // namespace r1::api
