#include "r1/verify/judge/relay.h"

#include "r1/base/error.h"

namespace r1::verify::judge {
namespace {

using Kind = Value::Kind;

bool is_text(const Value& v, size_t i) {
  return i < v.items.size() && v.items[i].kind == Kind::kText;
}

std::optional<Verdict> tester_verdict(const std::string& word) {
  if (word == "pass") return Verdict::kPass;
  if (word == "fail") return Verdict::kFail;
  if (word == "error") return Verdict::kError;
  if (word == "skip") return Verdict::kNotRun;
  return std::nullopt;
}

}  // namespace

AssertRelay::Step AssertRelay::from_tester(std::string_view frame) {
  auto message = decode_value(frame);
  if (!message || message->kind != Kind::kList || !is_text(*message, 0)) return fault("the tester sent no message");
  std::vector<Value>& m = message->items;
  const std::string& what = m[0].text;
  if (finished_) return fault("the tester went on after its end");
  if (what == "rpc" && m.size() == 2 && m[1].kind == Kind::kBytes) {
    if (asked_) return fault("the tester asked twice");
    asked_ = true;
    return {Next::kToSolution, std::move(m[1].text)};
  }
  if (!is_text(*message, 1) || m[1].text != nonce_) return fault("a verdict without the nonce");
  if (what == "fault") return fault(is_text(*message, 2) ? m[2].text : "");
  if (what == "plan" && m.size() == 3 && m[2].kind == Kind::kList && !planned_) {
    for (const Value& name : m[2].items) names_.push_back(name.text);
    results_.resize(names_.size());
    planned_ = true;
    return {};
  }
  if (what == "finished" && planned_ && !current_) {
    finished_ = true;
    return {Next::kFinished, ""};
  }
  const bool counted = m.size() >= 3 && m[2].kind == Kind::kInt && m[2].integer >= 0 && size_t(m[2].integer) < names_.size();
  const size_t index = counted ? size_t(m[2].integer) : 0;
  if (what == "begin" && counted && !current_ && !results_[index]) {
    current_ = index;
    begun_ = Clock::now();
    return {};
  }
  const auto verdict = is_text(*message, 3) ? tester_verdict(m[3].text) : std::nullopt;
  if (what == "end" && counted && current_ == index && verdict && !asked_) {
    TestReport report;
    report.name = names_[index];
    report.verdict = *verdict;
    report.detail = is_text(*message, 4) ? m[4].text : "";
    report.seconds = -seconds_until(begun_);
    results_[index] = std::move(report);
    current_.reset();
    return {};
  }
  return fault("the tester sent an unknown message");
}

AssertRelay::Step AssertRelay::from_solution(std::string_view frame) {
  if (!asked_) return fault("the program answered what nobody asked");
  asked_ = false;
  return {Next::kToTester, std::string(frame)};
}

}  // namespace r1::verify::judge
