// r1 verify: is this answer right? One pair by --gold and --answer, or --jsonl: {"gold":..,"answer":..} a line in, a verdict a line out, in
// order, with the line's "id" if it has one; {"error": ..} where a line is no good.
#include <cstdio>
#include <string>

#include "r1/app/json_lines.h"
#include "r1/data/rows.h"
#include "r1/verify/verify.h"

namespace r1::app {
namespace {

struct VerifyConfig {
  std::string gold, answer, boxes = "last", exit_code = "done";
  bool jsonl = false, strict = true, explain = false;
  double deadline = 2, relative = 0;
  int64_t workers = 2, rounding_digits = 6;
  void visit(Fields& v) {
    v("gold", gold, "the known answer");
    v("answer", answer, "a completion or a bare answer");
    v("jsonl", jsonl, "read {\"gold\":..,\"answer\":..} lines from stdin, write a verdict a line, in order");
    v("exit_code", exit_code, "done: 0 whatever the verdict; verdict: 1 unless every answer is right", OneOf{"done", "verdict"});
    v("boxes", boxes, "which \\boxed{} counts where there are several", OneOf{"last", "first"});
    v("deadline", deadline, "seconds that one check may take", Range{0.001, 3600.0});
    v("workers", workers, "processes for hard cases", Range{1, 256});
    v("rounding_digits", rounding_digits, "a decimal of at least that many significant digits may stand for the value it rounds; 0: never",
      Range{0, 1000});
    v("relative", relative, "numbers that differ by at most this share of the known one are the same; 0: off", Range{0.0, 0.1});
    v("explain", explain, "say what was read, by which rule, and what it was compared with");
    v("strict", strict, "off: the names of unknowns do not matter (f(x) and f(y) are the same)");
  }
};

Json as_json(const verify::AnswerCheck& c) {
  return {{"verdict", verify::answer_verdict_name(c.verdict)},
          {"extracted", c.extracted},
          {"place", verify::answer_place_name(c.place)},
          {"reason", c.reason}};
}
std::string explained(const verify::AnswerCheck& c) {
  return str("verdict   ", verify::answer_verdict_name(c.verdict), ": ", c.reason, "\nanswer    ",
             c.extracted.empty() ? "(none)" : c.extracted, "\nfound by  ", verify::answer_place_rule(c.place), "\ncompared  with ", c.gold,
             "\n");
}

bool right(const verify::AnswerCheck& c) {
  return c.verdict == verify::AnswerVerdict::kRight;
}

// The exit code of lines that were no good, else that of the verdicts.
int check_lines(const verify::Verifier& verifier, bool verdict_counts) {
  int64_t lines = 0, unparsed = 0;
  bool all_right = true;
  const int code = for_each_line([&](const Json& row, const std::string& where) {
    const auto text = [&](const char* key) {
      const auto at = row.find(key);
      return at == row.end() ? json_get<std::string>(row, key, where) : data::field_text(*at, str("'", key, "'"), where);
    };
    const auto c = verifier.check(text("gold"), text("answer"));
    ++lines;
    all_right = all_right && right(c);
    unparsed += c.verdict == verify::AnswerVerdict::kUnparsed;
    Json out = Json::object();
    if (row.contains("id")) out["id"] = row["id"];
    out.update(as_json(c));
    return out;
  });
  if (lines >= 20 && unparsed * 20 > lines)
    std::fprintf(stderr,
                 "warning: %lld of %lld answers could not be read (more than 5 %%): look at their reasons before you trust the score\n",
                 (long long)unparsed, (long long)lines);
  return code != 0 ? code : verdict_counts && !all_right ? 1 : 0;
}

int run(const VerifyConfig& config, const CommonOptions& common) {
  verify::VerifyOptions options;
  options.deadline = config.deadline;
  options.workers = int(config.workers);
  options.boxes = config.boxes == "first" ? verify::BoxChoice::kFirst : verify::BoxChoice::kLast;
  options.equality.rounding_digits = int(config.rounding_digits);
  options.equality.relative = config.relative;
  options.equality.strict = config.strict;
  const verify::Verifier verifier(options);
  const bool verdict_counts = config.exit_code == "verdict";
  if (config.jsonl) return check_lines(verifier, verdict_counts);
  if (config.gold.empty()) fail_usage("r1 verify: give --gold and --answer, or --jsonl");
  const auto c = verifier.check(config.gold, config.answer);
  print_text(common.json      ? dump_json(as_json(c)) + "\n"
             : config.explain ? explained(c)
                              : str(verify::answer_verdict_name(c.verdict), ": ", c.extracted.empty() ? "(nothing)" : c.extracted, " (",
                                    c.reason, ")\n"));
  return verdict_counts && !right(c) ? 1 : 0;
}

}  // namespace

Command cmd_verify() {
  return make_command<VerifyConfig>("verify", "is this answer right? exact comparison of mathematical answers", run);
}

}  // namespace r1::app
