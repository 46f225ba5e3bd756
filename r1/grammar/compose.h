// Constraints around a grammar: a thought before the answer, with a budget of tokens, and a grammar that begins with a text that the model
// may or may not write (a tool call). Both look at the tokens' bytes, so that a tag counts however it is cut into tokens.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "r1/grammar/grammar_constraint.h"

namespace r1::grammar {

struct ThoughtOptions {
  bool in_thought = false;  // the prompt ends inside of one
  std::string open = "<think>", close = "</think>";
  std::vector<TokenId> forced;    // put in when the budget is used up, as "\n</think>\n\n"; its text holds `close`
  int64_t budget = -1;            // tokens of thought; -1: any number
  std::vector<TokenId> stop_ids;  // not in a thought while a grammar waits behind it; may be empty
};

// In a thought every token passes and is counted (but tokens that end an answer, if `inner` is still to come). At the budget the tokens of
// `forced` follow one by one; a character that is cut in two by that is let finish first. Behind the thought comes `inner`, from its
// beginning (null: anything); blanks between the thought and the answer's text, up to 8 bytes, belong to neither. If the text does not begin in a thought, it may
// open one, behind blanks at most.
class ThoughtConstraint : public TokenConstraint {
 public:
  ThoughtConstraint(std::shared_ptr<const TokenTable> table, ThoughtOptions options, std::unique_ptr<TokenConstraint> inner);

  bool mask(std::span<uint64_t> words) override;
  void accept(TokenId id) override;
  std::unique_ptr<TokenConstraint> clone() const override;
  bool cut() const override { return cut_; }  // the budget has ended the thought

  bool in_thought() const { return stage_ == Stage::kThought || stage_ == Stage::kForced; }
  int64_t thought_tokens() const { return tokens_; }

 private:
  enum class Stage { kBegin, kThought, kForced, kGap, kAnswer };
  ThoughtConstraint(const ThoughtConstraint& other);

  void accept_in_begin(TokenId id);
  void accept_in_thought(TokenId id);
  void accept_in_gap(TokenId id);
  bool used_up() const;
  bool inner_allows(TokenId id);

  std::shared_ptr<const TokenTable> table_;
  ThoughtOptions options_;
  std::unique_ptr<TokenConstraint> inner_;
  Stage stage_;
  std::string tail_;                        // kBegin: all; kThought: the last bytes; kGap: the blanks
  std::vector<TokenId> open_ids_;           // kBegin: the tag as a token that no grammar knows
  bool inner_fits_ = true;                  // kBegin: what is there so far may be the answer
  std::unique_ptr<TokenConstraint> fresh_;  // kBegin: inner_ as it was
  int64_t tokens_ = 0;
  size_t next_forced_ = 0;
  bool cut_ = false;
};

// Everything passes until the text `trigger` is out; then the grammar applies until it is complete; then everything passes again, and the
// next trigger starts it anew. The grammar's text begins behind the trigger. Tokens that hold the trigger's end and more must go on in the
// grammar.
class TriggerConstraint : public TokenConstraint {
 public:
  TriggerConstraint(std::shared_ptr<const TokenTable> table, std::string trigger, std::unique_ptr<GrammarConstraint> inner);

  bool mask(std::span<uint64_t> words) override;
  void accept(TokenId id) override;
  std::unique_ptr<TokenConstraint> clone() const override;
  int64_t triggered() const { return triggered_; }  // how often

 private:
  TriggerConstraint(const TriggerConstraint& other);

  std::shared_ptr<const TokenTable> table_;
  std::string trigger_;
  std::unique_ptr<GrammarConstraint> inner_;    // as at the beginning
  std::unique_ptr<GrammarConstraint> running_;  // null: everything passes
  std::string tail_;
  int64_t triggered_ = 0;
};

}  // namespace r1::grammar
