// What does HTTP cost, and what does the server hold out? One JSON object a line; clients and server on the same machine.
//   streams   16 event streams at a time: tokens/s over those of the engine called directly, the same texts; time to the first token
//   idle      4,000 event streams, one event a second each: bytes of memory a stream, delay of an event (fault S1; no model)
//   aborts    1,000 clients that leave at a random byte of a request or stream: until their slot is free, blocks that are not (S2)
//   overload  requests that come at 1, 2 and 4 times the rate that can be served: answers/s over the best rate, refusals, recovery (S5)
//   canaries  --requests of all kinds at once in a tight cache, some of whose clients leave: each text is the one that its request gets
//             alone (S7)
//   updates   --updates of the weights under load: answers that broke, the longest wait for a token (S9)
//   turns     support dialogues in the model's words: from a message to the first word of the reply; needs --intents and --domain
//   soak      requests of all kinds for --seconds: growth of memory, files and threads (S8)
// bench_serve_load [streams,idle,...] --model M [--tokens 64] [--concurrency 16] [--repeat 3] [--seconds 60]
// bench_serve_load turns --model M --intents FOLDER --domain FILE.yaml --messages FILE.csv [--turns 64]
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <thread>

#include "bench/bench.h"
#include "r1/api/intent_data.h"
#include "r1/base/rng.h"
#include "r1/engine/completion.h"
#include "r1/eval/load.h"
#include "r1/http/server.h"
#include "r1/model/weights_io.h"
#include "r1/serve/dialogue_routes.h"
#include "r1/serve/routes.h"
#include "tests/http/client.h"

namespace {

using namespace r1;
using http::test::Client;
using Clock = std::chrono::steady_clock;

double since(Clock::time_point begun) {
  return std::chrono::duration<double>(Clock::now() - begun).count();
}

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[std::min(values.size() - 1, size_t(q * double(values.size())))];
}

struct Usage {
  int64_t rss = 0, files = 0, threads = 0;
};

Usage usage() {
  Usage out;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) out.rss = std::stoll(line.substr(6)) << 10;
    if (line.starts_with("Threads:")) out.threads = std::stoll(line.substr(8));
  }
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++out.files;
  return out;
}

constexpr int kIdleEvents = 5;
double clock_seconds() {
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

// Clients that each take the next number until there are none.
template <class Work>
void at_once(int clients, int total, Work work) {
  std::atomic<int> next = 0;
  std::vector<std::thread> threads;
  for (int c = 0; c < clients; ++c)
    threads.emplace_back([&] {
      for (int i; (i = next++) < total;) work(i);
    });
  for (std::thread& t : threads) t.join();
}

std::string prompt_of(int i) {
  static const char* const kSubjects[] = {"the sea",      "a small town", "an old clock", "the first snow",
                                          "a long train", "two brothers", "a garden",     "the last bus"};
  return str("Story number ", i, ". It is about ", kSubjects[i % 8], ". Once upon a time");
}

Json completion_body(int i, int64_t tokens, bool stream) {
  return {{"model", "m"}, {"prompt", prompt_of(i)}, {"max_tokens", tokens}, {"temperature", 0}, {"ignore_eos", true}, {"stream", stream}};
}

struct Streamed {
  std::string text;
  double first = 0;
};

Streamed stream(int port, const Json& body) {
  Client client(port, 600);
  const auto begun = Clock::now();
  client.send(Client::request_text("POST", "/v1/completions", dump_json(body), {{"Content-Type", "application/json"}}));
  const auto head = client.head();
  if (head.status != 200) fail("status ", head.status, ": ", client.receive());
  Streamed out;
  while (const auto event = client.event()) {
    if (event->data == "[DONE]") continue;
    const Json json = parse_json(event->data, "event");
    if (json.contains("error")) fail(event->data);
    if (json["choices"].empty()) continue;
    if (out.first == 0) out.first = since(begun);
    out.text += json["choices"][0]["text"].get<std::string>();
  }
  return out;
}

class Bench {
 public:
  explicit Bench(const bench::Arguments& arguments)
      : arguments_(arguments), tokens_(arguments.number("tokens")), concurrency_(int(arguments.number("concurrency"))) {}

  void load() {
    if (served_.model) return;
    eval::ModelArgs args;
    args.model_name_or_path = arguments_.text("model");
    loaded_ = eval::load(args, at::kCPU);
    config_.sampling = {};
    config_.engine.max_num_seqs = concurrency_;
    config_.engine.max_model_len = std::min<int64_t>(2048, loaded_.model->config().max_position_embeddings);
    config_.engine.max_num_batched_tokens = 256;
    served_ = {.name = "m",
               .path = arguments_.text("model"),
               .model = std::move(loaded_.model),
               .tokenizer = loaded_.tokenizer.get(),
               .chat = loaded_.chat.get(),
               .stop_ids = loaded_.stop_ids};
  }

  void streams();
  void idle();
  void aborts();
  void overload();
  void canaries();
  void updates();
  void turns();
  void soak();

 private:
  struct Running {
    serve::Service service;
    http::Server server;
    static http::Router routes(serve::Service& service) {
      http::Router router;
      serve::add_routes(router, service, {.facts = {.name = "m"}, .version = "bench"});
      return router;
    }
    Running(const serve::ServedModel& model, const serve::ServiceConfig& config)
        : service(model, config), server({.port = 0, .workers = 2}, routes(service)) {}
  };
  // Until nobody runs; seconds that took.
  static double quiet(const serve::Service& service) {
    const auto begun = Clock::now();
    while (true) {
      const serve::Numbers n = service.numbers();
      if (n.running + n.waiting + n.engine.running + n.engine.waiting == 0) return since(begun);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  const bench::Arguments& arguments_;
  const int64_t tokens_;
  const int concurrency_;
  eval::LoadedModel loaded_;
  serve::ServedModel served_;
  serve::ServiceConfig config_;
};

void Bench::streams() {
  load();
  std::vector<double> ratios, engines, servers, firsts;
  for (int64_t round = 0; round < arguments_.number("repeat"); ++round) {
    std::vector<std::string> direct(size_t(concurrency_), ""), through(size_t(concurrency_), "");
    const auto by_engine = [&] {
      engine::Engine engine(*served_.model, config_.engine);
      std::vector<engine::CompletionRequest> requests;
      for (int i = 0; i < concurrency_; ++i)
        requests.push_back(
            {.prompt = loaded_.tokenizer->encode(prompt_of(i), {.parse_special = true, .add_special_tokens = loaded_.tokenizer->add_bos()}),
             .sampling = {.temperature = 0, .max_new_tokens = tokens_}});
      const auto begun = Clock::now();
      const auto done = engine::complete(engine, *loaded_.tokenizer, requests);
      engines.push_back(double(concurrency_ * tokens_) / since(begun));
      for (int i = 0; i < concurrency_; ++i) direct[size_t(i)] = done[size_t(i)][0].text;
    };
    const auto by_server = [&] {
      Running running(served_, config_);
      const auto begun = Clock::now();
      std::vector<double> first(size_t(concurrency_), 0);
      at_once(concurrency_, concurrency_, [&](int i) {
        const Streamed s = stream(running.server.port(), completion_body(i, tokens_, true));
        through[size_t(i)] = s.text;
        first[size_t(i)] = s.first;
      });
      servers.push_back(double(concurrency_ * tokens_) / since(begun));
      firsts.insert(firsts.end(), first.begin(), first.end());
    };
    if (round % 2) {
      by_server();
      by_engine();
    } else {
      by_engine();
      by_server();
    }
    for (size_t i = 0; i < direct.size(); ++i)
      check(direct[i] == through[i], "prompt ", i, ": the engine's text is ", printable(direct[i]), ", the server's ",
            printable(through[i]));
    ratios.push_back(servers.back() / engines.back());
  }
  bench::print({{"bench", "serve_load/streams"},
                {"concurrency", concurrency_},
                {"tokens", tokens_},
                {"engine_tokens_per_second", quantile(engines, 0.5)},
                {"server_tokens_per_second", quantile(servers, 0.5)},
                {"ratio", quantile(ratios, 0.5)},
                {"ratio_min", quantile(ratios, 0)},
                {"ratio_max", quantile(ratios, 1)},
                {"first_token_p50", quantile(firsts, 0.5)},
                {"first_token_p99", quantile(firsts, 0.99)}});
}

// The clients of idle(), in a process of their own, so that the memory that is counted is the server's: the port comes by a pipe, the result goes
// back by another.
Json idle_clients(int count, int port) {
  std::vector<Client> clients;
  for (int i = 0; i < count; ++i) {
    clients.emplace_back(port, 120);
    clients.back().send(Client::request_text("GET", "/stream"));
  }
  for (Client& c : clients) c.head();
  std::vector<double> delays;
  for (int round = 0; round < kIdleEvents; ++round)
    for (Client& c : clients) {
      const auto event = c.event();
      check(event.has_value(), "a stream ended");
      delays.push_back(clock_seconds() - std::stod(event->data));
    }
  return {{"events", delays.size()}, {"delay_p50", quantile(delays, 0.5)}, {"delay_p99", quantile(delays, 0.99)}};
}

// Streams that say something now and then: what each costs while it waits.
void Bench::idle() {
  const int count = int(arguments_.number("idle_streams"));
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  check(int64_t(files.rlim_cur) > count + 100, "idle: ", count, " streams need ", count + 100, " open files, the limit is ",
        files.rlim_cur);
  int to[2], from[2];
  check(pipe(to) == 0 && pipe(from) == 0, "no pipe");
  const pid_t child = fork();
  check(child >= 0, "no process for the clients");
  if (child == 0) {
    int port = 0;
    if (read(to[0], &port, sizeof port) != sizeof port) _exit(1);
    try {
      const std::string line = dump_json(idle_clients(count, port));
      _exit(write(from[1], line.data(), line.size()) == ssize_t(line.size()) ? 0 : 1);
    } catch (const std::exception& e) {
      std::fprintf(stderr, "%s\n", e.what());
      _exit(1);
    }
  }
  close(from[1]);
  std::mutex mutex;
  std::vector<http::ResponderPtr> open;
  http::Router router;
  router.get("/stream", [&](const http::RequestPtr&, const http::ResponderPtr& responder) {
    responder->begin(200, "text/event-stream");
    const std::lock_guard lock(mutex);
    open.push_back(responder);
  });
  http::Server server({.port = 0, .max_connections = count + 10, .max_connections_per_ip = count + 10}, std::move(router));
  const int64_t before = usage().rss;
  const int port = server.port();
  check(write(to[1], &port, sizeof port) == sizeof port, "no clients");
  for (size_t now = 0; now < size_t(count);) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    check(waitpid(child, nullptr, WNOHANG) == 0, "the clients failed");
    const std::lock_guard lock(mutex);
    now = open.size();
  }
  for (int round = 0; round < kIdleEvents; ++round) {
    const auto next = Clock::now() + std::chrono::seconds(1);
    for (const auto& responder : open) responder->write(http::sse(std::to_string(clock_seconds())));
    std::this_thread::sleep_until(next);
  }
  const int64_t bytes = usage().rss - before;
  std::string line;
  char part[4096];
  for (ssize_t n; (n = read(from[0], part, sizeof part)) > 0;) line.append(part, size_t(n));
  waitpid(child, nullptr, 0);
  bench::print(
      {{"bench", "serve_load/idle"}, {"streams", count}, {"bytes_per_stream", bytes / count}, {"clients", parse_json(line, "clients")}});
}

void Bench::aborts() {
  load();
  serve::ServiceConfig config = config_;
  config.engine.enable_prefix_caching = false;
  config.max_queue = 100'000;
  Running running(served_, config);
  const int64_t free = running.service.numbers().engine.free_blocks;
  std::vector<double> freed;
  std::mutex mutex;
  const int total = int(arguments_.number("aborts"));
  at_once(8, total, [&](int i) {
    Rng rng{uint64_t(i) + 1};
    const std::string text = Client::request_text("POST", "/v1/completions", dump_json(completion_body(i, 400, i % 2 == 0)));
    Client client(running.server.port(), 120);
    // A third leaves within the request, a third at once after it, a third some bytes into the answer.
    const int kind = i % 3;
    client.send(kind == 0 ? text.substr(0, size_t(rng.uniform() * double(text.size()))) : text);
    if (kind == 2 && i % 2 == 0)
      for (int64_t left = int64_t(rng.uniform() * 2000); left > 0;) left -= int64_t(client.receive().size()) + 1;
    client.abort();
  });
  // The last to leave: how long until nobody is left.
  const double last = quiet(running.service);
  // One at a time, the moment between leaving and the free slot.
  for (int i = 0; i < 50; ++i) {
    Client client(running.server.port(), 120);
    client.send(Client::request_text("POST", "/v1/completions", dump_json(completion_body(i, 400, true))));
    client.head();
    client.event();
    client.abort();
    freed.push_back(quiet(running.service));
  }
  const serve::Numbers n = running.service.numbers();
  bench::print({{"bench", "serve_load/aborts"},
                {"aborts", total},
                {"quiet_after_seconds", last},
                {"freed_p50", quantile(freed, 0.5)},
                {"freed_max", quantile(freed, 1)},
                {"blocks_missing", free - n.engine.free_blocks},
                {"slots", n.slots.size()}});
  check(free == n.engine.free_blocks && n.slots.empty(), "something was not given back");
}

// Requests that come at a given rate, whoever is still waiting: what a crowd does whose members know nothing of each other. Each is asked once.
struct Offered {
  double rate = 0, seconds = 0;
  int64_t asked = 0, answered = 0, refused = 0, without_hint = 0, late = 0;
  std::vector<double> refusals;  // seconds until one was told

  double answers_per_second() const { return double(answered) / seconds; }
  Json json(double best) const {
    return {{"asked_per_second", rate},
            {"asked", asked},
            {"answered", answered},
            {"answers_per_second", answers_per_second()},
            {"goodput_over_best", answers_per_second() / best},
            {"refused", refused},
            {"refused_without_retry_after", without_hint},
            {"refusal_ms_p50", 1e3 * quantile(refusals, 0.5)},
            {"refusal_ms_p99", 1e3 * quantile(refusals, 0.99)},
            {"asked_late", late}};
  }
};

Offered offer(int port, double rate, double seconds, int clients, int64_t tokens) {
  Rng rng{uint64_t(rate * 1000)};
  std::vector<double> arrivals;  // of a Poisson process
  for (double at = 0; (at += -std::log(1 - rng.uniform()) / rate) < seconds;) arrivals.push_back(at);
  Offered out{.rate = rate, .asked = int64_t(arrivals.size())};
  std::mutex mutex;
  std::atomic<int64_t> answered_in_time = 0;
  const auto begun = Clock::now();
  std::atomic<size_t> next = 0;
  std::vector<std::thread> threads;
  for (int c = 0; c < clients; ++c)
    threads.emplace_back([&] {
      Client client(port, 600);
      for (size_t i; (i = next++) < arrivals.size();) {
        std::this_thread::sleep_until(begun + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(arrivals[i])));
        const double delay = since(begun) - arrivals[i];
        const auto asked = Clock::now();
        const auto answer = client.post("/v1/completions", dump_json(completion_body(int(i), tokens, false)));
        if (answer.status == 200 && since(begun) < seconds) ++answered_in_time;
        const std::lock_guard lock(mutex);
        out.late += delay > 0.1;
        if (answer.status == 200) continue;
        check(answer.status == 429 || answer.status == 503, "status ", answer.status, ": ", answer.body);
        ++out.refused;
        out.without_hint += answer.header("retry-after").empty();
        out.refusals.push_back(since(asked));
      }
    });
  for (std::thread& t : threads) t.join();
  out.answered = answered_in_time;
  out.seconds = seconds;
  return out;
}

void Bench::overload() {
  load();
  serve::ServiceConfig config = config_;
  config.max_queue = 16;
  config.engine.max_num_seqs = 8;
  const int held = int(config.max_queue);  // twice as many as run, and none of them is ever refused
  Running running(served_, config);
  const double seconds = arguments_.real("seconds");
  constexpr int64_t kTokens = 16;
  // The best rate: always somebody waiting, nobody refused.
  std::atomic<int64_t> done = 0;
  const auto begun = Clock::now();
  std::vector<std::thread> threads;
  for (int c = 0; c < held; ++c)
    threads.emplace_back([&, c] {
      Client client(running.server.port(), 600);
      for (int i = c; since(begun) < seconds; i += held) {
        const auto answer = client.post("/v1/completions", dump_json(completion_body(i, kTokens, false)));
        check(answer.status == 200, "status ", answer.status, ": ", answer.body);
        if (since(begun) < seconds) ++done;
      }
    });
  for (std::thread& t : threads) t.join();
  const double best = double(done) / seconds;
  Json loads = Json::array();
  for (const double times : {1.0, 2.0, 4.0}) {
    quiet(running.service);
    loads.push_back(offer(running.server.port(), times * best, seconds, 64, kTokens).json(best));
    loads.back()["times"] = times;
  }
  const auto after = Clock::now();
  stream(running.server.port(), completion_body(1, 1, true));
  bench::print({{"bench", "serve_load/overload"},
                {"seconds", seconds},
                {"best_answers_per_second", best},
                {"loads", loads},
                {"recovered_after_seconds", since(after)}});
}

// ---- whose text is it

// What each kind of request gets when it is alone, and how it is asked for.
struct Canary {
  Json body;
  std::vector<std::string> texts;  // of its samples
};

std::vector<std::string> texts_of(const Json& answer) {
  std::vector<std::string> texts;
  for (const Json& choice : answer["choices"])
    texts.push_back(choice["text"].get<std::string>() + " [" + choice["finish_reason"].get<std::string>() + "]");
  return texts;
}

// Beginnings that several share, others that nobody does; greedy and drawn, one sample and several, stopped and held to a pattern.
Json canary_body(int kind, int64_t tokens) {
  Json body = completion_body(kind, 4 + tokens * (kind % 4) / 4, false);
  if (kind % 3 == 0) body["prompt"] = str("The same long beginning for many, as a system prompt is. ", prompt_of(kind));
  if (kind % 2) body["temperature"] = 1.0;
  body["seed"] = kind;
  body["n"] = 1 + kind % 3;
  if (kind % 5 == 0) body["stop"] = {"the", "."};
  if (kind % 7 == 0) body["structured_outputs"] = {{"regex", "[a-z]{3,8} [0-9]{2,4}"}}, body.erase("ignore_eos");
  if (kind % 4 == 0) body["cache_salt"] = str("salt", kind % 8);
  return body;
}

// A whole answer's texts, whether it comes in one or in events; nothing if its client left before its end.
std::optional<std::vector<std::string>> ask(Client& client, Json body, bool streamed, int leave_after) {
  body["stream"] = streamed;
  client.send(Client::request_text("POST", "/v1/completions", dump_json(body), {{"Content-Type", "application/json"}}));
  if (!streamed && leave_after == 0) {
    const auto answer = client.answer();
    check(answer.status == 200, "status ", answer.status, ": ", answer.body);
    return texts_of(parse_json(answer.body, "answer"));
  }
  if (!streamed) return std::nullopt;
  check(client.head().status == 200, "a stream was refused");
  std::vector<std::string> texts(body["n"].get<size_t>());
  for (int events = 0; const auto event = client.event(); ++events) {
    if (leave_after > 0 && events >= leave_after) return std::nullopt;
    if (event->data == "[DONE]") continue;
    const Json json = parse_json(event->data, "event");
    check(!json.contains("error"), event->data);
    for (const Json& choice : json["choices"]) {
      std::string& text = texts.at(choice["index"].get<size_t>());
      text += choice["text"].get<std::string>();
      if (choice["finish_reason"].is_string()) text += " [" + choice["finish_reason"].get<std::string>() + "]";
    }
  }
  return texts;
}

void Bench::canaries() {
  load();
  serve::ServiceConfig config = config_;
  config.max_queue = 100'000;
  config.engine.num_blocks = 2 * concurrency_;  // tight: some must give way
  Running running(served_, config);
  constexpr int kKinds = 84;
  std::vector<Canary> kinds;
  for (int kind = 0; kind < kKinds; ++kind) {
    Client client(running.server.port(), 600);
    Canary canary{.body = canary_body(kind, tokens_), .texts = {}};
    canary.texts = *ask(client, canary.body, false, 0);
    kinds.push_back(std::move(canary));
  }
  std::atomic<int64_t> compared = 0, left = 0, foreign = 0;
  std::mutex mutex;
  Json examples = Json::array();
  const int total = int(arguments_.number("requests"));
  const auto begun = Clock::now();
  at_once(2 * concurrency_, total, [&](int i) {
    Rng rng{uint64_t(i) + 1};
    const Canary& canary = kinds[size_t(rng.uniform() * kKinds)];
    const bool streamed = i % 2 == 0;
    const int leave_after = i % 10 < 2 ? 1 + int(rng.uniform() * 6) : 0;
    Client client(running.server.port(), 600);
    const auto texts = ask(client, canary.body, streamed, leave_after);
    if (!texts) {
      client.abort();
      ++left;
      return;
    }
    ++compared;
    if (*texts == canary.texts) return;
    ++foreign;
    const std::lock_guard lock(mutex);
    if (examples.size() < 5) examples.push_back({{"asked", canary.body}, {"alone", canary.texts}, {"among_others", *texts}});
  });
  const engine::EngineStats stats = running.service.numbers().engine;
  Json line = {{"bench", "serve_load/canaries"},
               {"requests", total},
               {"compared", compared.load()},
               {"clients_left", left.load()},
               {"foreign", foreign.load()},
               {"preemptions", stats.preemptions},
               {"prefix_hit_tokens", stats.prefix_hit_tokens},
               {"seconds", since(begun)}};
  if (!examples.empty()) line["examples"] = examples;
  bench::print(line);
  check(foreign == 0, "an answer is not its request's own");
  check(stats.preemptions > 0, "nobody had to give way: raise --tokens or lower --concurrency");
}

// ---- other weights

// The same weights from two folders by turns: what it costs those who are being answered. (Whose words they get is a test's:
// tests/serve/weight_update_test.cc.)
void Bench::updates() {
  load();
  const auto folder = std::filesystem::temp_directory_path() / str("r1_bench_updates_", ::getpid());
  std::filesystem::create_directories(folder);
  model::save_model(*served_.model, folder / "a", at::kFloat);
  std::filesystem::copy(folder / "a", folder / "b");
  serve::ServiceConfig config = config_;
  config.max_queue = 100'000;
  config.weight_updates = folder.string();
  Running running(served_, config);
  std::atomic<bool> stop = false;
  std::atomic<int64_t> answered = 0, broken = 0, tokens = 0;
  std::mutex mutex;
  std::vector<double> gaps;
  std::vector<std::thread> threads;
  for (int c = 0; c < concurrency_; ++c)
    threads.emplace_back([&, c] {
      for (int i = c; !stop; i += concurrency_) {
        Client client(running.server.port(), 600);
        client.send(Client::request_text("POST", "/v1/completions", dump_json(completion_body(i, tokens_, true))));
        bool whole = client.head().status == 200;
        int64_t words = 0;
        for (auto last = Clock::now(); const auto event = client.event(); last = Clock::now()) {
          whole &= event->data.find("\"error\"") == std::string::npos;
          ++words;
          const std::lock_guard lock(mutex);
          gaps.push_back(since(last));
        }
        ++(whole ? answered : broken);
        tokens += words;
      }
    });
  std::vector<double> seconds;
  const int64_t total = arguments_.number("updates");
  const auto begun = Clock::now();
  for (int64_t i = 0; i < total; ++i) {
    Client client(running.server.port(), 600);
    const auto answer = client.post("/update_weights_from_disk", dump_json(Json{{"model_path", i % 2 ? "a" : "b"}}));
    check(answer.status == 200, "status ", answer.status, ": ", answer.body);
    seconds.push_back(parse_json(answer.body, "answer")["seconds"].get<double>());
  }
  const double took = since(begun);
  stop = true;
  for (std::thread& t : threads) t.join();
  quiet(running.service);
  std::filesystem::remove_all(folder);
  bench::print({{"bench", "serve_load/updates"},
                {"updates", total},
                {"seconds", took},
                {"update_seconds_p50", quantile(seconds, 0.5)},
                {"update_seconds_max", quantile(seconds, 1)},
                {"answered", answered.load()},
                {"broken", broken.load()},
                {"between_events_p50", quantile(gaps, 0.5)},
                {"between_events_p99", quantile(gaps, 0.99)},
                {"between_events_max", quantile(gaps, 1)},
                {"old_weights_held", running.service.numbers().old_weights},
                {"rss_mb", double(usage().rss) / 1e6}});
  check(broken == 0, "an answer broke");
}

// ---- dialogues

// From a message to the first word of its reply, in the model's words. Two turns a dialogue, as its second has a window.
void Bench::turns() {
  load();
  if (arguments_.text("intents").empty() || arguments_.text("domain").empty() || arguments_.text("messages").empty())
    fail_usage("turns: give --intents FOLDER (r1 intent train), --domain FILE.yaml and --messages FILE.csv (a column text)");
  serve::Service service(served_, config_);
  http::Router router;
  serve::add_dialogue_routes(
      router, &service,
      serve::load_dialogue({.intents = arguments_.text("intents"), .domain = arguments_.text("domain"), .reply = "model"}));
  http::Server server({.port = 0, .workers = 2}, std::move(router));
  const api::IntentExamples examples = api::read_intent_examples(arguments_.text("messages"));
  const int64_t total = std::min<int64_t>(arguments_.number("turns"), int64_t(examples.size()));
  const size_t stride = examples.size() / size_t(total);  // tables are sorted by intent
  std::vector<double> states, firsts, lasts;
  int64_t by_model = 0;
  std::string session;
  for (int64_t i = 0; i < total; ++i) {
    Json body = {{"message", examples.text[size_t(i) * stride]}, {"stream", true}};
    if (i % 2) body["session"] = session;
    Client client(server.port(), 60);
    const auto begun = Clock::now();
    client.send(Client::request_text("POST", "/v1/dialogue", dump_json(body)));
    check(client.head().status == 200, "a turn was refused");
    double first = 0;
    while (const auto event = client.event()) {
      if (event->event == "state") states.push_back(since(begun));
      if (event->event == "delta" && first == 0) first = since(begun);
      if (event->event != "done") continue;
      const Json done = parse_json(event->data, "event");
      session = done["session"].get<std::string>();
      by_model += done["reply_source"] == "model";
    }
    lasts.push_back(since(begun));
    firsts.push_back(first);
  }
  bench::print({{"bench", "serve_load/turns"},
                {"turns", total},
                {"in_the_models_words", by_model},
                {"state_p50", quantile(states, 0.5)},
                {"state_p90", quantile(states, 0.9)},
                {"first_word_p50", quantile(firsts, 0.5)},
                {"first_word_p90", quantile(firsts, 0.9)},
                {"first_word_max", quantile(firsts, 1)},
                {"last_word_p50", quantile(lasts, 0.5)}});
}

void Bench::soak() {
  load();
  Running running(served_, config_);
  const double seconds = arguments_.real("seconds");
  std::atomic<int64_t> done = 0;
  std::vector<Json> samples;
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (int c = 0; c < 8; ++c)
    threads.emplace_back([&, c] {
      Rng rng{uint64_t(c) + 1};
      for (int i = c; !stop; i += 8) {
        Client client(running.server.port(), 600);
        switch (int(rng.uniform() * 5)) {
          case 0:
            client.get("/metrics");
            break;
          case 1:
            client.post("/tokenize", dump_json(Json{{"content", prompt_of(i)}}));
            break;
          case 2:
            client.post("/v1/embeddings", dump_json(Json{{"model", "m"}, {"input", prompt_of(i)}}));
            break;
          case 3:
            client.send(Client::request_text("POST", "/v1/completions", dump_json(completion_body(i, 64, true))));
            client.head();
            client.event();
            client.abort();
            break;
          default:
            stream(running.server.port(), completion_body(i, 16, true));
        }
        ++done;
      }
    });
  const auto begun = Clock::now();
  Usage warm;
  std::vector<std::pair<double, double>> line;  // seconds, bytes
  while (since(begun) < seconds) {
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds / 60));
    if (since(begun) < seconds / 4) continue;  // caches fill at first
    const Usage now = usage();
    if (line.empty()) warm = now;
    line.emplace_back(since(begun), double(now.rss));
  }
  stop = true;
  for (std::thread& t : threads) t.join();
  double mean_x = 0, mean_y = 0, xy = 0, xx = 0;
  for (const auto& [x, y] : line) mean_x += x / double(line.size()), mean_y += y / double(line.size());
  for (const auto& [x, y] : line) xy += (x - mean_x) * (y - mean_y), xx += (x - mean_x) * (x - mean_x);
  const Usage last = usage();
  bench::print({{"bench", "serve_load/soak"},
                {"seconds", seconds},
                {"requests", done.load()},
                {"mb_per_hour", xx > 0 ? xy / xx * 3600 / 1e6 : 0},
                {"rss_mb", double(last.rss) / 1e6},
                {"files_grown", last.files - warm.files},
                {"threads_grown", last.threads - warm.threads}});
}

void run(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv,
                                   {{"model", ""},
                                    {"tokens", "64"},
                                    {"concurrency", "16"},
                                    {"repeat", "3"},
                                    {"seconds", "60"},
                                    {"aborts", "1000"},
                                    {"requests", "10000"},
                                    {"updates", "20"},
                                    {"turns", "64"},
                                    {"intents", ""},
                                    {"domain", ""},
                                    {"messages", ""},
                                    {"idle_streams", "4000"}},
                                   1);
  Bench bench(arguments);
  const std::map<std::string, void (Bench::*)()> parts = {
      {"streams", &Bench::streams},   {"idle", &Bench::idle},       {"aborts", &Bench::aborts}, {"overload", &Bench::overload},
      {"canaries", &Bench::canaries}, {"updates", &Bench::updates}, {"turns", &Bench::turns},   {"soak", &Bench::soak}};
  for (const std::string& name : bench::split(arguments.words().empty() ? "streams,idle,aborts,overload,soak" : arguments.words()[0])) {
    const auto part = parts.find(name);
    if (part == parts.end()) fail_usage("no part ", name, ": streams, idle, aborts, overload, canaries, updates, turns or soak");
    (bench.*part->second)();
  }
}

}  // namespace

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] { run(argc, argv); });
}
