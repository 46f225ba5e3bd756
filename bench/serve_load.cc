// What does HTTP cost, and what does the server hold out? One JSON object a line; clients and server on the same machine.
//   streams   16 event streams at a time: tokens/s over those of the engine called directly, the same texts; time to the first token
//   idle      4,000 event streams, one event a second each: bytes of memory a stream, delay of an event (fault S1; no model)
//   aborts    1,000 clients that leave at a random byte of a request or stream: until their slot is free, blocks that are not (S2)
//   overload  ten times as many clients as the queue holds: answers/s over the best rate, refusals, recovery (S5)
//   soak      requests of all kinds for --seconds: growth of memory, files and threads (S8)
// bench_serve_load [streams,idle,...] --model M [--tokens 64] [--concurrency 16] [--repeat 3] [--seconds 60]
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "bench/bench.h"
#include "r1/base/rng.h"
#include "r1/engine/completion.h"
#include "r1/eval/load.h"
#include "r1/http/server.h"
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
    if (loaded_.model) return;
    eval::ModelArgs args;
    args.model_name_or_path = arguments_.text("model");
    loaded_ = eval::load(args, at::kCPU);
    config_.sampling = {};
    config_.engine.max_num_seqs = concurrency_;
    config_.engine.max_model_len = std::min<int64_t>(2048, loaded_.model->config().max_position_embeddings);
    config_.engine.max_num_batched_tokens = 256;
    served_ = {.name = "m",
               .path = arguments_.text("model"),
               .model = loaded_.model.get(),
               .tokenizer = loaded_.tokenizer.get(),
               .chat = loaded_.chat.get(),
               .stop_ids = loaded_.stop_ids};
  }

  void streams();
  void idle();
  void aborts();
  void overload();
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
      engine::Engine engine(*loaded_.model, config_.engine);
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

void Bench::overload() {
  load();
  serve::ServiceConfig config = config_;
  config.max_queue = 16;
  config.engine.max_num_seqs = 8;
  Running running(served_, config);
  const double seconds = arguments_.real("seconds");
  // Answers in a second, with so many clients for so long.
  const auto rate = [&](int clients, double length, std::atomic<int64_t>& refused, std::atomic<int64_t>& without_hint) {
    std::atomic<int64_t> done = 0;
    const auto begun = Clock::now();
    std::vector<std::thread> threads;
    for (int c = 0; c < clients; ++c)
      threads.emplace_back([&, c] {
        for (int i = c; since(begun) < length; i += clients) {
          Client client(running.server.port(), 600);
          const auto answer = client.post("/v1/completions", dump_json(completion_body(i, 16, false)));
          if (answer.status == 200) {
            ++done;
          } else {
            ++refused;
            without_hint += answer.header("retry-after").empty();
            check(answer.status == 429 || answer.status == 503, "status ", answer.status, ": ", answer.body);
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
          }
        }
      });
    for (std::thread& t : threads) t.join();
    return double(done) / since(begun);
  };
  std::atomic<int64_t> none = 0, refused = 0, without_hint = 0;
  const double peak = rate(16, std::min(15.0, seconds), none, without_hint), loaded = rate(160, seconds, refused, without_hint);
  const auto begun = Clock::now();
  stream(running.server.port(), completion_body(1, 1, true));
  bench::print({{"bench", "serve_load/overload"},
                {"seconds", seconds},
                {"answers_per_second", loaded},
                {"best_answers_per_second", peak},
                {"ratio", loaded / peak},
                {"refused", refused.load()},
                {"refused_without_retry_after", without_hint.load()},
                {"recovered_after_seconds", since(begun)}});
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
                                    {"idle_streams", "4000"}},
                                   1);
  Bench bench(arguments);
  const std::map<std::string, void (Bench::*)()> parts = {{"streams", &Bench::streams},
                                                          {"idle", &Bench::idle},
                                                          {"aborts", &Bench::aborts},
                                                          {"overload", &Bench::overload},
                                                          {"soak", &Bench::soak}};
  for (const std::string& name : bench::split(arguments.words().empty() ? "streams,idle,aborts,overload,soak" : arguments.words()[0])) {
    const auto part = parts.find(name);
    if (part == parts.end()) fail_usage("no part ", name, ": streams, idle, aborts, overload or soak");
    (bench.*part->second)();
  }
}

}  // namespace

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] { run(argc, argv); });
}
