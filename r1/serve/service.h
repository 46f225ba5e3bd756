// The model behind the server: requests of any protocol in, an engine that steps on a thread of its own, answers out through their writers.
// Admission (queue limit, fairness between keys, priorities), prompts (template, tokens, length checks), thoughts and their budget, grammars,
// tool calls, cancellation, embeddings, logits, other weights in place of those that are served, and the numbers that /metrics, /slots and
// /props show. No HTTP in here: routes are serve/*_routes.cc's.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "r1/api/generation.h"
#include "r1/base/config.h"
#include "r1/engine/engine.h"
#include "r1/engine/sampling_options.h"
#include "r1/model/generation_config.h"
#include "r1/text/chat_template.h"

namespace r1::serve {

// What is served. Tokenizer and template outlive the service; the model is shared with it until other weights take its place.
struct ServedModel {
  std::string name;  // as clients are told: --served_model_name, or the folder's or file's name
  std::string path;
  std::shared_ptr<model::Transformer> model;
  const text::Tokenizer* tokenizer = nullptr;
  const text::ChatTemplate* chat = nullptr;  // may be null: then /v1/chat/completions is refused
  std::vector<text::TokenId> stop_ids;
  model::GenerationConfig generation;
};

struct ServiceConfig {
  static constexpr int64_t kByDevice = 0;
  engine::EngineConfig engine{.max_num_batched_tokens = kByDevice};                          // kByDevice: 256 on a CPU, 4096 on a GPU
  engine::SamplingOptions sampling = engine::SamplingOptions::of_model(default_sampling());  // where a request says nothing
  int64_t max_queue = 512;         // requests that wait beside those that run; more are refused (429)
  double batching_window = 0;      // seconds: an idle engine waits that long for more requests before it starts
  int64_t max_n = 128;             // samples of one request
  int64_t max_tokens_default = 0;  // chat: 0 is what the context has left
  int64_t thinking_budget = -1;    // where a request gives none; -1: none
  double grammar_compile_timeout = 0.05;
  double request_timeout = 0;  // seconds from the request to the end of its answer; 0: none
  std::string weight_updates;  // folder of the models that may take the served one's place; "": none may

  static const engine::SamplingOptions& default_sampling();
  void visit(Fields& v);
};

struct Slot {  // one sample that runs
  uint64_t ticket = 0;
  int64_t choice = 0, prompt_tokens = 0, made = 0;
  double seconds = 0;
  std::string key;
};

// A histogram as Prometheus has it.
struct Histogram {
  std::vector<double> bounds;   // upper, ascending; +Inf is not among them
  std::vector<int64_t> counts;  // one more than bounds
  double sum = 0;
  void add(double value);
};

struct Numbers {
  engine::EngineStats engine;
  int64_t running = 0, waiting = 0, prompt_tokens = 0, generated_tokens = 0;
  std::map<std::string, int64_t> finished;  // by reason: stop, length, tool_calls, abort, error
  int64_t rejected = 0;
  Histogram first_token, between_tokens, total, queued;  // seconds
  double kv_usage = 0;                                   // 0..1
  int64_t weights_version = 0, old_weights = 0;          // of the weights that new requests get; how many sets before them still answer
  std::vector<Slot> slots;
};

class Service {
 public:
  using Ticket = uint64_t;

  Service(const ServedModel& model, const ServiceConfig& config);
  ~Service();  // cancels what runs; their writers hear fail()

  // Queues a request of a client (`key`: whom fairness counts it for, and whose cached prefixes it may share). Throws http::ApiError if it
  // can't be: 400 with the field, 400 context_length_exceeded with both numbers, 429 when the queue is full, 503 when the service ends.
  // Encoding is done here, on the caller's thread; the writer is called on the engine's.
  Ticket submit(api::Generation generation, const std::string& key);
  // The client is gone: its samples end within the step, its writer hears nothing more. Any thread; unknown tickets are ignored.
  void cancel(Ticket ticket);

  // These wait for the engine's thread, a text between two steps. Asked before each text whether anybody still wants it: if not (the client is
  // gone), they end there with an ApiError 499.
  using Wanted = std::function<bool()>;
  // Mean of the final hidden states over each prompt's tokens, not normalised, fp32: [prompts][hidden_size].
  std::vector<std::vector<float>> embed(const std::vector<std::vector<text::TokenId>>& prompts, const Wanted& wanted = {});
  // Logits fp32 of every position: [rows][tokens * vocab].
  std::vector<std::vector<float>> logits(const std::vector<std::vector<text::TokenId>>& rows, const Wanted& wanted = {});

  // As submit() does it, for /tokenize and /apply-template.
  std::vector<text::TokenId> encode(const std::string& text, bool add_special, bool parse_special) const;
  std::string render(const api::GenerationRequest& request) const;  // the prompt's text
  std::vector<text::TokenId> prompt_ids(const api::GenerationRequest& request, size_t prompt) const;

  // Other weights, which take the place of the served ones: requests that start from now on are answered by them, those under way end by
  // those they began with, which go with the last of them. Nobody's answer has both. Until then there must be room for both, and for two
  // caches of the size that the first has. The new ones have the same vocabulary, and a context that holds what the old ones promised; how
  // their layers look is theirs. Waits until it is done; throws (400, or what the engine says) if it can't be, and then nothing has changed.
  // Returns the version of the new weights (Transformer::version()), which is above every one before: answers tell it.
  int64_t replace_weights(std::shared_ptr<model::Transformer> model, const std::string& path);

  struct WeightUpdate {
    int64_t version = 0;
    std::string path;
    double seconds = 0;
  };
  // Loads a model of config().weight_updates (a path in or below it; "": the served path once more) on a thread of its own and replaces the
  // weights; `done` is called there with the outcome, the exception null if it went well. Throws 403 where updates are off, 409 while another
  // one is under way, 503 when the service ends.
  void update_weights(const std::string& name, std::function<void(const WeightUpdate&, std::exception_ptr)> done);

  ServedModel served() const;  // as it is now
  const ServiceConfig& config() const;
  int64_t max_model_len() const;
  Numbers numbers() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace r1::serve
