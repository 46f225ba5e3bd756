#include "r1/engine/completion.h"

#include <algorithm>
#include <unordered_map>

#include "r1/base/error.h"
#include "r1/engine/stop_strings.h"
#include "r1/text/stream_decoder.h"

namespace r1::engine {

namespace {

// One sample while it runs.
struct Stream {
  size_t prompt;
  int sample;
  const CompletionRequest* request;
  text::StreamDecoder decoder;
  StopStrings stops;
  Completion* result;
};

class Run {
 public:
  Run(Engine& engine, const text::Tokenizer& tokenizer, const std::vector<CompletionRequest>& requests, const CompletionOptions& options)
      : engine_(engine), tokenizer_(tokenizer), requests_(requests), options_(options) {}
  // Whatever happens, nothing of this run stays in the engine.
  ~Run() {
    for (const auto& [id, stream] : streams_) engine_.cancel(id);
  }

  std::vector<std::vector<Completion>> operator()() {
    for (const CompletionRequest& r : requests_) {
      check(r.n >= 1, "[complete] expected n of at least 1, got ", r.n);
      results_.emplace_back(size_t(r.n));
      total_ += r.n;
    }
    for (size_t i = 0; i < requests_.size(); ++i) add(i);
    while (!streams_.empty()) {
      for (const TokenEvent& event : engine_.step()) take(event);
      if (options_.on_step && !options_.on_step(total_ - int64_t(streams_.size()), total_, engine_.stats())) {
        for (auto& [id, stream] : streams_) finish(stream, FinishReason::kCancelled);
        break;
      }
    }
    return std::move(results_);
  }

 private:
  void add(size_t prompt) {
    const CompletionRequest& r = requests_[prompt];
    Request request{.prompt = r.prompt, .sampling = r.sampling, .forced = r.forced};
    // A stop string that is a control token never shows up as text: it is met as an id.
    for (const std::string& stop : r.stop)
      if (const auto id = tokenizer_.token_id(stop); id && tokenizer_.is_special(*id)) request.sampling.stop_ids.push_back(*id);
    const std::vector<RequestId> ids = engine_.add_group(request, r.n);
    for (int j = 0; j < r.n; ++j) {
      streams_.emplace(ids[size_t(j)], Stream{prompt, j, &r, text::StreamDecoder(tokenizer_, !options_.keep_special, r.prompt),
                                              StopStrings(r.stop), &results_[prompt][size_t(j)]});
    }
  }

  void take(const TokenEvent& event) {
    const auto it = streams_.find(event.request);
    if (it == streams_.end()) return;  // somebody else's request
    Stream& s = it->second;
    s.result->ids.push_back(event.token);
    if (s.request->sampling.logprobs) s.result->logprobs.push_back(event.logprob);
    if (s.request->sampling.top_logprobs > 0) s.result->top.push_back(event.top);
    s.result->model_version = event.model_version;
    // The token that ended the answer is no part of its text.
    std::string piece;
    if (event.finish != FinishReason::kStop || options_.keep_special) piece = s.decoder.push(event.token);
    bool more = show(s, s.stops.push(piece));
    if (s.stops.stopped() || !more) {
      if (event.finish == FinishReason::kNone) engine_.cancel(event.request);
      s.result->finish = s.stops.stopped() ? FinishReason::kStop : FinishReason::kCancelled;
    } else if (event.finish != FinishReason::kNone) {
      finish(s, event.finish);
    } else {
      return;
    }
    if (options_.on_finished) options_.on_finished(s.prompt, s.sample, *s.result);
    streams_.erase(it);
  }

  void finish(Stream& s, FinishReason reason) {
    show(s, s.stops.push(s.decoder.finish()));
    show(s, s.stops.finish());
    s.result->finish = s.stops.stopped() ? FinishReason::kStop : reason;
  }

  bool show(Stream& s, const std::string& piece) {
    s.result->text += piece;
    return piece.empty() || !options_.on_text || options_.on_text(s.prompt, s.sample, piece);
  }

  Engine& engine_;
  const text::Tokenizer& tokenizer_;
  const std::vector<CompletionRequest>& requests_;
  const CompletionOptions& options_;
  std::vector<std::vector<Completion>> results_;
  std::unordered_map<RequestId, Stream> streams_;
  int64_t total_ = 0;
};

}  // namespace

std::vector<std::vector<Completion>> complete(Engine& engine, const text::Tokenizer& tokenizer,
                                              const std::vector<CompletionRequest>& requests, const CompletionOptions& options) {
  return Run(engine, tokenizer, requests, options)();
}

}  // namespace r1::engine
