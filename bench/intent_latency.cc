// How long does one message take an intent model, from text to ranking? Every message of a table by itself, in an order of their own, `repeats`
// times; a message's time is the median of its repeats, so that other work on the machine shows less (`raw_p99_ms` has every single time). One
// JSON object a line: for the whole model, and for its n-grams alone.
// bench_intent_latency MODEL_DIR [--data test.csv] [--repeats 5] [--limit 0]    threads: R1_NUM_THREADS
#include <ATen/Parallel.h>

#include <chrono>

#include "bench/bench.h"
#include "r1/api/intent_data.h"
#include "r1/base/rng.h"
#include "r1/base/threads.h"
#include "r1/serve/intent_model.h"

namespace {

using namespace r1;
using Clock = std::chrono::steady_clock;

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, size_t(q * double(values.size())))];
}

void measure(const char* what, const std::vector<std::string>& messages, int64_t repeats, const Json& about,
             const std::function<void(const std::string&)>& run) {
  std::vector<size_t> order(messages.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  for (size_t i = 0; i < std::min<size_t>(20, messages.size()); ++i) run(messages[i]);
  std::vector<std::vector<double>> times(messages.size());
  std::vector<double> all;
  for (int64_t r = 0; r < repeats; ++r) {
    Rng(uint64_t(r) + 1).shuffle(order);
    for (size_t i : order) {
      const auto start = Clock::now();
      run(messages[i]);
      times[i].push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
      all.push_back(times[i].back());
    }
  }
  std::vector<double> medians;
  for (const auto& t : times) medians.push_back(bench::median(t));
  Json line = {{"bench", "intent_latency"},
               {"what", what},
               {"p50_ms", quantile(medians, 0.5)},
               {"p95_ms", quantile(medians, 0.95)},
               {"p99_ms", quantile(medians, 0.99)},
               {"max_ms", quantile(medians, 1)},
               {"raw_p50_ms", quantile(all, 0.5)},
               {"raw_p99_ms", quantile(all, 0.99)},
               {"goal_p99_ms", 50}};
  line.update(about);
  bench::print(line);
}

void run(const bench::Arguments& arguments) {
  if (arguments.words().empty()) fail_usage("which intent model? give the folder that r1 intent train wrote");
  at::set_num_threads(num_threads());
  const auto model = serve::IntentModel::load(arguments.words()[0], at::kCPU);
  std::vector<std::string> messages = {"I am still waiting on my card?", "What can I do if my card still hasn't arrived after 2 weeks?"};
  if (!arguments.text("data").empty()) messages = api::read_intent_examples(arguments.text("data"), model->labels()).text;
  if (arguments.number("limit") > 0 && arguments.number("limit") < int64_t(messages.size()))
    messages.resize(size_t(arguments.number("limit")));
  const Json about = {
      {"messages", messages.size()}, {"repeats", arguments.number("repeats")}, {"threads", num_threads()}, {"version", model->version()}};
  measure("model", messages, arguments.number("repeats"), about, [&](const std::string& m) { model->rank(m); });
  measure("ngrams", messages, arguments.number("repeats"), about, [&](const std::string& m) { model->ngram_probabilities(m); });
}

}  // namespace

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] { run(r1::bench::Arguments(argc, argv, {{"data", ""}, {"repeats", "5"}, {"limit", "0"}}, 1)); });
}
