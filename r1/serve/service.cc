#include "r1/serve/service.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <unordered_map>

#include <ATen/Parallel.h>

#include "r1/base/file.h"
#include "r1/base/log.h"
#include "r1/base/memory.h"
#include "r1/base/threads.h"
#include "r1/engine/plain_forward.h"
#include "r1/http/error.h"
#include "r1/model/weights_io.h"
#include "r1/serve/fair_queue.h"
#include "r1/serve/job.h"
#include "r1/serve/weight_files.h"

namespace r1::serve {

using http::ApiError;

const engine::SamplingOptions& ServiceConfig::default_sampling() {
  static const engine::SamplingOptions own{};  // OpenAI's: temperature 1, nothing cut
  return own;
}

void ServiceConfig::visit(Fields& v) {
  v.group("", sampling);
  v("max_queue", max_queue, "requests that may wait; more are refused with 429", Range{0, 1e6});
  v("batching_window", batching_window, "seconds that an idle engine waits for more requests before it starts", Range{0, 10});
  v("max_n", max_n, "samples of one request", Range{1, 16384});
  v("max_tokens_default", max_tokens_default, "longest answer of a chat that names none; 0: what the context has left", Range{0, 1e9});
  v("thinking_budget", thinking_budget, "tokens of thought, where a request gives none; -1: no limit", Range{-1, 1e9});
  v("grammar_compile_timeout", grammar_compile_timeout, "seconds that a request's schema or pattern may take to compile", Range{1e-3, 60});
  v("request_timeout", request_timeout, "seconds from a request to the end of its answer, which is cut there; 0: none", Range{0, 1e6});
  v("weight_updates", weight_updates,
    "folder of models that clients may load in place of the served one's weights while it answers; none: they may not");
  v.group("engine", engine);
}

void Histogram::add(double value) {
  size_t i = 0;
  while (i < bounds.size() && value > bounds[i]) ++i;
  ++counts[i];
  sum += value;
}

namespace {

Histogram histogram(std::vector<double> bounds) {
  Histogram h{.bounds = std::move(bounds)};
  h.counts.assign(h.bounds.size() + 1, 0);
  return h;
}

engine::EngineConfig engine_config(const ServiceConfig& config, const model::Transformer& model) {
  engine::EngineConfig c = config.engine;
  // A step is how long a client's leaving may go unnoticed, and others' tokens wait: a quarter of a second at most, as far as this can know.
  if (c.max_num_batched_tokens == ServiceConfig::kByDevice) c.max_num_batched_tokens = model.device().is_cuda() ? 4096 : 256;
  return c;
}

double since(Clock::time_point from, Clock::time_point to = Clock::now()) {
  return std::chrono::duration<double>(to - from).count();
}

// What one engine has counted, beside what others have.
void add_counts(engine::EngineStats& to, const engine::EngineStats& more) {
  to.steps += more.steps;
  to.prompt_tokens += more.prompt_tokens;
  to.prefill_tokens += more.prefill_tokens;
  to.generated_tokens += more.generated_tokens;
  to.preemptions += more.preemptions;
  to.prefix_hit_tokens += more.prefix_hit_tokens;
  to.draft_tokens += more.draft_tokens;
  to.accepted_draft_tokens += more.accepted_draft_tokens;
  to.dropped_tokens += more.dropped_tokens;
  to.replayed_steps += more.replayed_steps;
}

// Why the weights stay as they were, as a client may hear it.
ApiError update_error(const std::exception& error) {
  if (const auto* own = dynamic_cast<const ApiError*>(&error)) return *own;
  const std::string told = str("the weights stay as they were: ", error.what());
  if (dynamic_cast<const Error*>(&error)) return {400, told, "model", "model_not_loaded"};
  return {503, told, "model", "model_not_loaded"};  // no memory, most likely
}

}  // namespace

struct Service::Impl {
  ServedModel served;  // but for its weights, which are `current`
  ServiceConfig config;
  const int64_t places;  // samples that run at a time, whichever weights they have

  // Changed by the engine's thread, under the mutex; others read it under the mutex.
  mutable std::mutex weights_mutex;
  std::shared_ptr<Weights> current;

  int64_t longest;
  Prompts prompts;
  std::string secret;  // of this process: salts can't be chosen to meet another key's

  // What other threads say to the engine's.
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::shared_ptr<Job>> arrived;
  std::vector<Ticket> cancelled;
  std::deque<std::function<void()>> calls;
  bool stopping = false;
  int64_t in_queue = 0;  // arrived and waiting
  Ticket next_ticket = 1;

  // The engine's thread's own.
  FairQueue<std::shared_ptr<Job>> queue;
  std::map<Ticket, std::shared_ptr<Job>> running;
  std::vector<std::shared_ptr<Weights>> retiring;  // those that were current and still answer
  engine::EngineStats gone;                        // counted by engines that are no more

  mutable std::mutex numbers_mutex;
  Numbers numbers;

  std::mutex replacing, updates;  // one at a time
  std::atomic<bool> updating = false, updates_stop = false;
  std::thread updater;

  std::thread thread;

  Impl(const ServedModel& m, const ServiceConfig& c)
      : served(m),
        config(c),
        places(c.engine.max_num_seqs),
        current(std::make_shared<Weights>(m.model, m.path, engine_config(c, *m.model))),
        longest(longest_of(*current)),
        prompts(served, config, longest) {
    served.model.reset();
    std::random_device random;
    for (int i = 0; i < 8; ++i) secret += str(random(), ".");
    const std::vector<double> latency = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5,
                                         0.75,  1,     2.5,  5,    7.5,  10,   20,   40,  80,   160};
    numbers.first_token = numbers.between_tokens = numbers.total = numbers.queued = histogram(latency);
    for (const char* reason : {"stop", "length", "tool_calls", "abort", "error"}) numbers.finished[reason] = 0;
    publish();
    thread = std::thread([this] { run(); });
  }
  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    wake.notify_all();
    thread.join();
  }
  // While the engine's thread still takes calls.
  void end_updates() {
    updates_stop = true;
    const std::lock_guard lock(updates);
    if (updater.joinable()) updater.join();
  }

  // Tokens that a prompt and its answer may have together.
  static int64_t longest_of(const Weights& weights) {
    const engine::EngineConfig& c = weights.engine.config();
    return std::min(c.max_model_len, c.num_blocks * c.block_size);
  }
  std::shared_ptr<Weights> now() const {
    const std::lock_guard lock(weights_mutex);
    return current;
  }
  // Of the engine's thread: those that still answer, the current ones last.
  std::vector<std::shared_ptr<Weights>> all_weights() const {
    std::vector<std::shared_ptr<Weights>> all = retiring;
    all.push_back(current);
    return all;
  }

  void run();
  bool take(std::function<void()>& call);
  void wait_for_company();
  void admit();
  void start(const std::shared_ptr<Job>& job);
  void score();
  void step(Weights& weights);
  void flush();
  std::unique_lock<std::mutex> admission();
  void take_over(std::shared_ptr<Weights> next);
  void let_go();
  void drop(Ticket ticket);
  void not_waiting() {
    const std::lock_guard lock(mutex);
    --in_queue;
  }
  int64_t free_places() const {
    const std::lock_guard lock(numbers_mutex);
    return std::max<int64_t>(0, places - numbers.engine.running - numbers.engine.waiting);
  }
  void end(std::shared_ptr<Job> job, const std::exception* error);
  void time_out();
  void fail_youngest(const Weights& weights, const std::exception& error);
  void fail_all();
  void publish();
  uint64_t salt(const Job& job) const;
  template <class Result>
  Result call(std::function<Result()> work);
};

// A tenant's prefixes are its own: key and salt, with this process's secret, name a place that nobody else can reach.
uint64_t Service::Impl::salt(const Job& job) const {
  const std::string text = secret + std::to_string(job.key().size()) + ":" + job.key() + job.cache_salt();
  return std::stoull(sha256(text).substr(0, 16), nullptr, 16);
}

void Service::Impl::run() {
  at::set_num_threads(num_threads());  // each thread has a count of its own
  while (true) {
    std::function<void()> call;  // one a turn, so that others' tokens come between
    const bool go_on = take(call);
    if (call) call();
    if (!go_on) break;
    time_out();
    wait_for_company();
    admit();
    score();
    for (const auto& weights : all_weights())
      if (!weights->engine.idle()) step(*weights);
    flush();
    let_go();
    publish();
  }
  fail_all();
}

// What others have said since; waits where there is nothing to do. False: the service ends.
bool Service::Impl::take(std::function<void()>& call) {
  std::unique_lock lock(mutex);
  wake.wait(lock,
            [this] { return stopping || !arrived.empty() || !cancelled.empty() || !calls.empty() || !queue.empty() || !running.empty(); });
  for (; !arrived.empty(); arrived.pop_front()) queue.push(arrived.front(), arrived.front()->priority(), arrived.front()->key());
  const std::vector<Ticket> gone = std::exchange(cancelled, {});
  if (!calls.empty()) {
    call = std::move(calls.front());
    calls.pop_front();
  }
  const bool go_on = !stopping;
  lock.unlock();
  for (const Ticket ticket : gone) drop(ticket);
  return go_on;
}

// An engine with nothing to do may wait a little, so that those who come together start together.
void Service::Impl::wait_for_company() {
  if (config.batching_window <= 0 || queue.empty() || !running.empty()) return;
  const auto until = Clock::now() + std::chrono::duration<double>(config.batching_window);
  std::unique_lock lock(mutex);
  wake.wait_until(lock, until, [this] { return stopping || int64_t(queue.size() + arrived.size()) >= places; });
  for (; !arrived.empty(); arrived.pop_front()) queue.push(arrived.front(), arrived.front()->priority(), arrived.front()->key());
}

// The engine gets no more than it can run, so that who comes next is decided here.
void Service::Impl::admit() {
  while (!queue.empty()) {
    int64_t taken = 0;
    for (const auto& weights : all_weights()) {
      const engine::EngineStats stats = weights->engine.stats();
      taken += stats.running + stats.waiting;
    }
    if (taken >= places) return;
    const std::shared_ptr<Job> job = queue.pop();
    not_waiting();
    start(job);
  }
}

void Service::Impl::start(const std::shared_ptr<Job>& job) {
  queue.begin(job->key());
  running[job->ticket()] = job;
  try {
    job->start(current, served, salt(*job));
    queue.charge(job->key(), job->prompt_tokens());
    const std::lock_guard lock(numbers_mutex);
    numbers.prompt_tokens += job->prompt_tokens();
    numbers.queued.add(since(job->arrived, job->started));
  } catch (const std::exception& error) {
    end(job, &error);
  }
}

// One prompt a turn, so that others' tokens come between.
void Service::Impl::score() {
  for (const auto& [ticket, job] : running) {
    try {
      if (job->score_next()) return;
    } catch (const std::exception& error) {
      return end(job, &error);
    }
  }
}

void Service::Impl::step(Weights& weights) {
  try {
    weights.engine.step();
  } catch (const std::exception& error) {
    log_warning("[serve] a step failed: ", error.what());
    fail_youngest(weights, error);
  }
}

// Between two steps. Who waits has not begun, and gets the new ones.
void Service::Impl::take_over(std::shared_ptr<Weights> next) {
  retiring.push_back(current);
  const std::lock_guard lock(weights_mutex);
  current = std::move(next);
}

// Weights that nobody is answered by any more.
void Service::Impl::let_go() {
  const size_t ended = std::erase_if(retiring, [this](const std::shared_ptr<Weights>& weights) {
    if (std::ranges::any_of(running, [&](const auto& entry) { return entry.second->weights() == weights.get(); })) return false;
    add_counts(gone, weights->engine.stats());
    log_info("[serve] the weights of version ", weights->model->version(), " have ended their last answer");
    return true;
  });
  if (ended > 0) give_freed_memory_back();  // of weights that are no more: half a gigabyte an update stays with the process else
}

void Service::Impl::flush() {
  const auto now = Clock::now();
  for (auto it = running.begin(); it != running.end();) {
    const std::shared_ptr<Job> job = (it++)->second;  // end() takes it out
    if (job->new_tokens > 0) {
      const int64_t made = std::exchange(job->new_tokens, 0);
      queue.charge(job->key(), made);
      const std::lock_guard lock(numbers_mutex);
      numbers.generated_tokens += made;
      if (job->first_token == Clock::time_point{}) {
        job->first_token = now;
        numbers.first_token.add(since(job->arrived, now));
      } else {
        numbers.between_tokens.add(since(job->last_token, now));
      }
      job->last_token = now;
    }
    try {
      if (job->flush()) end(job, nullptr);
    } catch (const std::exception& error) {
      end(job, &error);
    }
  }
}

// A request is over: its writer has had its end, or hears of the error now.
void Service::Impl::end(std::shared_ptr<Job> job, const std::exception* error) {
  running.erase(job->ticket());
  queue.end(job->key());
  {
    const std::lock_guard lock(numbers_mutex);  // counted before it is told: who hears of it finds it there
    if (error) ++numbers.finished["error"];
    for (const std::string& reason : job->reasons()) ++numbers.finished[reason];
    if (!error) numbers.total.add(since(job->arrived));
  }
  if (error) {
    try {
      job->fail(*error);
    } catch (const std::exception& again) {
      log_warning("[serve] an error could not be told to its client: ", again.what());
    }
  }
  job->drop();
}

void Service::Impl::drop(Ticket ticket) {
  if (const auto it = running.find(ticket); it != running.end()) {
    const std::shared_ptr<Job> job = it->second;
    running.erase(it);
    queue.end(job->key());
    job->drop();
  } else if (queue.remove_if([&](const auto& job) { return job->ticket() == ticket; })) {
    not_waiting();
  } else {
    return;
  }
  const std::lock_guard lock(numbers_mutex);
  ++numbers.finished["abort"];
}

void Service::Impl::time_out() {
  if (config.request_timeout <= 0) return;
  const ApiError error(503, str("the request took longer than request_timeout (", config.request_timeout, " s)"), "", "timeout");
  std::vector<std::shared_ptr<Job>> late;
  const auto too_late = [this](const auto& job) { return since(job->arrived) > config.request_timeout; };
  for (const auto& [ticket, job] : running)
    if (too_late(job)) late.push_back(job);
  for (const auto& job : late) end(job, &error);
  while (const std::shared_ptr<Job> job = queue.remove_if(too_late)) {
    not_waiting();
    {
      const std::lock_guard lock(numbers_mutex);
      ++numbers.finished["error"];
    }
    job->fail(error);
  }
}

// Out of memory, or a number that is none: nothing says whose fault it is, and the next step would meet it again. The youngest makes room.
void Service::Impl::fail_youngest(const Weights& weights, const std::exception& error) {
  const auto at = std::find_if(running.rbegin(), running.rend(), [&](const auto& entry) { return entry.second->weights() == &weights; });
  if (at == running.rend()) return;
  const ApiError told(500, str("the step failed: ", error.what()));
  end(at->second, &told);
}

void Service::Impl::fail_all() {
  const ApiError error(503, "the server is stopping", "", "stopping");
  while (!running.empty()) end(running.begin()->second, &error);
  std::deque<std::function<void()>> todo;
  {
    const std::lock_guard lock(mutex);
    for (; !arrived.empty(); arrived.pop_front()) queue.push(arrived.front(), 0, arrived.front()->key());
    todo.swap(calls);
  }
  for (; !queue.empty();) queue.pop()->fail(error);
  for (auto& task : todo) task();  // who waits for them must not wait for ever
}

void Service::Impl::publish() {
  engine::EngineStats stats = current->engine.stats();
  add_counts(stats, gone);
  for (const auto& weights : retiring) {
    const engine::EngineStats old = weights->engine.stats();
    add_counts(stats, old);
    stats.running += old.running;
    stats.waiting += old.waiting;
  }
  const std::lock_guard lock(numbers_mutex);
  numbers.engine = stats;
  numbers.weights_version = current->model->version();
  numbers.old_weights = int64_t(retiring.size());
  numbers.running = int64_t(running.size());
  numbers.kv_usage = stats.total_blocks > 0 ? 1 - double(stats.free_blocks) / double(stats.total_blocks) : 0;
  numbers.slots.clear();
  for (const auto& [ticket, job] : running) job->add_slots(numbers.slots);
}

// Between two steps of the engine's thread; waits for it.
template <class Result>
Result Service::Impl::call(std::function<Result()> work) {
  auto promise = std::make_shared<std::promise<Result>>();
  std::future<Result> result = promise->get_future();
  {
    const std::lock_guard lock(mutex);
    if (stopping) throw ApiError(503, "the server is stopping", "", "stopping");
    calls.emplace_back([promise, work = std::move(work)] {
      try {
        promise->set_value(work());
      } catch (...) {
        promise->set_exception(std::current_exception());
      }
    });
  }
  wake.notify_one();
  return result.get();
}

Service::Service(const ServedModel& model, const ServiceConfig& config) : impl_(std::make_unique<Impl>(model, config)) {}
Service::~Service() {
  impl_->end_updates();
}

// Takes the service's lock. Refuses who comes while it ends, or is as full as it may be.
std::unique_lock<std::mutex> Service::Impl::admission() {
  std::unique_lock lock(mutex);
  if (stopping) throw ApiError(503, "the server is stopping", "", "stopping");
  // Who finds a free place does not wait, though nobody has led him there yet.
  if (in_queue >= config.max_queue + free_places()) {
    const std::lock_guard numbers_lock(numbers_mutex);
    ++numbers.rejected;
    ApiError error(429, str(in_queue, " requests are waiting, more than max_queue (", config.max_queue, "); try again"), "", "queue_full");
    error.retry_after = 1;
    throw error;
  }
  return lock;
}

Service::Ticket Service::submit(api::Generation generation, const std::string& key) {
  impl_->admission();  // who is refused costs nothing: templates, tokens and grammars take the time of those who are answered
  Prepared prepared = impl_->prompts.prepare(generation.request);
  const std::unique_lock lock = impl_->admission();
  const Ticket ticket = impl_->next_ticket++;
  impl_->arrived.push_back(std::make_shared<Job>(ticket, key, std::move(prepared), std::move(generation)));
  ++impl_->in_queue;
  impl_->wake.notify_one();
  return ticket;
}

void Service::cancel(Ticket ticket) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->cancelled.push_back(ticket);
  }
  impl_->wake.notify_one();
}

namespace {

void check_wanted(const Service::Wanted& wanted) {
  if (wanted && !wanted()) throw ApiError(499, "the client has gone");
}

void check_rows(const std::vector<std::vector<text::TokenId>>& rows, const model::Transformer& model, const char* field) {
  const int64_t vocab = model.config().vocab_size, longest = model.config().max_position_embeddings;
  for (const auto& ids : rows) {
    if (ids.empty()) throw ApiError(400, "a text without tokens has nothing to compute", field);
    if (int64_t(ids.size()) > longest)
      throw ApiError(400, str("a text has ", ids.size(), " tokens, the context holds ", longest), field, "context_length_exceeded");
    for (const text::TokenId id : ids)
      if (id < 0 || id >= vocab) throw ApiError(400, str("token id ", id, " is outside the model's vocabulary of ", vocab), field);
  }
}

}  // namespace

std::vector<std::vector<float>> Service::embed(const std::vector<std::vector<text::TokenId>>& prompts, const Wanted& wanted) {
  const auto model = impl_->now()->model;  // of all of them, whatever takes its place meanwhile
  check_rows(prompts, *model, "input");
  std::vector<std::vector<float>> out;
  for (const auto& ids : prompts) {
    check_wanted(wanted);
    out.push_back(impl_->call<std::vector<float>>([&] { return engine::mean_hidden(*model, ids); }));
  }
  return out;
}

std::vector<std::vector<float>> Service::logits(const std::vector<std::vector<text::TokenId>>& rows, const Wanted& wanted) {
  const auto model = impl_->now()->model;
  check_rows(rows, *model, "input_ids");
  std::vector<std::vector<float>> out;
  for (const auto& ids : rows) {
    check_wanted(wanted);
    out.push_back(impl_->call<std::vector<float>>([&] { return engine::all_logits(*model, ids); }));
  }
  return out;
}

int64_t Service::replace_weights(std::shared_ptr<model::Transformer> model, const std::string& path) {
  const std::lock_guard lock(impl_->replacing);
  const std::shared_ptr<Weights> old = impl_->now();
  const int64_t vocab = old->model->config().vocab_size;
  if (model->config().vocab_size != vocab)
    throw ApiError(400, str("the weights have a vocabulary of ", model->config().vocab_size, " tokens, the served ones of ", vocab),
                   "model", "other_vocabulary");
  engine::EngineConfig config = engine_config(impl_->config, *model);
  config.max_model_len = old->engine.config().max_model_len;
  if (model->config().max_position_embeddings < config.max_model_len)
    throw ApiError(400,
                   str("the weights have a context of ", model->config().max_position_embeddings, " tokens, clients were promised ",
                       config.max_model_len, " (--max_model_len)"),
                   "model", "context_too_short");
  // As much as the first has had: what a device has left says nothing while both are there.
  config.kv_cache_memory = old->cache_bytes;
  while (model->version() <= old->model->version()) model->bump_version();
  auto next = std::make_shared<Weights>(std::move(model), path, config);
  if (Impl::longest_of(*next) < impl_->longest)
    throw ApiError(400,
                   str("the weights' cache holds ", Impl::longest_of(*next), " tokens, clients were promised ", impl_->longest,
                       "; raise --engine.kv_cache_memory"),
                   "model", "context_too_short");
  const int64_t version = next->model->version();
  impl_->call<bool>([this, &next] {
    impl_->take_over(std::move(next));
    return true;
  });
  log_info("[serve] weights of version ", version, " answer from here on: ", path);
  return version;
}

void Service::update_weights(const std::string& name, std::function<void(const WeightUpdate&, std::exception_ptr)> done) {
  if (impl_->config.weight_updates.empty())
    throw ApiError(403, "this server's weights stay as they are; started with --weight_updates FOLDER it loads models of that folder", "",
                   "weight_updates_off");
  const std::lock_guard lock(impl_->updates);
  if (impl_->updates_stop) throw ApiError(503, "the server is stopping", "", "stopping");
  if (impl_->updating.exchange(true)) throw ApiError(409, "other weights are being loaded; ask again when they are there", "", "updating");
  if (impl_->updater.joinable()) impl_->updater.join();  // it has said so, and has nothing more to do
  impl_->updater = std::thread([this, name, done = std::move(done)] {
    WeightUpdate update;
    std::exception_ptr error;
    try {
      const auto begun = Clock::now();
      const ServedModel old = served();
      const auto found = name.empty() ? std::filesystem::path(old.path) : find_weights(impl_->config.weight_updates, name);
      update.path = model::find_model(found).string();
      update.version = replace_weights(load_weights(update.path, old, impl_->now()->cache_bytes, impl_->updates_stop), update.path);
      update.seconds = since(begun);
    } catch (const std::exception& e) {
      const ApiError told = update_error(e);
      log_warning("[serve] ", told.what());
      error = std::make_exception_ptr(told);
    }
    give_freed_memory_back();
    impl_->updating = false;
    done(update, error);
  });
}

std::vector<text::TokenId> Service::encode(const std::string& text, bool add_special, bool parse_special) const {
  return impl_->prompts.encode(text, add_special, parse_special);
}

std::string Service::render(const api::GenerationRequest& request) const {
  return impl_->served.tokenizer->decode(impl_->prompts.ids(request, 0));
}

std::vector<text::TokenId> Service::prompt_ids(const api::GenerationRequest& request, size_t prompt) const {
  return impl_->prompts.ids(request, prompt);
}

ServedModel Service::served() const {
  ServedModel out = impl_->served;
  const std::shared_ptr<Weights> now = impl_->now();
  out.model = now->model;
  out.path = now->path;
  return out;
}
const ServiceConfig& Service::config() const {
  return impl_->config;
}
int64_t Service::max_model_len() const {
  return impl_->longest;
}

Numbers Service::numbers() const {
  Numbers out;
  {
    const std::lock_guard lock(impl_->numbers_mutex);
    out = impl_->numbers;
  }
  const std::lock_guard lock(impl_->mutex);
  out.waiting = impl_->in_queue;
  return out;
}

}  // namespace r1::serve
