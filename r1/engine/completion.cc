#include "r1/engine/completion.h"

#include <algorithm>
#include <memory>

#include "r1/base/error.h"

namespace r1::engine {

CompletionStream::CompletionStream(Engine& engine, const text::Tokenizer& tokenizer, const CompletionRequest& r, bool keep_special,
                                   Callbacks callbacks)
    : engine_(engine),
      sampling_(r.sampling),
      forced_(int64_t(r.forced.size())),
      keep_special_(keep_special),
      callbacks_(std::move(callbacks)) {
  check(r.n >= 1, "[complete] expected n of at least 1, got ", r.n);
  completions_.resize(size_t(r.n));
  const StopStrings stops(r.stop);
  Request request{.prompt = r.prompt, .sampling = r.sampling, .forced = r.forced, .cache_salt = r.cache_salt, .constraint = r.constraint};
  // A stop string that is a control token never shows up as text: it is met as an id.
  for (const std::string& stop : r.stop)
    if (const auto id = tokenizer.token_id(stop); id && tokenizer.is_special(*id)) request.sampling.stop_ids.push_back(*id);
  const std::vector<RequestId> ids = engine_.add_group(request, r.n, [this](const TokenEvent& event) { take(event); });
  for (int j = 0; j < r.n; ++j)
    running_.emplace(ids[size_t(j)], Sample{j, text::StreamDecoder(tokenizer, !keep_special, r.prompt, r.shown), stops});
}

CompletionStream::~CompletionStream() {
  drop();
}

void CompletionStream::cancel() {
  auto cut = std::move(running_);
  running_.clear();
  for (const auto& [id, sample] : cut) engine_.cancel(id);
  for (auto& [id, sample] : cut) finish(sample, FinishReason::kCancelled);
}

void CompletionStream::drop() {
  for (const auto& [id, sample] : running_) engine_.cancel(id);
  running_.clear();
}

void CompletionStream::take(const TokenEvent& event) {
  try {
    const auto it = running_.find(event.request);
    if (it == running_.end()) return;
    const bool complete = push(it->second, event);
    if (callbacks_.on_token && event.finish != FinishReason::kFailed)
      callbacks_.on_token(it->second.index, completions_[size_t(it->second.index)]);
    if (!complete) return;
    auto ended = running_.extract(it);
    const Sample& sample = ended.mapped();
    if (event.finish == FinishReason::kNone) engine_.cancel(event.request);
    if (callbacks_.on_finished) callbacks_.on_finished(sample.index, completions_[size_t(sample.index)]);
  } catch (...) {
    error_ = std::current_exception();
    drop();
  }
}

// True if the sample is complete.
bool CompletionStream::push(Sample& s, const TokenEvent& event) {
  Completion& c = completions_[size_t(s.index)];
  if (event.finish == FinishReason::kFailed) {
    c.error = event.error;
    finish(s, event.finish);
    return true;
  }
  c.ids.push_back(event.token);
  c.cut = event.cut;
  if (sampling_.logprobs) c.logprobs.push_back(event.logprob);
  if (sampling_.top_logprobs > 0) c.top.push_back(event.top);
  c.model_version = event.model_version;
  prompt_hits_ = std::max(prompt_hits_, event.prompt_hits);
  // The token that ended the answer is no part of its text.
  std::string piece;
  if (event.finish != FinishReason::kStop || keep_special_) piece = s.decoder.push(event.token);
  const bool more = show(s, s.stops.push(piece, may_stop(c)));
  if (s.stops.stopped() || !more) {
    c.finish = s.stops.stopped() ? FinishReason::kStop : FinishReason::kCancelled;
    c.stop_string = s.stops.which();
    return true;
  }
  if (event.finish == FinishReason::kNone) return false;
  finish(s, event.finish);
  return true;
}

void CompletionStream::finish(Sample& s, FinishReason reason) {
  Completion& c = completions_[size_t(s.index)];
  show(s, s.stops.push(s.decoder.finish(), may_stop(c)));
  show(s, s.stops.finish());
  c.finish = s.stops.stopped() ? FinishReason::kStop : reason;
  c.stop_string = s.stops.which();
}

bool CompletionStream::show(const Sample& s, const std::string& piece) {
  completions_[size_t(s.index)].text += piece;
  return piece.empty() || !callbacks_.on_text || callbacks_.on_text(s.index, piece);
}

// The same first tokens that no stop id ends (Engine).
bool CompletionStream::may_stop(const Completion& c) const {
  return int64_t(c.ids.size()) > std::max(sampling_.min_new_tokens, forced_);
}

std::vector<std::vector<Completion>> complete(Engine& engine, const text::Tokenizer& tokenizer,
                                              const std::vector<CompletionRequest>& requests, const CompletionOptions& options) {
  std::vector<std::unique_ptr<CompletionStream>> streams;
  int64_t total = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    CompletionStream::Callbacks callbacks;
    if (options.on_text)
      callbacks.on_text = [&options, i](int sample, const std::string& piece) { return options.on_text(i, sample, piece); };
    if (options.on_finished) callbacks.on_finished = [&options, i](int sample, const Completion& c) { options.on_finished(i, sample, c); };
    streams.push_back(std::make_unique<CompletionStream>(engine, tokenizer, requests[i], options.keep_special, std::move(callbacks)));
    total += requests[i].n;
  }
  const auto running = [&] {
    int64_t n = 0;
    for (const auto& stream : streams) {
      if (stream->error()) std::rethrow_exception(stream->error());
      n += stream->running();
    }
    return n;
  };
  for (int64_t left = total; left > 0;) {
    engine.step();
    left = running();
    if (!options.on_step || options.on_step(total - left, total, engine.stats())) continue;
    for (const auto& stream : streams) stream->cancel();
    break;
  }
  std::vector<std::vector<Completion>> results;
  for (const auto& stream : streams) results.push_back(std::move(stream->completions()));
  return results;
}

}  // namespace r1::engine
