// How fast is a check of an answer? Pairs {"gold":..,"answer":..} from a JSONL file; one JSON object: checks a second on one thread,
// slowest check, verdict counts. bench/verify_peer.py runs this and Math-Verify in turn over the same pairs and prints
// the ratio. A row may set rounding_digits and strict.
//   bench_verify_notorch PAIRS.jsonl [--rounds=N] [--verdicts]     --verdicts: a line a pair with verdict, extracted answer and reason
//   instead
#include <chrono>
#include <fstream>

#include "bench/bench.h"
#include "r1/verify/verify.h"

using namespace r1;

namespace {

void run(const bench::Arguments& arguments) {
  if (arguments.words().empty()) fail_usage("usage: bench_verify_notorch PAIRS.jsonl [--rounds=N] [--verdicts]");
  const std::string& path = arguments.words()[0];
  const int64_t rounds = arguments.number("rounds");
  const bool verdicts = arguments.is_on("verdicts");
  std::map<std::pair<int, bool>, verify::Verifier> verifiers;  // by the options that rows set
  struct Pair {
    std::string gold, answer;
    const verify::Verifier* verifier;
  };
  std::vector<Pair> pairs;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) continue;
    const Json row = parse_json(line, path);
    verify::VerifyOptions options;
    options.equality.rounding_digits = json_get_or<int>(row, "rounding_digits", 6, path);
    options.equality.strict = json_get_or<bool>(row, "strict", true, path);
    const auto key = std::make_pair(options.equality.rounding_digits, options.equality.strict);
    const verify::Verifier& verifier = verifiers.try_emplace(key, options).first->second;
    pairs.push_back({json_get<std::string>(row, "gold", path), json_get<std::string>(row, "answer", path), &verifier});
  }
  check(!pairs.empty(), path, ": no pairs");
  using Clock = std::chrono::steady_clock;
  double best = 1e30, slowest = 0;
  int64_t counts[5] = {};
  for (int64_t round = 0; round < rounds; ++round) {
    const auto start = Clock::now();
    for (const auto& [gold, answer, verifier] : pairs) {
      const auto one = Clock::now();
      const verify::AnswerCheck c = verifier->check(gold, answer);
      slowest = std::max(slowest, std::chrono::duration<double>(Clock::now() - one).count());
      if (round == 0) ++counts[int(c.verdict)];
      if (verdicts) bench::print({{"verdict", verify::answer_verdict_name(c.verdict)}, {"extracted", c.extracted}, {"reason", c.reason}});
    }
    if (verdicts) return;
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  Json report = {
      {"bench", "verify"}, {"pairs", pairs.size()}, {"pairs_per_second", double(pairs.size()) / best}, {"slowest_seconds", slowest}};
  for (int v = 0; v < 5; ++v) report[verify::answer_verdict_name(verify::AnswerVerdict(v))] = counts[v];
  bench::print(report);
}

}  // namespace

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] { run({argc, argv, {{"rounds", "3"}, {"verdicts", "no"}}, 1}); });
}
