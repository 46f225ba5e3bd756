// How fast is a check of an answer? Pairs {"gold":..,"answer":..} from a JSONL file; one JSON object: checks a second on one thread,
// slowest check, verdict counts. tests/oracles/verify_mathverify.py runs this and Math-Verify in turn over the same pairs and prints the
// ratio.
//   bench_verify_notorch PAIRS.jsonl [--rounds=N] [--verdicts]     --verdicts: a line a pair with verdict, extracted answer and reason
//   instead
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
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
  int digits = 6;  // a row may set it for the file
  std::ifstream in(argv[1]);
  std::vector<std::pair<std::string, std::string>> pairs;
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) continue;
    const Json row = parse_json(line, argv[1]);
    if (row.contains("rounding_digits")) digits = json_get<int>(row, "rounding_digits", argv[1]);
    pairs.emplace_back(json_get<std::string>(row, "gold", argv[1]), json_get<std::string>(row, "answer", argv[1]));
  }
  check(!pairs.empty(), argv[1], ": no pairs");
  verify::VerifyOptions options;
  options.equality.rounding_digits = digits;
  const verify::Verifier verifier(options);
  using Clock = std::chrono::steady_clock;
  double best = 1e30, slowest = 0;
  int64_t counts[5] = {};
  for (int round = 0; round < rounds; ++round) {
    const auto start = Clock::now();
    for (const auto& [gold, answer] : pairs) {
      const auto one = Clock::now();
      const verify::AnswerCheck c = verifier.check(gold, answer);
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
