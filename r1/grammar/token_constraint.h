// Which tokens may come next in an answer: a grammar, a thought's budget, a tool call. The engine asks before it draws and tells what it drew;
// it knows nothing else of it. One object serves one sample and is used by one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

namespace r1::grammar {

class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  // Writes the mask of the next token, bit (id % 64) of words[id / 64] set: allowed; words cover the model's vocabulary. False: every token
  // is allowed, and words are left as they were. Never forbids all: where nothing fits, the ids that end an answer are allowed.
  virtual bool mask(std::span<uint64_t> words) = 0;
  // The token that was drawn.
  virtual void accept(int32_t id) = 0;
  // For another sample of the same request, in the state of this one.
  virtual std::unique_ptr<TokenConstraint> clone() const = 0;
  // It has ended something for the model (a thought whose budget was used up).
  virtual bool cut() const { return false; }
};

}  // namespace r1::grammar
