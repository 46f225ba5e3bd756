// Text at the engine's door: prompts in, completions out, with stop strings and streaming. A CompletionStream is one request on its way; any
// number of them share an engine, and each gets its own tokens whoever steps. complete() is the loop for callers that wait: rollout, eval,
// generate and chat.
#pragma once

#include <exception>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "r1/engine/engine.h"
#include "r1/engine/stop_strings.h"
#include "r1/text/stream_decoder.h"
#include "r1/text/tokenizer.h"

namespace r1::engine {

struct CompletionRequest {
  std::vector<TokenId> prompt;
  SamplingParams sampling;
  std::vector<std::string> stop;  // stop strings: the text ends before the first one; ids keep all tokens that were made
  int n = 1;
  std::vector<TokenId> forced;  // no stop string ends in these, and no stop id
  std::vector<TokenId> shown;   // special tokens that have a text all the same (text/stream_decoder.h)
  uint64_t cache_salt = 0;      // Request::cache_salt
  std::shared_ptr<const grammar::TokenConstraint> constraint = nullptr;  // Request::constraint
};

struct Completion {
  std::vector<TokenId> ids;
  std::vector<float> logprobs;                     // per id if asked for
  std::vector<std::vector<TokenAlternative>> top;  // per id if top_logprobs asks for it
  std::string text;                                // special tokens skipped unless keep_special
  FinishReason finish = FinishReason::kNone;
  std::string stop_string;  // the one that ended it, if one did
  int64_t model_version = 0;
  bool cut = false;   // its constraint has ended something for the model (TokenEvent::cut)
  std::string error;  // with kFailed
};

// One request's n samples: their decoders, stop strings, ends and log-probabilities. It is fed while anybody steps the engine, which must
// outlive it; where it ends before its samples do, they are cancelled.
class CompletionStream {
 public:
  // Called while the engine steps: they may add requests, not step, and end their own stream only by returning false.
  struct Callbacks {
    // Each new piece of whole characters; false cancels that sample.
    std::function<bool(int sample, const std::string& piece)> on_text;
    // After each token, its text shown, and before on_finished: completion.ids ends in it. (Tokens of a character or a stop string that is
    // not complete have no text yet.)
    std::function<void(int sample, const Completion& completion)> on_token;
    // As soon as a sample is complete (not for those that cancel() cuts off).
    std::function<void(int sample, const Completion& completion)> on_finished;
  };
  // Queues the request. Throws as Engine::add_group does; the engine is as before then.
  CompletionStream(Engine& engine, const text::Tokenizer& tokenizer, const CompletionRequest& request, bool keep_special = false,
                   Callbacks callbacks = {});
  ~CompletionStream();
  CompletionStream(const CompletionStream&) = delete;
  CompletionStream& operator=(const CompletionStream&) = delete;

  int64_t running() const { return int64_t(running_.size()); }  // samples that are not complete
  // The samples that still run end here (kCancelled), with the text they have.
  void cancel();
  // Tokens of the prompt that the prefix cache had.
  int64_t prompt_hits() const { return prompt_hits_; }
  // What a callback threw; it has cancelled the samples. Nobody else on the engine notices.
  const std::exception_ptr& error() const { return error_; }
  std::vector<Completion>& completions() { return completions_; }

 private:
  struct Sample {
    int index;
    text::StreamDecoder decoder;
    StopStrings stops;
  };
  void take(const TokenEvent& event);
  bool push(Sample& sample, const TokenEvent& event);
  void finish(Sample& sample, FinishReason reason);
  bool show(const Sample& sample, const std::string& piece);
  bool may_stop(const Completion& completion) const;
  void drop();

  Engine& engine_;
  const SamplingParams sampling_;
  const int64_t forced_;
  const bool keep_special_;
  Callbacks callbacks_;
  std::vector<Completion> completions_;
  std::unordered_map<RequestId, Sample> running_;
  std::exception_ptr error_;
  int64_t prompt_hits_ = 0;
};

struct CompletionOptions {
  bool keep_special = false;
  // As CompletionStream's callbacks, with the number of the request.
  std::function<bool(size_t prompt, int sample, const std::string& piece)> on_text;
  std::function<void(size_t prompt, int sample, const Completion& completion)> on_finished;
  // Called after each engine step with finished samples and total; for progress bars. Return false to stop everything (what is done is
  // returned).
  std::function<bool(int64_t finished, int64_t total, const EngineStats&)> on_step;
};

// Runs all requests to their end. result[i][j] is sample j of request i, in order whatever finished first. Rethrows what a callback throws.
std::vector<std::vector<Completion>> complete(Engine& engine, const text::Tokenizer& tokenizer,
                                              const std::vector<CompletionRequest>& requests, const CompletionOptions& options = {});

}  // namespace r1::engine
