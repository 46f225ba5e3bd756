// How fast is a check of an answer? Pairs {"gold":..,"answer":..} from a JSONL file; one JSON object: checks a second on one thread,
// slowest check, verdict counts. bench/verify_peer.py runs this and Math-Verify in turn over the same pairs and prints
// the ratio. A row may set rounding_digits and strict.
//   bench_verify_notorch PAIRS.jsonl [--rounds=N] [--verdicts]     --verdicts: a line a pair with verdict, extracted answer and reason
//   instead
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/json.h"
#include "r1/verify/verify.h"

using namespace r1;

int main(int argc, char** argv) try {
  check(argc > 1, "usage: bench_verify_notorch PAIRS.jsonl [--rounds=N] [--verdicts]");
  int rounds = 3;
  bool verdicts = false;
  for (int i = 2; i < argc; ++i) {
    const std::string a = argv[i];
    if (a.starts_with("--rounds="))
      rounds = std::atoi(a.c_str() + 9);
    else if (a == "--verdicts")
      verdicts = true;
    else
      fail("unknown argument ", a);
  }
  std::map<std::pair<int, bool>, verify::Verifier> verifiers;  // by the options that rows set
  struct Pair {
    std::string gold, answer;
    const verify::Verifier* verifier;
  };
  std::vector<Pair> pairs;
  std::ifstream in(argv[1]);
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) continue;
    const Json row = parse_json(line, argv[1]);
    verify::VerifyOptions options;
    options.equality.rounding_digits = json_get_or<int>(row, "rounding_digits", 6, argv[1]);
    options.equality.strict = json_get_or<bool>(row, "strict", true, argv[1]);
    const auto key = std::make_pair(options.equality.rounding_digits, options.equality.strict);
    const verify::Verifier& verifier = verifiers.try_emplace(key, options).first->second;
    pairs.push_back({json_get<std::string>(row, "gold", argv[1]), json_get<std::string>(row, "answer", argv[1]), &verifier});
  }
  check(!pairs.empty(), argv[1], ": no pairs");
  using Clock = std::chrono::steady_clock;
  double best = 1e30, slowest = 0;
  int64_t counts[5] = {};
  for (int round = 0; round < rounds; ++round) {
    const auto start = Clock::now();
    for (const auto& [gold, answer, verifier] : pairs) {
      const auto one = Clock::now();
      const verify::AnswerCheck c = verifier->check(gold, answer);
      slowest = std::max(slowest, std::chrono::duration<double>(Clock::now() - one).count());
      if (round == 0) ++counts[int(c.verdict)];
      if (verdicts)
        std::puts(
            dump_json({{"verdict", verify::answer_verdict_name(c.verdict)}, {"extracted", c.extracted}, {"reason", c.reason}}).c_str());
    }
    if (verdicts) return 0;
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  Json report = {
      {"bench", "verify"}, {"pairs", pairs.size()}, {"pairs_per_second", double(pairs.size()) / best}, {"slowest_seconds", slowest}};
  for (int v = 0; v < 5; ++v) report[verify::answer_verdict_name(verify::AnswerVerdict(v))] = counts[v];
  std::puts(dump_json(report).c_str());
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
