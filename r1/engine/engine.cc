#include "r1/engine/engine.h"

#include <algorithm>
#include <exception>
#include <unordered_map>

#include "r1/base/error.h"
#include "r1/base/log.h"
#include "r1/base/memory_left.h"
#include "r1/engine/device_sampler.h"
#include "r1/engine/ngram_lookup.h"
#include "r1/engine/runner.h"
#include "r1/engine/sampler.h"
#include "r1/engine/scheduler.h"
#include "r1/kernels/cuda/device.h"
#include "r1/tensor/aten.h"

namespace r1::engine {

namespace {

std::optional<int64_t> free_memory(at::Device device) {
  if (!device.is_cuda()) return std::nullopt;
  return kernels::cuda::memory_of(std::max<int>(device.index(), 0)).free;
}

bool guesses_by_model(const EngineConfig& c) {
  return c.num_speculative_tokens > 0 && c.speculation == "mtp";
}
bool guesses_by_text(const EngineConfig& c) {
  return c.num_speculative_tokens > 0 && c.speculation == "ngram";
}

ops::CacheType cache_type(const std::string& name) {
  return name == "float32"    ? ops::CacheType::kFloat32
         : name == "bfloat16" ? ops::CacheType::kBFloat16
         : name == "int8"     ? ops::CacheType::kInt8
         : name == "int4"     ? ops::CacheType::kInt4
                              : ops::CacheType::kModel;
}

void check_eviction(const EngineConfig& c) {
  if (c.kv_eviction == "none") {
    if (c.kv_budget > 0) fail_usage("[engine] kv_budget ", c.kv_budget, ": say who goes, by kv_eviction window or heavy_hitters");
    return;
  }
  if (c.kv_budget == 0) fail_usage("[engine] kv_eviction ", c.kv_eviction, " needs kv_budget, the tokens that a sequence may hold");
  if (c.attention_window > 0)
    fail_usage("[engine] kv_eviction ", c.kv_eviction, " and attention_window ", c.attention_window,
               " both say what a sequence holds: leave one out");
  if (c.kv_eviction == "window") {
    if (c.kv_budget <= c.attention_sink_tokens)
      fail_usage("[engine] kv_budget ", c.kv_budget, " holds no token beside the first ", c.attention_sink_tokens,
                 " (attention_sink_tokens): raise it");
    return;
  }
  if (c.kv_budget < 64) fail_usage("[engine] expected kv_budget of at least 64 tokens for heavy_hitters, got ", c.kv_budget);
  if (c.num_speculative_tokens > 0)
    fail_usage(
        "[engine] kv_eviction heavy_hitters counts what every token looks at, guesses too, which may be wrong: leave "
        "num_speculative_tokens at 0, or take kv_eviction window");
}

EngineConfig finished(EngineConfig c, const model::Transformer& model) {
  const int64_t longest = model.config().max_position_embeddings;
  if (c.max_num_seqs < 1 || c.max_num_batched_tokens < 1)
    fail_usage("[engine] expected max_num_seqs and max_num_batched_tokens above 0, got ", c.max_num_seqs, " and ",
               c.max_num_batched_tokens);
  if (c.block_size < 16 || c.block_size % 16 != 0) fail_usage("[engine] expected block_size to be a multiple of 16, got ", c.block_size);
  if (c.max_model_len > longest) fail_usage("[engine] expected max_model_len up to the model's ", longest, ", got ", c.max_model_len);
  if (c.num_speculative_tokens > 1 && c.speculation == "mtp")
    fail_usage("[engine] num_speculative_tokens ", c.num_speculative_tokens,
               ": multi-token prediction guesses one; speculation ngram up to 8");
  if (guesses_by_model(c) && model.mtp_depth() == 0)
    fail_usage(
        "[engine] num_speculative_tokens needs a model with multi-token prediction (num_nextn_predict_layers), which this one has not; "
        "speculation ngram needs none");
  if (c.max_model_len == 0) c.max_model_len = longest;
  check_eviction(c);
  if (const std::string word = drop_idle_eviction(c, c.max_model_len); !word.empty()) log_info("[engine] ", word);
  // A prefix has no scores of its own: they are of the queries after it too.
  if (c.kv_eviction == "heavy_hitters") c.enable_prefix_caching = false;
  if (cache_form(c).kept_last == 0) c.attention_sink_tokens = 0;
  if (cache_type(c.kv_cache_dtype) == (model.dtype() == at::kFloat ? ops::CacheType::kFloat32 : ops::CacheType::kBFloat16) &&
      (model.dtype() == at::kFloat || model.dtype() == at::kBFloat16))
    c.kv_cache_dtype = "auto";
  const int64_t bytes = block_bytes(model, cache_form(c), guesses_by_model(c));  // throws where the model can keep no such cache
  if (c.num_blocks == 0) {
    const int64_t memory = cache_memory(c, free_memory(model.device())), affordable = memory / std::max<int64_t>(bytes, 1);
    if (affordable < 1) fail_usage("[engine] expected kv_cache_memory of at least one block (", bytes, " bytes), got ", memory);
    // Twice what all sequences at full length can hold: the rest keeps prefixes of those gone.
    const int64_t useful = 2 * c.max_num_seqs * ((most_cached_tokens(c, c.max_model_len) + c.block_size - 1) / c.block_size);
    c.num_blocks = std::min(affordable, useful);
  }
  return c;
}

SchedulerConfig scheduling(const EngineConfig& c) {
  const ops::CacheForm form = cache_form(c);
  return {.max_num_seqs = c.max_num_seqs,
          .max_num_batched_tokens = c.max_num_batched_tokens,
          .num_blocks = c.num_blocks,
          .block_size = int32_t(c.block_size),
          .prefix_caching = c.enable_prefix_caching,
          .kept_first = form.kept_first,
          .kept_last = form.kept_last,
          .budget = form.budget,
          .kept_of_budget = form.budget > 0 ? form.kept_of_budget() : 0};
}

RunnerConfig running(const EngineConfig& c) {
  return {.num_blocks = c.num_blocks,
          .form = cache_form(c),
          .speculate = guesses_by_model(c),
          .guesses = guesses_by_text(c) ? c.num_speculative_tokens : 0,
          .exact = c.exact,
          .cuda_graphs = c.cuda_graphs,
          .max_sequences = c.max_num_seqs,
          .max_tokens = c.max_num_batched_tokens,
          .max_model_len = c.max_model_len};
}

}  // namespace

std::string drop_idle_eviction(EngineConfig& c, int64_t longest) {
  if (c.kv_eviction == "none" || c.kv_budget < longest) return "";
  const std::string word =
      str("kv_budget ", c.kv_budget, " holds every text of up to ", longest, " tokens (max_model_len), so kv_eviction ", c.kv_eviction,
          " is off: nobody would go, and it would cost time");
  c.kv_eviction = "none", c.kv_budget = 0;
  return word;
}

ops::CacheForm cache_form(const EngineConfig& c) {
  const int64_t last = c.kv_eviction == "window" ? std::max<int64_t>(0, c.kv_budget - c.attention_sink_tokens) : c.attention_window;
  return {int32_t(c.block_size), cache_type(c.kv_cache_dtype), last > 0 ? c.attention_sink_tokens : 0, last,
          c.kv_eviction == "heavy_hitters" ? c.kv_budget : 0};
}

int64_t most_cached_tokens(const EngineConfig& c, int64_t tokens) {
  return cache_form(c).most_tokens(tokens, c.max_num_batched_tokens);
}

int64_t cache_memory(const EngineConfig& config, std::optional<int64_t> gpu_free) {
  if (config.kv_cache_memory > 0) return config.kv_cache_memory;
  if (gpu_free) return int64_t(config.gpu_memory_utilization * double(*gpu_free));
  return std::min(int64_t{1} << 30, memory_left() / 2);
}

struct Engine::Impl {
  model::Transformer& model;
  EngineConfig config;
  Scheduler scheduler;
  Runner runner;
  DeviceSampler sampler;
  RequestId next_id = 1;
  int64_t version;
  int64_t cache_bytes_per_token;
  EngineStats counted;
  // Kept from step to step for their memory.
  std::vector<SampleRow> rows;
  std::vector<int64_t> index;
  std::vector<Sampled> sampled;
  // Logits of the next step, which runs on the device while the tokens of the one before it come back and are given out.
  Tensor ahead;
  std::vector<int64_t> sources;
  std::unordered_map<RequestId, std::shared_ptr<const TokenSink>> sinks;  // null: cancelled while tokens are given out
  bool delivering = false;

  Impl(model::Transformer& m, const EngineConfig& c)
      : model(m),
        config(finished(c, m)),
        scheduler(scheduling(config)),
        runner(m, running(config)),
        sampler(m.device(), config.max_num_seqs, m.config().vocab_size),
        version(m.version()),
        cache_bytes_per_token(block_bytes(m, cache_form(config), guesses_by_model(config)) / config.block_size) {}

  void check_request(const Request& request) const;
  std::unique_ptr<Sequence> new_sequence(const Request& request, std::shared_ptr<Group> group);
  void follow_weights();
  void sample(const Tensor& logits, const std::vector<PendingSample>& samplers);
  void mask_all(std::vector<PendingSample>& samplers, std::vector<TokenEvent>& events);
  TokenEvent failed(Sequence* s, const std::exception& error);
  void launch_ahead();
  bool guesses_now() const;
  void guess(const std::vector<TokenEvent>& events);
  Tensor forward();
  TokenEvent accept(Sequence* s, Sampled& sampled);
  void sample_all(const Tensor& logits, std::vector<PendingSample> samplers, std::vector<TokenEvent>& events);
  void deliver(std::vector<TokenEvent>& events);
};

void Engine::Impl::check_request(const Request& r) const {
  check_sampling(r.sampling);
  const int64_t prompt = int64_t(r.prompt.size()), vocab = model.config().vocab_size;
  check(prompt > 0, "[engine] expected a prompt of at least one token");
  check(prompt + 1 <= config.max_model_len, "[engine] prompt of ", prompt, " tokens leaves no room for an answer: max_model_len is ",
        config.max_model_len);
  int64_t end = 0;
  for (const ContentSpan& span : r.contents) {
    check(span.first >= end && span.tokens > 0 && span.first + span.tokens <= prompt, "[engine] expected contents of the prompt's ", prompt,
          " tokens, in order and apart, got tokens ", span.first, " to ", span.first + span.tokens, " after ", end);
    end = span.first + span.tokens;
  }
  const int64_t reach = std::min(prompt + r.sampling.max_new_tokens, config.max_model_len);
  const int64_t room = config.num_blocks * config.block_size;
  check(scheduler.fits(reach), "[engine] prompt and answer reach ", reach, " tokens (", prompt, " + ", r.sampling.max_new_tokens,
        "), the cache holds ", room,
        cache_form(config).kept_last > 0 ? ", too few for the window"
        : cache_form(config).budget > 0  ? ", too few for kv_budget"
                                         : "",
        ": raise kv_cache_memory or num_blocks, or lower max_new_tokens");
  for (const std::vector<TokenId>* ids : {&r.prompt, &r.forced})
    for (TokenId id : *ids) check(id >= 0 && id < vocab, "[engine] token id ", id, " is outside the model's vocabulary of ", vocab);
}

std::unique_ptr<Sequence> Engine::Impl::new_sequence(const Request& r, std::shared_ptr<Group> group) {
  auto s = std::make_unique<Sequence>();
  s->id = next_id++;
  s->sampling = r.sampling;
  s->sample_index = r.sample_index;
  s->forced = r.forced;
  if (r.constraint) s->constraint = r.constraint->clone();
  s->group = std::move(group);
  s->prompt_tokens = int64_t(r.prompt.size());
  s->max_tokens = std::min(s->prompt_tokens + r.sampling.max_new_tokens, config.max_model_len);
  s->tokens.reserve(size_t(std::min(s->max_tokens, s->prompt_tokens + 256)));
  s->tokens = r.prompt;
  s->cache_salt = r.cache_salt;
  s->contents = r.contents;
  if (wants_penalties(r.sampling))
    for (TokenId id : r.prompt) s->counts.add_prompt(id);
  return s;
}

void Engine::Impl::follow_weights() {
  if (model.version() == version) return;
  if (config.weight_update == "error" && scheduler.any_cached()) {
    fail("[engine] weights went from version ", version, " to ", model.version(), " while ", scheduler.running(),
         " sequences were half done; cancel them or set weight_update to recompute or keep");
  }
  scheduler.weights_changed(config.weight_update == "recompute");
  version = model.version();
}

void Engine::Impl::sample(const Tensor& logits, const std::vector<PendingSample>& samplers) {
  rows.clear();
  for (const auto& [s, row, drafts] : samplers) {
    const int64_t made = s->made();
    rows.push_back({.params = &s->sampling,
                    .counts = &s->counts,
                    .sample_index = s->sample_index,
                    .token_index = made,
                    .forced = made < int64_t(s->forced.size()) ? s->forced[size_t(made)] : -1,
                    .mask = s->mask});
  }
  sampled.resize(samplers.size());
  index.clear();
  for (const PendingSample& s : samplers) index.push_back(s.row);
  sampler.enqueue(logits, index, rows);
  if (runner.replays() && !guesses_now()) launch_ahead();
  sampler.collect(sampled);
}

void Engine::Impl::launch_ahead() {
  try {
    if (const Schedule* plan = scheduler.schedule_ahead(sources)) ahead = runner.forward_ahead(*plan, sampler.tokens(), sources);
  } catch (const std::exception&) {  // the step after this one will meet it again
    scheduler.drop_ahead();
    ahead = Tensor();
  }
}

// A row that is computed in vain costs little while few sequences decode, and more and more beyond: then nobody guesses.
bool Engine::Impl::guesses_now() const {
  constexpr int64_t kMostRows = 32;
  return guesses_by_text(config) && scheduler.running() * (1 + config.num_speculative_tokens) <= kMostRows;
}

// What may follow, for those whose tokens these are. A sequence whose guesses were wrong makes fewer.
void Engine::Impl::guess(const std::vector<TokenEvent>& events) {
  const bool guesses = guesses_now() && !ahead.defined();
  for (const TokenEvent& event : events) {
    Sequence* s = scheduler.find(event.request);
    if (!s || s->uncached() != 1) continue;
    s->draft.clear();
    if (guesses && !s->constraint) s->draft = ngram_lookup(s->tokens, std::min(s->most_guesses, config.num_speculative_tokens));
  }
}

// The next step's logits; undefined if there is nothing to do, or nothing of it samples.
Tensor Engine::Impl::forward() {
  const Schedule* planned = nullptr;
  try {
    planned = &scheduler.schedule();
    runner.drop(*planned);
  } catch (...) {
    scheduler.not_dropped();
    throw;
  }
  const Schedule& plan = *planned;
  if (plan.sequences.empty()) return {};
  const Tensor logits = runner.forward(plan);
  ++counted.steps;
  for (const ScheduledSequence& s : plan.sequences)
    counted.prefill_tokens += std::max<int64_t>(0, std::min(s.sequence->prompt_tokens - s.sequence->cached, s.tokens));
  return logits;
}

// A sample whose constraint threw ends here; nobody else notices.
TokenEvent Engine::Impl::failed(Sequence* s, const std::exception& error) {
  TokenEvent event{.request = s->id, .token = -1, .finish = FinishReason::kFailed, .model_version = version, .error = error.what()};
  scheduler.finish(s);
  return event;
}

// Asks the constraints; takes those that fail out of `samplers`.
void Engine::Impl::mask_all(std::vector<PendingSample>& samplers, std::vector<TokenEvent>& events) {
  const auto words = size_t(model.config().vocab_size + 63) / 64;
  std::erase_if(samplers, [&](const PendingSample& p) {
    Sequence* s = p.sequence;
    if (!s->constraint) return false;
    s->mask.clear();
    if (s->made() < int64_t(s->forced.size())) return false;
    try {
      s->mask.resize(words);
      if (!s->constraint->mask(s->mask)) {
        s->mask.clear();
        return false;
      }
      // Ids past the model's vocabulary are nothing that could be drawn.
      if (const int64_t past = model.config().vocab_size % 64) s->mask.back() &= (uint64_t{1} << past) - 1;
      check(std::any_of(s->mask.begin(), s->mask.end(), [](uint64_t w) { return w != 0; }), "[engine] a constraint allows no token at all");
      return false;
    } catch (const std::exception& e) {
      events.push_back(failed(s, e));
      return true;
    }
  });
}

TokenEvent Engine::Impl::accept(Sequence* s, Sampled& made) {
  TokenEvent event{.request = s->id,
                   .token = made.token,
                   .logprob = made.logprob,
                   .top = std::move(made.top),
                   .model_version = version,
                   .prompt_hits = s->prompt_hits};
  const SamplingParams& p = s->sampling;
  scheduler.append(s, made.token);
  ++counted.generated_tokens;
  if (s->constraint) {
    try {
      s->constraint->accept(made.token);
      event.cut = s->constraint->cut();
    } catch (const std::exception& e) {
      return failed(s, e);
    }
  }
  // A stop under a mask came because nothing else was left, or late enough.
  const bool may_stop = (s->made() > p.min_new_tokens || !s->mask.empty()) && s->made() > int64_t(s->forced.size());
  const bool stops = may_stop && std::find(p.stop_ids.begin(), p.stop_ids.end(), made.token) != p.stop_ids.end();
  if (stops)
    event.finish = FinishReason::kStop;
  else if (int64_t(s->tokens.size()) >= s->max_tokens)
    event.finish = FinishReason::kLength;
  if (event.finish != FinishReason::kNone) scheduler.finish(s);
  return event;
}

// Round by round: first everybody's next token, then, for those whose guess was right, the one after it.
void Engine::Impl::sample_all(const Tensor& logits, std::vector<PendingSample> samplers, std::vector<TokenEvent>& events) {
  for (const PendingSample& p : samplers) {
    counted.draft_tokens += p.drafts;
    if (p.drafts > 0) p.sequence->most_guesses = 1;  // and twice as many for each that is right
  }
  std::vector<PendingSample> next;
  for (int64_t round = 0; !samplers.empty(); ++round, samplers.swap(next)) {
    mask_all(samplers, events);
    if (samplers.empty()) return;
    try {
      sample(logits, samplers);
    } catch (...) {
      scheduler.not_sampled(samplers);
      if (events.empty()) throw;
      return;  // what the rounds before made is given out; the fault will show again when these are sampled in the next step
    }
    next.clear();
    for (size_t i = 0; i < samplers.size(); ++i) {
      const auto [s, row, drafts] = samplers[i];
      const bool guessed = round < drafts && s->draft[size_t(round)] == sampled[i].token;
      events.push_back(accept(s, sampled[i]));
      if (!guessed || events.back().finish != FinishReason::kNone) continue;
      scheduler.accept_draft(s);
      s->most_guesses = std::min<int64_t>(2 * s->most_guesses, 8);
      ++counted.accepted_draft_tokens;
      next.push_back({s, row + 1, drafts});
    }
  }
}

// Leaves in `events` what belongs to no sink.
void Engine::Impl::deliver(std::vector<TokenEvent>& events) {
  if (sinks.empty()) return;
  std::vector<TokenEvent> rest;
  std::exception_ptr error;
  delivering = true;
  for (TokenEvent& event : events) {
    const auto it = sinks.find(event.request);
    if (it == sinks.end()) {
      rest.push_back(std::move(event));
      continue;
    }
    const auto sink = it->second;  // kept while it runs, whatever it cancels
    if (!sink) continue;
    try {
      (*sink)(event);
    } catch (...) {
      if (!error) error = std::current_exception();
    }
    if (event.finish != FinishReason::kNone) sinks[event.request] = nullptr;
  }
  delivering = false;
  std::erase_if(sinks, [](const auto& entry) { return !entry.second; });
  events = std::move(rest);
  if (error) std::rethrow_exception(error);
}

Engine::Engine(model::Transformer& model, const EngineConfig& config) : impl_(std::make_unique<Impl>(model, config)) {}
Engine::~Engine() = default;

RequestId Engine::add(Request request, TokenSink sink) {
  impl_->check_request(request);
  auto s = impl_->new_sequence(request, nullptr);
  const RequestId id = s->id;
  impl_->scheduler.add(std::move(s));
  if (sink) impl_->sinks[id] = std::make_shared<const TokenSink>(std::move(sink));
  impl_->counted.prompt_tokens += int64_t(request.prompt.size());
  return id;
}

std::vector<RequestId> Engine::add_group(const Request& request, int n, TokenSink sink) {
  check(n >= 1 && n <= 16384, "[engine] expected 1 to 16384 samples, got ", n);
  impl_->check_request(request);
  // Samples that drop tokens each hold their own.
  const auto group = cache_form(impl_->config).budget > 0 ? nullptr : std::make_shared<Group>();
  const auto shared = sink ? std::make_shared<const TokenSink>(std::move(sink)) : nullptr;
  std::vector<RequestId> ids;
  Request one = request;
  for (int i = 0; i < n; ++i) {
    one.sample_index = i;
    auto s = impl_->new_sequence(one, group);
    ids.push_back(s->id);
    if (shared) impl_->sinks[s->id] = shared;
    impl_->scheduler.add(std::move(s));
  }
  impl_->counted.prompt_tokens += int64_t(request.prompt.size());
  return ids;
}

void Engine::cancel(RequestId id) {
  if (Sequence* s = impl_->scheduler.find(id)) impl_->scheduler.finish(s);
  // Tokens that this step made already are not given out any more.
  if (impl_->delivering)
    impl_->sinks[id] = nullptr;
  else
    impl_->sinks.erase(id);
}

std::vector<TokenEvent> Engine::step() {
  Impl& m = *impl_;
  check(!m.delivering, "[engine] step() was called by a request's sink, which may add and cancel requests but not step");
  m.follow_weights();
  Tensor logits = std::exchange(m.ahead, {});
  std::vector<PendingSample> samplers;
  if (logits.defined()) samplers = m.scheduler.computed();
  if (samplers.empty()) {  // none was launched ahead, or all of its sequences have ended since
    logits = m.forward();
    samplers = m.scheduler.computed();
  } else {
    ++m.counted.steps;
  }
  std::vector<TokenEvent> events;
  events.reserve(samplers.size());
  m.sample_all(logits, std::move(samplers), events);
  if (guesses_by_model(m.config)) m.runner.draft(m.scheduler);
  if (guesses_by_text(m.config)) m.guess(events);
  m.deliver(events);
  return events;
}

bool Engine::idle() const {
  return impl_->scheduler.idle();
}
model::Transformer& Engine::model() {
  return impl_->model;
}
const EngineConfig& Engine::config() const {
  return impl_->config;
}

EngineStats Engine::stats() const {
  EngineStats s = impl_->counted;
  const Scheduler& scheduler = impl_->scheduler;
  s.preemptions = scheduler.preemptions();
  s.dropped_tokens = scheduler.dropped_tokens();
  s.prefix_hit_tokens = scheduler.prefix_hit_tokens();
  s.replayed_steps = impl_->runner.replayed_steps();
  s.cache_bytes_per_token = impl_->cache_bytes_per_token;
  s.running = scheduler.running();
  s.waiting = scheduler.waiting();
  s.free_blocks = scheduler.blocks().free_blocks();
  s.total_blocks = scheduler.blocks().total_blocks();
  return s;
}

void EngineConfig::visit(Fields& v) {
  v("max_num_seqs", max_num_seqs, "sequences that decode together", Range{1, 1e5});
  v("max_num_batched_tokens", max_num_batched_tokens, "tokens of one step, prefill and decode together (r1 serve: 0 is by device)",
    Range{0, 1e7});
  v("max_model_len", max_model_len, "longest prompt + answer; 0: the model's", Range{0, 1e9});
  v("block_size", block_size, "tokens a cache block (a multiple of 16)", Range{16, 1024});
  v("num_blocks", num_blocks, "cache blocks; 0: as many as kv_cache_memory holds", Range{0, 1e9});
  v("kv_cache_memory", kv_cache_memory,
    "bytes for the cache of all layers; 0: 1 GiB or half of what is left, on a GPU gpu_memory_utilization of what is free", Range{0, 1e13});
  v("gpu_memory_utilization", gpu_memory_utilization, "share of a GPU's free memory that the cache takes when kv_cache_memory is 0",
    Range{0.01, 1});
  v("kv_cache_dtype", kv_cache_dtype,
    "keys and values in the cache: auto is the model's dtype; int8, with a scale a token and head, takes 0.27 of float32's memory, int4, "
    "with a scale for each 32 numbers, 0.16",
    OneOf{"auto", "float32", "bfloat16", "int8", "int4"});
  v("attention_window", attention_window,
    "look back at that many tokens only, so that a sequence's cache is bounded however long it gets; 0: at all", Range{0, 1e9});
  v("attention_sink_tokens", attention_sink_tokens,
    "with attention_window, or kv_eviction window: the first tokens of a sequence, which stay in sight", Range{0, 1e6});
  v("kv_eviction", kv_eviction,
    "which tokens of a long sequence go: none; window: what lies between the first and the last, kv_budget of which stay in sight; "
    "heavy_hitters: when it holds kv_budget tokens, those that were looked at least, of each layer and head",
    OneOf{"none", "window", "heavy_hitters"});
  v("kv_budget", kv_budget,
    "with kv_eviction heavy_hitters: the tokens that a sequence holds at most; with window: those that a token sees, beside which a "
    "sequence "
    "holds those of one step (max_num_batched_tokens)",
    Range{0, 1e9});
  v("enable_prefix_caching", enable_prefix_caching, "share the cache of equal prompt beginnings");
  v("exact", exact, "CPU: log-probabilities are bit for bit what training computes; off: latent attention decodes in its absorbed form");
  v("cuda_graphs", cuda_graphs,
    "GPU: capture decode steps once for each size and replay them, which saves the host's time of every launch");
  v("num_speculative_tokens", num_speculative_tokens,
    "guess that many tokens ahead: same text, fewer steps (1 by the model's own multi-token prediction; up to 8 by ngram)", Range{0, 8});
  v("speculation", speculation,
    "who guesses: mtp, the model's multi-token prediction, or ngram, what followed the last tokens when they came before",
    OneOf{"mtp", "ngram"});
  v("weight_update", weight_update,
    "half-done sequences when the weights change: error, recompute their cache with the new weights, or keep it as it is",
    OneOf{"error", "recompute", "keep"});
}

}  // namespace r1::engine
