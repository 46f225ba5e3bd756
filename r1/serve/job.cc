#include "r1/serve/job.h"

#include <algorithm>
#include <ctime>

#include "r1/api/random_id.h"
#include "r1/engine/plain_forward.h"

namespace r1::serve {

namespace {

double seconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

Job::Job(Service::Ticket ticket, std::string key, Prepared prepared, api::Generation generation)
    : ticket_(ticket), key_(std::move(key)), prepared_(std::move(prepared)), generation_(std::move(generation)) {
  for (const Prepared::Prompt& prompt : prepared_.prompts) {
    prompt_tokens_ += int64_t(prompt.ids.size());
    for (int64_t j = 0; j < generation_.request.n; ++j) choices_.push_back(std::make_unique<Choice>(prepared_.parser));
  }
  usage_.prompt_tokens = prompt_tokens_;
}

void Job::start(std::shared_ptr<Weights> weights, const ServedModel& served, uint64_t cache_salt) {
  served_ = &served;
  weights_ = std::move(weights);
  started = Clock::now();
  const api::GenerationRequest& r = generation_.request;
  const bool answers = r.max_tokens.value_or(1) > 0;
  for (size_t p = 0; p < prepared_.prompts.size(); ++p) {
    const size_t first = p * size_t(r.n);
    if (!answers) {  // the prompt alone is asked about
      for (int64_t j = 0; j < r.n; ++j) {
        choices_[first + size_t(j)]->complete = true;
        choices_[first + size_t(j)]->finish.reason = "length";
      }
      continue;
    }
    engine::SamplingParams sampling = prepared_.sampling;
    sampling.max_new_tokens = prepared_.prompts[p].max_new_tokens;
    sampling.min_new_tokens = std::min(sampling.min_new_tokens, sampling.max_new_tokens);
    engine::CompletionRequest request{.prompt = prepared_.prompts[p].ids,
                                      .sampling = sampling,
                                      .stop = prepared_.stop,
                                      .n = int(r.n),
                                      .shown = prepared_.shown,
                                      .cache_salt = cache_salt,
                                      .constraint = prepared_.constraint};
    engine::CompletionStream::Callbacks callbacks;
    callbacks.on_text = [this, first](int sample, const std::string& piece) {
      take_text(*choices_[first + size_t(sample)], piece);
      return true;
    };
    callbacks.on_token = [this, first](int sample, const engine::Completion& c) { take_token(*choices_[first + size_t(sample)], c); };
    callbacks.on_finished = [this, first](int sample, const engine::Completion& c) { complete(*choices_[first + size_t(sample)], c); };
    streams_.push_back(
        std::make_unique<engine::CompletionStream>(weights_->engine, *served.tokenizer, request, false, std::move(callbacks)));
  }
}

bool Job::score_next() {
  const api::GenerationRequest& r = generation_.request;
  if (!r.echo || echoed_.size() == prepared_.prompts.size()) return false;
  const std::vector<text::TokenId>& ids = prepared_.prompts[echoed_.size()].ids;
  std::vector<api::TokenInfo> infos;
  if (r.logprobs) {
    const std::vector<engine::ScoredToken> scored = engine::score_prompt(*weights_->model, ids, int(r.top_logprobs));
    for (size_t i = 0; i < ids.size(); ++i) infos.push_back(token_info(ids[i], scored[i].logprob, scored[i].top));
  }
  echoed_.push_back(std::move(infos));
  return true;
}

api::TokenInfo Job::token_info(text::TokenId id, float logprob, const std::vector<engine::TokenAlternative>& top) const {
  const auto bytes = [&](text::TokenId t) { return served_->tokenizer->known(t) ? served_->tokenizer->token_bytes(t) : std::string(); };
  api::TokenInfo info;
  info.id = id;
  info.bytes = bytes(id);
  info.logprob = logprob;
  for (const engine::TokenAlternative& a : top) info.top.push_back({a.id, bytes(a.id), a.logprob});
  return info;
}

void Job::add(api::Delta& to, api::Delta&& from) const {
  to.content += from.content;
  to.reasoning += from.reasoning;
  for (api::ToolCallDelta& call : from.tool_calls) {
    if (!to.tool_calls.empty() && to.tool_calls.back().index == call.index && call.id.empty() && call.name.empty())
      to.tool_calls.back().arguments += call.arguments;
    else
      to.tool_calls.push_back(std::move(call));
  }
}

void Job::take_text(Choice& choice, const std::string& piece) {
  if (prepared_.parsed)
    add(choice.delta, choice.parser.push(piece));
  else
    choice.delta.content += piece;
}

void Job::take_token(Choice& choice, const engine::Completion& c) {
  const bool before = choice.in_thought || (choice.made == 0 && prepared_.parser.in_thought);
  choice.in_thought = prepared_.parsed && choice.parser.in_thought();
  if (prepared_.parsed && (before || choice.in_thought)) ++usage_.reasoning_tokens;
  ++choice.made;
  ++usage_.completion_tokens;
  ++new_tokens;
  const api::GenerationRequest& r = generation_.request;
  if (r.logprobs || r.return_token_ids)
    choice.delta.tokens.push_back(token_info(c.ids.back(), r.logprobs ? c.logprobs.back() : 0,
                                             r.top_logprobs > 0 ? c.top.back() : std::vector<engine::TokenAlternative>()));
}

void Job::complete(Choice& choice, const engine::Completion& c) {
  choice.complete = true;
  choice.finish.reason = c.finish == engine::FinishReason::kStop ? "stop" : c.finish == engine::FinishReason::kLength ? "length" : "abort";
  choice.finish.thought_cut = c.cut;
  if (c.finish == engine::FinishReason::kFailed) r1::fail("[serve] the answer's format could not be followed: ", c.error);
  if (c.finish != engine::FinishReason::kStop) return;
  choice.finish.stop_string = c.stop_string;
  if (c.stop_string.empty() && !c.ids.empty()) choice.finish.stop_id = c.ids.back();
}

void Job::write(size_t c) {
  if (!head_written_) {
    head_written_ = true;
    generation_.writer->start({.id = api::random_id(24),
                               .model = served_->name,
                               .created = int64_t(std::time(nullptr)),
                               .choices = samples(),
                               .prompt_tokens = prompt_tokens_,
                               .truncated = prepared_.truncated,
                               .model_version = weights_->model->version()});
    if (generation_.request.echo)
      for (size_t i = 0; i < choices_.size(); ++i) {
        const size_t p = i / size_t(generation_.request.n);
        generation_.writer->prompt(int64_t(i), prepared_.prompts[p].text, echoed_[p]);
      }
  }
  Choice& choice = *choices_[c];
  if (!choice.delta.empty()) generation_.writer->delta(int64_t(c), choice.delta);
  choice.delta = {};
}

void Job::finish_choice(size_t c) {
  Choice& choice = *choices_[c];
  choice.finished = true;
  if (prepared_.parsed) {
    add(choice.delta, choice.parser.finish());
    if (choice.parser.tool_calls() > 0 && choice.finish.reason == "stop") choice.finish.reason = "tool_calls";
  }
  write(c);
  generation_.writer->finish(int64_t(c), choice.finish);
  reasons_.push_back(choice.finish.reason);
}

bool Job::flush() {
  for (const auto& stream : streams_)
    if (stream->error()) std::rethrow_exception(stream->error());
  if (generation_.request.echo && echoed_.size() < prepared_.prompts.size()) return false;  // the prompts come first
  bool all = true;
  for (size_t c = 0; c < choices_.size(); ++c) {
    Choice& choice = *choices_[c];
    if (choice.finished) continue;
    if (choice.complete)
      finish_choice(c);
    else if (!choice.delta.empty())
      write(c);
    all &= choice.finished;
  }
  if (!all) return false;
  for (const auto& stream : streams_) usage_.cached_tokens += stream->prompt_hits();
  const auto now = Clock::now();
  generation_.writer->end(usage_, {.queued = seconds(arrived, started),
                                   .prompt = first_token == Clock::time_point{} ? 0 : seconds(started, first_token),
                                   .first_token = first_token == Clock::time_point{} ? 0 : seconds(arrived, first_token),
                                   .total = seconds(arrived, now)});
  return true;
}

void Job::fail(const std::exception& error) {
  drop();
  generation_.writer->fail(error);
}

void Job::drop() {
  streams_.clear();
}

void Job::add_slots(std::vector<Slot>& slots) const {
  for (size_t c = 0; c < choices_.size(); ++c)
    if (!choices_[c]->complete)
      slots.push_back({.ticket = ticket_,
                       .choice = int64_t(c),
                       .prompt_tokens = int64_t(prepared_.prompts[c / size_t(generation_.request.n)].ids.size()),
                       .made = choices_[c]->made,
                       .seconds = seconds(started, Clock::now()),
                       .key = key_});
}

}  // namespace r1::serve
