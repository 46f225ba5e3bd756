// One request on its way through the engine: its samples' streams, what their texts are read as, and the writer that hears of it. Lives on the
// engine's thread once it is started.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "r1/api/answer_parser.h"
#include "r1/engine/completion.h"
#include "r1/serve/prompts.h"
#include "r1/serve/weights.h"

namespace r1::serve {

using Clock = std::chrono::steady_clock;

class Job {
 public:
  Job(Service::Ticket ticket, std::string key, Prepared prepared, api::Generation generation);

  // Queues the samples with these weights, which all of the answer comes from. `served` for its name and tokenizer. Throws what the engine does.
  void start(std::shared_ptr<Weights> weights, const ServedModel& served, uint64_t cache_salt);
  // Between two steps: the log-probabilities of the next prompt that is echoed; false if there is none. Nothing is written before all have theirs.
  bool score_next();
  // After a step: what is new goes to the writer. True when all choices are done and the writer has its end.
  bool flush();
  void fail(const std::exception& error);
  // Its samples end now; the writer hears nothing.
  void drop();

  Service::Ticket ticket() const { return ticket_; }
  const std::string& key() const { return key_; }
  int64_t priority() const { return generation_.request.priority; }
  const std::string& cache_salt() const { return generation_.request.cache_salt; }
  const Weights* weights() const { return weights_.get(); }  // null: not started
  int64_t samples() const { return int64_t(choices_.size()); }
  int64_t prompt_tokens() const { return prompt_tokens_; }
  int64_t generated() const { return usage_.completion_tokens; }
  const std::vector<std::string>& reasons() const { return reasons_; }
  void add_slots(std::vector<Slot>& slots) const;

  const Clock::time_point arrived = Clock::now();
  Clock::time_point started{}, first_token{}, last_token{};  // zero: not yet
  int64_t new_tokens = 0;                                    // made since the last flush

 private:
  struct Choice {
    explicit Choice(const api::AnswerParserOptions& options) : parser(options) {}
    api::AnswerParser parser;
    api::Delta delta;
    int64_t made = 0;
    bool in_thought = false, complete = false, finished = false;
    api::AnswerWriter::Finish finish;
  };
  void take_text(Choice& choice, const std::string& piece);
  void take_token(Choice& choice, const engine::Completion& completion);
  void complete(Choice& choice, const engine::Completion& completion);
  void add(api::Delta& to, api::Delta&& from) const;
  void write(size_t c);
  void finish_choice(size_t c);
  api::TokenInfo token_info(text::TokenId id, float logprob, const std::vector<engine::TokenAlternative>& top) const;

  const Service::Ticket ticket_;
  const std::string key_;
  Prepared prepared_;
  api::Generation generation_;
  const ServedModel* served_ = nullptr;
  std::shared_ptr<Weights> weights_;                                // before the streams, which cancel in its engine
  std::vector<std::unique_ptr<engine::CompletionStream>> streams_;  // a prompt each
  std::vector<std::unique_ptr<Choice>> choices_;
  std::vector<std::vector<api::TokenInfo>> echoed_;  // of the prompts that are scored
  std::vector<std::string> reasons_;
  api::Usage usage_;
  int64_t prompt_tokens_ = 0;
  bool head_written_ = false;
};

}  // namespace r1::serve
