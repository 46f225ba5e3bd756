#include "r1/grammar/compose.h"

#include <algorithm>

#include "r1/base/error.h"
#include "r1/grammar/token_mask.h"
#include "r1/text/unicode.h"

namespace r1::grammar {

namespace {

constexpr size_t kMostBlanks = 8;

bool blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == text.npos;
}

std::string_view without_blanks(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
}

// The longest end of `text` that `word` begins with; all of `word` included.
size_t begun(std::string_view text, std::string_view word) {
  for (size_t n = std::min(text.size(), word.size()); n > 0; --n)
    if (text.substr(text.size() - n) == word.substr(0, n)) return n;
  return 0;
}

void keep_end(std::string& text, size_t most) {
  if (text.size() > most) text.erase(0, text.size() - most);
}

// Calls take(id, rest) for the tokens below `node`, rest being their bytes behind it.
template <class Take>
void below(const TokenTable& table, uint32_t node, Take take) {
  const auto& trie = table.trie();
  for (uint32_t i = trie[node + 1].first; i < trie[trie[node].end].first; ++i) {
    const TokenId id = table.ids()[i];
    take(id, std::string_view(table.bytes(id)).substr(trie[node].depth));
  }
}

}  // namespace

ThoughtConstraint::ThoughtConstraint(std::shared_ptr<const TokenTable> table, ThoughtOptions options,
                                     std::unique_ptr<TokenConstraint> inner)
    : table_(std::move(table)),
      options_(std::move(options)),
      inner_(std::move(inner)),
      stage_(options_.in_thought ? Stage::kThought : Stage::kBegin) {
  if (options_.open.empty() || options_.close.empty()) fail_usage("[thought] expected texts that open and close a thought");
  if (options_.budget >= 0) {
    std::string text;
    for (TokenId id : options_.forced) text += table_->bytes(id);
    if (text.find(options_.close) == text.npos)
      fail_usage("[thought] expected forced tokens whose text holds ", options_.close, ", got '", printable(text), "'");
  }
  if (stage_ != Stage::kBegin || !inner_) return;
  fresh_ = inner_->clone();
  for (TokenId id = 0; id < TokenId(table_->vocab_size()); ++id)
    if (!table_->ordinary(id) && table_->bytes(id) == options_.open) open_ids_.push_back(id);
}

ThoughtConstraint::ThoughtConstraint(const ThoughtConstraint& o)
    : TokenConstraint(o),
      table_(o.table_),
      options_(o.options_),
      inner_(o.inner_ ? o.inner_->clone() : nullptr),
      stage_(o.stage_),
      tail_(o.tail_),
      open_ids_(o.open_ids_),
      inner_fits_(o.inner_fits_),
      fresh_(o.fresh_ ? o.fresh_->clone() : nullptr),
      tokens_(o.tokens_),
      next_forced_(o.next_forced_),
      cut_(o.cut_) {}

std::unique_ptr<TokenConstraint> ThoughtConstraint::clone() const {
  return std::unique_ptr<TokenConstraint>(new ThoughtConstraint(*this));
}

// At the budget, and not inside a character (which at most three more tokens complete).
bool ThoughtConstraint::used_up() const {
  if (options_.budget < 0 || tokens_ < options_.budget) return false;
  return tokens_ >= options_.budget + 3 || text::unfinished_utf8(tail_) == 0;
}

bool ThoughtConstraint::mask(std::span<uint64_t> words) {
  if (stage_ == Stage::kThought && used_up()) stage_ = Stage::kForced, cut_ = true;
  switch (stage_) {
    case Stage::kForced:
      std::fill(words.begin(), words.end(), 0);
      allow(words, options_.forced[next_forced_]);
      return true;
    case Stage::kThought: {
      if (!inner_) return false;
      std::fill(words.begin(), words.end(), ~uint64_t{0});
      for (TokenId id : options_.stop_ids) forbid(words, id);
      // What a token holds behind the closing tag would be lost to the grammar.
      const size_t have = begun(tail_, options_.close);
      if (const uint32_t node = table_->find(std::string_view(options_.close).substr(have)); node != 0)
        below(*table_, node, [&](TokenId id, std::string_view rest) {
          if (!blank(rest)) forbid(words, id);
        });
      return true;
    }
    case Stage::kGap: {
      if (!inner_ || !inner_->mask(words)) return false;
      for (const char c : {' ', '\n', '\r', '\t'}) {
        const uint32_t node = table_->find(std::string(1, c));
        if (node == 0) continue;
        const auto& trie = table_->trie();
        for (uint32_t i = trie[node].first; i < trie[trie[node].end].first; ++i) {
          const TokenId id = table_->ids()[i];
          const std::string& text = table_->bytes(id);
          if (blank(text) && tail_.size() + text.size() <= kMostBlanks) allow(words, id);
        }
      }
      return true;
    }
    case Stage::kBegin: {
      if (!inner_) return false;
      if (inner_fits_) {
        if (!inner_->mask(words)) return false;
      } else {
        std::fill(words.begin(), words.end(), 0);
      }
      // Tokens along the rest of the opening tag, and those that hold it whole.
      const std::string_view so_far = without_blanks(tail_);
      const std::string_view rest = std::string_view(options_.open).substr(so_far.size());
      const auto& trie = table_->trie();
      for (size_t n = 1; n <= rest.size(); ++n) {
        const uint32_t node = table_->find(rest.substr(0, n));
        if (node == 0) break;
        const uint32_t end = n == rest.size() ? trie[trie[node].end].first : trie[node + 1].first;
        for (uint32_t i = trie[node].first; i < end; ++i) allow(words, table_->ids()[i]);
      }
      // The tag may be a token that no grammar knows.
      if (so_far.empty())
        for (TokenId id : open_ids_) allow(words, id);
      return true;
    }
    case Stage::kAnswer:
      break;
  }
  return inner_ && inner_->mask(words);
}

void ThoughtConstraint::accept(TokenId id) {
  switch (stage_) {
    case Stage::kBegin:
      return accept_in_begin(id);
    case Stage::kThought:
      return accept_in_thought(id);
    case Stage::kForced:
      ++tokens_;
      if (id == options_.forced[next_forced_] && ++next_forced_ < options_.forced.size()) return;
      tail_.clear();
      stage_ = Stage::kGap;
      return;
    case Stage::kGap:
      return accept_in_gap(id);
    case Stage::kAnswer:
      if (inner_) inner_->accept(id);
  }
}

void ThoughtConstraint::accept_in_begin(TokenId id) {
  const std::string& text = table_->bytes(id);
  tail_ += text;
  const std::string_view so_far = without_blanks(tail_);
  const std::string& open = options_.open;
  if (so_far.starts_with(open)) {
    inner_ = std::move(fresh_);
    stage_ = Stage::kThought;
    tokens_ = 0;
    tail_ = so_far.substr(open.size());
    return;
  }
  const bool may_open = open.starts_with(so_far) && !(text.empty() && inner_);
  if (inner_ && inner_fits_) {
    inner_fits_ = inner_allows(id);
    if (inner_fits_ || !may_open) inner_->accept(id);
  }
  if (!may_open) stage_ = Stage::kAnswer, tail_.clear(), fresh_.reset();
}

void ThoughtConstraint::accept_in_thought(TokenId id) {
  ++tokens_;
  tail_ += table_->bytes(id);
  const size_t at = tail_.find(options_.close);
  if (at == tail_.npos) return keep_end(tail_, std::max<size_t>(options_.close.size(), 8));
  tail_.erase(0, at + options_.close.size());
  stage_ = Stage::kGap;
}

bool ThoughtConstraint::inner_allows(TokenId id) {
  std::vector<uint64_t> words((size_t(std::max<int64_t>(table_->vocab_size(), id + 1)) + 63) / 64);
  return !inner_->mask(words) || allowed(words, id);
}

void ThoughtConstraint::accept_in_gap(TokenId id) {
  const std::string& text = table_->bytes(id);
  const bool gap = !text.empty() && blank(text) && tail_.size() + text.size() <= kMostBlanks;
  if (gap && (!inner_ || !inner_allows(id))) {
    tail_ += text;
    return;
  }
  stage_ = Stage::kAnswer;
  tail_.clear();
  if (inner_) inner_->accept(id);
}

TriggerConstraint::TriggerConstraint(std::shared_ptr<const TokenTable> table, std::string trigger, std::unique_ptr<GrammarConstraint> inner)
    : table_(std::move(table)), trigger_(std::move(trigger)), inner_(std::move(inner)) {
  if (trigger_.empty() || !inner_) fail_usage("[trigger] expected a text and a grammar behind it");
}

TriggerConstraint::TriggerConstraint(const TriggerConstraint& o)
    : TokenConstraint(o),
      table_(o.table_),
      trigger_(o.trigger_),
      inner_(std::make_unique<GrammarConstraint>(*o.inner_)),
      running_(o.running_ ? std::make_unique<GrammarConstraint>(*o.running_) : nullptr),
      tail_(o.tail_),
      triggered_(o.triggered_) {}

std::unique_ptr<TokenConstraint> TriggerConstraint::clone() const {
  return std::unique_ptr<TokenConstraint>(new TriggerConstraint(*this));
}

bool TriggerConstraint::mask(std::span<uint64_t> words) {
  if (running_) {
    if (running_->complete() || running_->left()) return false;  // it may be over, and then everything passes
    return running_->mask(words);
  }
  // Tokens that hold the end of the trigger and more, from each place in the trigger that the text may be at.
  bool restricts = false;
  const auto restrict_below = [&](uint32_t node) {
    const auto& trie = table_->trie();
    if (trie[node + 1].first == trie[trie[node].end].first) return;
    if (!restricts) std::fill(words.begin(), words.end(), ~uint64_t{0});
    restricts = true;
    below(*table_, node, [&](TokenId id, std::string_view) { forbid(words, id); });
    inner_->place().mask_below(node, words);
  };
  for (size_t have = begun(tail_, trigger_);;) {
    if (const uint32_t node = table_->find(std::string_view(trigger_).substr(have)); node != 0) restrict_below(node);
    if (have == 0) break;
    have = begun(std::string_view(trigger_).substr(0, have).substr(1), trigger_);  // shorter ends that are beginnings too
  }
  return restricts;
}

void TriggerConstraint::accept(TokenId id) {
  if (running_) {
    if (table_->ordinary(id) && running_->advance(table_->bytes(id))) {
      if (running_->complete() && !running_->open()) running_.reset();
      return;
    }
    // Not a part of it: it was over before this token, or somebody outside forced it.
    running_.reset();
  }
  tail_ += table_->bytes(id);
  const size_t at = tail_.find(trigger_);
  if (at == tail_.npos) return keep_end(tail_, trigger_.size());
  const std::string rest = tail_.substr(at + trigger_.size());
  tail_.clear();
  ++triggered_;
  auto begun_now = std::make_unique<GrammarConstraint>(*inner_);
  if (begun_now->advance(rest) && begun_now->open()) running_ = std::move(begun_now);
}

}  // namespace r1::grammar
