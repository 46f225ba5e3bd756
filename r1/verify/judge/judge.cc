#include "r1/verify/judge/judge.h"

#include <sys/random.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <mutex>

#include "r1/base/error.h"
#include "r1/base/threads.h"
#include "r1/verify/judge/language.h"
#include "r1/verify/judge/pool.h"
#include "r1/verify/judge/relay.h"

namespace r1::verify::judge {
namespace {

using Kind = Value::Kind;

// A launcher keeps a test's time itself; this much later the judge stops waiting for it.
constexpr double kGraceSeconds = 0.5;
// For a sandbox and an interpreter to come up, on a busy machine.
constexpr double kStartSeconds = 5;

Value text(std::string_view s) {
  return Value::of(s);
}
std::string message(std::vector<Value> items) {
  return encode_value(Value::list(std::move(items)));
}
Value texts(const std::vector<std::string>& list) {
  Value out = Value::list({});
  for (const std::string& s : list) out.items.push_back(text(s));
  return out;
}
Value pairs(const std::vector<std::pair<std::string, std::string>>& list, bool bytes) {
  Value out = Value::list({});
  for (const auto& [key, value] : list) out.items.push_back(Value::list({text(key), bytes ? Value::of_bytes(value) : text(value)}));
  return out;
}

std::string random_nonce() {
  unsigned char bytes[16];
  if (::getrandom(bytes, sizeof bytes, 0) != ssize_t(sizeof bytes)) fail("[judge] getrandom: ", std::strerror(errno));
  std::string out;
  for (const unsigned char b : bytes) out += "0123456789abcdef"[b >> 4], out += "0123456789abcdef"[b & 15];
  return out;
}

struct Finding {
  Verdict verdict = Verdict::kError;
  std::string detail;
};

// A message of the launcher: [word, ..]. Everything in it may be forged; accessors never fail.
class Answer {
 public:
  explicit Answer(std::string_view frame) : value_(decode_value(frame)) {
    if (value_ && (value_->kind != Kind::kList || value_->items.empty() || value_->items[0].kind != Kind::kText)) value_.reset();
  }
  bool is(std::string_view word, size_t size) const { return value_ && value_->items[0].text == word && value_->items.size() == size; }
  std::string text(size_t i) const {
    const bool has = value_ && i < value_->items.size() && (value_->items[i].kind == Kind::kText || value_->items[i].kind == Kind::kBytes);
    return has ? value_->items[i].text : "";
  }
  int64_t integer(size_t i) const {
    return value_ && i < value_->items.size() && value_->items[i].kind == Kind::kInt ? value_->items[i].integer : -1;
  }
  const Value& at(size_t i) const { return value_->items[i]; }

 private:
  std::optional<Value> value_;
};

// How did a launcher end whose channel has closed, or that went silent?
Finding finding_of_end(const sandbox::Outcome& outcome) {
  using sandbox::End;
  switch (outcome.end) {
    case End::kMemory:
      return {Verdict::kMemory, outcome.reason};
    case End::kOutput:
      return {Verdict::kOutputLimit, outcome.reason};
    case End::kCpuTime:
    case End::kTimeout:
      return {Verdict::kTimeout, "cpu time"};
    case End::kFailedToStart:
      return {Verdict::kError, "could not be started: " + outcome.reason};
    case End::kSignalled:
      return {Verdict::kError, str("the interpreter ended by signal ", outcome.status)};
    case End::kExited:
      return {Verdict::kError, str("the interpreter left with code ", outcome.status)};
  }
  return {};
}

bool says_out_of_memory(const std::string& error) {
  for (const char* sign :
       {"MemoryError", "std::bad_alloc", "java.lang.OutOfMemoryError", "JavaScript heap out of memory", "memory allocation of"})
    if (error.find(sign) != std::string::npos) return true;
  return false;
}

// What [ran, reason, status, ..] means when it is no ordinary end with code 0.
Finding finding_of_run(const std::string& reason, int64_t status, const std::string& error) {
  if (reason == "timeout") return {Verdict::kTimeout, "time limit"};
  if (reason == "output") return {Verdict::kOutputLimit, "output limit"};
  if (says_out_of_memory(error)) return {Verdict::kMemory, error};
  if (reason == "orphan")
    return {Verdict::kError, "it ended without waiting for a process that it had started: what such a process writes is never settled"};
  if (reason == "signal" && status == SIGKILL) return {Verdict::kMemory, "killed from outside, most likely at the memory limit"};
  if (reason == "signal" && status == SIGXCPU) return {Verdict::kTimeout, "cpu time"};
  if (reason == "signal" && status == SIGXFSZ) return {Verdict::kOutputLimit, "file size"};
  if (reason == "signal") return {Verdict::kError, str("signal ", status, error.empty() ? "" : ": ", error)};
  if (reason == "exit") return {Verdict::kError, str("left with code ", status, error.empty() ? "" : ": ", error)};
  return {Verdict::kError, "broke the protocol"};
}

// One check: owns its launchers.
class Check {
 public:
  Check(LauncherPool& pool, const Submission& submission, const Suite& suite, const CheckOptions& options, Clock::time_point deadline)
      : pool_(pool), submission_(submission), suite_(suite), options_(options), deadline_(deadline) {
    limits_ = {options.memory_bytes, pool.limits().cpu_seconds, {}};
  }
  ~Check() {
    drop(first_);
    drop(second_);
    drop(checker_);
  }

  void run(Report& report) {
    switch (suite_.kind) {
      case Suite::Kind::kStdin:
        return run_each(report, [this](const Test& t) { return run_stdin(t); });
      case Suite::Kind::kCalls:
        return run_each(report, [this](const Test& t) { return run_call(t); });
      default:
        return run_asserts(report);
    }
  }
  void set_checker_build(Build build) { checker_build_ = std::move(build); }
  void set_build(Build build, int64_t memory_floor) {
    build_ = std::move(build);
    limits_.mounts = build_.mounts;
    limits_.memory_bytes = std::max(limits_.memory_bytes, memory_floor);
  }

 private:
  using Slot = std::unique_ptr<Launcher>;

  Clock::time_point within(double seconds) const { return std::min(after(seconds), deadline_); }
  void drop(Slot& slot) { pool_.give_back(std::move(slot)); }

  // Sends and waits for the answer. Nothing: the launcher is gone, and `found` says why.
  std::optional<Answer> ask(Slot& slot, const std::string& request, double seconds, Finding& found) {
    const auto until = within(seconds + kGraceSeconds);
    std::string frame;
    ChannelStatus status = slot->channel.send(request, until);
    if (status == ChannelStatus::kOk) status = slot->channel.receive(frame, until);
    if (status == ChannelStatus::kOk) return Answer(frame);
    found = lost(slot, status);
    return std::nullopt;
  }
  Finding lost(Slot& slot, ChannelStatus status) {
    Finding found{Verdict::kTimeout, "time limit"};
    if (status == ChannelStatus::kTooLong) found = {Verdict::kOutputLimit, "an answer longer than the limit"};
    if (status == ChannelStatus::kClosed) found = finding_of_end(slot->end());
    drop(slot);
    return found;
  }

  // ---- tests that are data ----

  template <class Run>
  void run_each(Report& report, Run run) {
    bool stop = false;
    for (size_t i = 0; i < suite_.tests.size(); ++i) {
      TestReport& out = report.tests[i];
      if (stop) {
        out.detail = "an earlier test did not pass";
        continue;
      }
      if (seconds_until(deadline_) <= 0) {
        out.detail = "the check's deadline";
        continue;
      }
      const auto begin = Clock::now();
      const bool loaded = first_ || load();
      const Finding found = loaded ? run(suite_.tests[i]) : load_failure_;
      out.seconds = -seconds_until(begin);
      out.verdict = found.verdict;
      out.detail = found.detail;
      if (!loaded && !may_load_again_) {
        for (size_t j = i + 1; j < suite_.tests.size(); ++j) {
          report.tests[j].verdict = found.verdict;
          report.tests[j].detail = found.detail;
        }
        return;
      }
      stop = options_.early_stop && found.verdict != Verdict::kPass;
    }
  }

  // A launcher with the submission in it. False: load_failure_ says why.
  bool load() {
    first_ = pool_.take(limits_);
    may_load_again_ = false;
    const bool calls = suite_.kind == Suite::Kind::kCalls;
    double seconds = kStartSeconds + options_.test_seconds;
    std::string request;
    if (calls) {
      request = message({text("module"), text(suite_.prelude), text(submission_.code), text("solution")});
    } else if (build_.command.empty()) {
      request = message({text("python"), text(suite_.prelude.empty() ? submission_.code : suite_.prelude + "\n" + submission_.code)});
    } else {
      seconds += options_.compile_seconds;
      request = message(
          {text("program"), pairs(build_.files, true), texts(build_.compiler), texts(build_.command), Value::of(options_.compile_seconds)});
    }
    const auto answer = ask(first_, request, seconds, load_failure_);
    if (answer && answer->is("ok", 1)) return true;
    if (answer && answer->is("bad", 2))
      load_failure_ = {Verdict::kCompileError, answer->text(1)};
    else if (answer && answer->is("slow", 1))
      load_failure_ = {Verdict::kCompileError, "the compiler took too long"};
    else if (answer && answer->is("raised", 3))
      load_failure_ = {Verdict::kError, answer->text(1) + ": " + answer->text(2)};
    else if (answer)
      load_failure_ = {Verdict::kError, "broke the protocol"};
    drop(first_);
    return false;
  }

  double seconds_of(const Test& test) const { return test.seconds > 0 ? test.seconds : options_.test_seconds; }

  Finding run_stdin(const Test& test) {
    if (suite_.checker.interactive) return run_conversation(test);
    Finding found;
    const double seconds = seconds_of(test);
    const auto answer = ask(
        first_, message({text("run"), Value::of_bytes(test.input), Value::of(seconds), Value::of(options_.output_bytes)}), seconds, found);
    if (!answer) return found;
    if (!answer->is("ran", 6)) return {Verdict::kError, "broke the protocol"};
    if (answer->text(1) != "exit" || answer->integer(2) != 0) return finding_of_run(answer->text(1), answer->integer(2), answer->text(4));
    if (!suite_.checker.code.empty()) return run_checker(test, answer->text(3));
    const std::string difference = output_difference(test.expected, answer->text(3), suite_.output);
    const bool right = difference.empty() || std::any_of(test.also.begin(), test.also.end(), [&](const std::string& other) {
                         return output_difference(other, answer->text(3), suite_.output).empty();
                       });
    return {right ? Verdict::kPass : Verdict::kFail, right ? "" : difference};
  }

  // ---- a checker's word instead of a comparison ----

  bool load_checker(Finding& found) {
    checker_ = pool_.take({options_.memory_bytes, pool_.limits().cpu_seconds, checker_build_.mounts});
    const Value files = texts({"input.txt", "output.txt", "answer.txt"});
    std::string request = message({text("python"), text(suite_.checker.code), files});
    double seconds = kStartSeconds + options_.test_seconds;
    if (!checker_build_.command.empty()) {
      std::vector<std::string> command = checker_build_.command;
      command.insert(command.end(), {"input.txt", "output.txt", "answer.txt"});
      seconds += options_.compile_seconds;
      request = message({text("program"), pairs(checker_build_.files, true), texts(checker_build_.compiler), texts(command),
                         Value::of(options_.compile_seconds)});
    }
    const auto answer = ask(checker_, request, seconds, found);
    if (answer && answer->is("ok", 1)) return true;
    if (answer) found = {Verdict::kError, "the checker could not be built: " + answer->text(1)};
    drop(checker_);
    return false;
  }
  // The checker with a test's files before it. False: `found` says why not.
  bool give_files(const Test& test, const std::string& output, Finding& found) {
    if ((checker_ || load_checker(found)) &&
        ask(checker_,
            message({text("files"), pairs({{"input.txt", test.input}, {"output.txt", output}, {"answer.txt", test.expected}}, true)}),
            kStartSeconds, found))
      return true;
    found = {Verdict::kError, "checker: " + found.detail};
    return false;
  }
  Finding run_checker(const Test& test, const std::string& output) {
    Finding found;
    if (!give_files(test, output, found)) return found;
    const double seconds = seconds_of(test);
    const auto answer =
        ask(checker_, message({text("run"), Value::of_bytes(""), Value::of(seconds), Value::of(options_.output_bytes)}), seconds, found);
    if (!answer) return {Verdict::kError, "checker: " + found.detail};
    return word_of_checker(*answer);
  }
  // What a checker's or interactor's end says.
  static Finding word_of_checker(const Answer& answer) {
    if (!answer.is("ran", 6) || answer.text(1) != "exit") return {Verdict::kError, "the checker ended by " + answer.text(1)};
    const std::string said = (answer.text(4) + answer.text(3)).substr(0, 400);
    if (answer.integer(2) == 0) return {Verdict::kPass, ""};
    if (answer.integer(2) == 1 || answer.integer(2) == 2) return {Verdict::kFail, said.empty() ? "the checker refused it" : said};
    return {Verdict::kError, str("the checker left with code ", answer.integer(2), said.empty() ? "" : ": ", said)};
  }

  // Carries what each of the two says to the other until both have ended. The end of one is the end of the other's input.
  Finding run_conversation(const Test& test) {
    Finding found;
    if (!give_files(test, "", found)) return found;
    const double seconds = seconds_of(test);
    const auto until = within(seconds + 2 * kGraceSeconds);
    const auto begin = [&](double limit) { return message({text("talk"), Value::of(limit), Value::of(options_.output_bytes)}); };
    checker_->channel.send(begin(seconds + kGraceSeconds), until);
    first_->channel.send(begin(seconds), until);
    std::optional<Answer> theirs, ours;  // the ends of the submission and of the interactor
    while (!theirs || !ours) {
      std::string frame;
      ChannelStatus status;
      int from = theirs ? 1 : 0;
      if (!theirs && !ours)
        from = Channel::receive_either(first_->channel, checker_->channel, frame, status, until);
      else
        status = (theirs ? checker_ : first_)->channel.receive(frame, until);
      Slot &speaker = from == 0 ? first_ : checker_, &listener = from == 0 ? checker_ : first_;
      if (status != ChannelStatus::kOk) {
        found = lost(speaker, status);
        drop(listener);  // what it still has to say belongs to this test
        return from == 0 ? found : Finding{Verdict::kError, "interactor: " + found.detail};
      }
      Answer answer(frame);
      std::optional<Answer>&own = from == 0 ? theirs : ours, &other = from == 0 ? ours : theirs;
      if (answer.is("said", 2)) {
        if (!other) listener->channel.send(message({text("tell"), Value::of_bytes(answer.text(1))}), until);
        continue;
      }
      own.emplace(std::move(answer));
      if (!other) listener->channel.send(message({text("shut")}), until);
    }
    const Finding word = word_of_checker(*ours);
    const bool well = theirs->is("ran", 6) && theirs->text(1) == "exit" && theirs->integer(2) == 0;
    const bool stopped = theirs->text(1) == "timeout" || theirs->text(1) == "output";
    if (well || (word.verdict == Verdict::kFail && !stopped)) return word;
    if (!theirs->is("ran", 6)) return {Verdict::kError, "broke the protocol"};
    return finding_of_run(theirs->text(1), theirs->integer(2), theirs->text(4));
  }

  Finding run_call(const Test& test) {
    const Value arguments = parse_json_value(test.input, "arguments of a test");
    if (arguments.kind != Kind::kList) fail_usage("[judge] the arguments of a test must be a JSON list, got ", show_value(arguments));
    const Value expected = parse_json_value(test.expected, "expected value of a test");
    Finding found;
    const double seconds = seconds_of(test);
    const auto answer = ask(first_,
                            message({text("call"), text(suite_.entry), arguments, Value::of(seconds),
                                     Value::of(std::max<int64_t>(options_.output_bytes, 1 << 22))}),
                            seconds, found);
    if (!answer) return found;
    if (answer->is("value", 2)) {
      bool same = equal_values(expected, answer->at(1), suite_.value);
      for (const std::string& other : test.also)
        same = same || equal_values(parse_json_value(other, "expected value of a test"), answer->at(1), suite_.value);
      return {same ? Verdict::kPass : Verdict::kFail,
              same ? "" : str("expected ", show_value(expected), ", got ", show_value(answer->at(1)))};
    }
    if (answer->is("raised", 3))
      return {answer->text(1) == "MemoryError" ? Verdict::kMemory : Verdict::kError, answer->text(1) + ": " + answer->text(2)};
    if (answer->is("ran", 3)) {
      if (answer->text(1) == "exit") return {Verdict::kError, str("left with code ", answer->integer(2), " instead of returning")};
      return finding_of_run(answer->text(1), answer->integer(2), "");
    }
    return {Verdict::kError, "broke the protocol"};
  }

  // ---- tests that are code ----

  void run_asserts(Report& report) {
    bool planned = suite_.kind != Suite::Kind::kUnit;  // unit tests are listed by the tester
    std::vector<bool> done(planned ? report.tests.size() : 0, false);
    for (;;) {
      const auto begun = Clock::now();
      const Round round = run_round(report, done, planned);
      planned = planned || round.planned;
      if (!planned) {  // without a plan there is no list of tests
        report.tests = {TestReport{}};
        report.tests[0].name = "test code";
        set(report.tests[0], round.found, -seconds_until(begun));
        return;
      }
      if (round.all_same)
        for (size_t i = 0; i < done.size(); ++i)
          if (!done[i]) set(report.tests[i], round.found, 0), done[i] = true;
      if (round.stopped_at) set(report.tests[*round.stopped_at], round.found, -seconds_until(begun)), done[*round.stopped_at] = true;
      const bool failed = std::any_of(report.tests.begin(), report.tests.end(), [&](const TestReport& t) {
        return done[size_t(&t - report.tests.data())] && t.verdict != Verdict::kPass;
      });
      const bool all = std::find(done.begin(), done.end(), false) == done.end();
      if (all || !round.stopped_at || (failed && options_.early_stop) || seconds_until(deadline_) <= 0) break;
    }
    for (size_t i = 0; i < done.size(); ++i)
      if (!done[i] && report.tests[i].detail.empty())
        report.tests[i].detail = seconds_until(deadline_) <= 0 ? "the check's deadline" : "an earlier test did not pass";
  }
  static void set(TestReport& test, const Finding& found, double seconds) {
    test.verdict = found.verdict;
    test.detail = found.detail;
    test.seconds = seconds;
  }

  // A round is a pair of sandboxes. It ends with the tests, or at the test that broke it; the next round takes the tests after.
  struct Round {
    bool planned = false, all_same = false;  // all_same: `found` holds for every test left (the submission could not be loaded)
    std::optional<size_t> stopped_at;
    Finding found;
  };

  Round run_round(Report& report, std::vector<bool>& done, bool known) {
    Round round;
    drop(first_);
    drop(second_);
    second_ = pool_.take(limits_);  // the tester; both start at the same time
    first_ = pool_.take(limits_);
    AssertRelay relay(start_round(done));
    const auto startup = within(kStartSeconds + options_.test_seconds);
    std::string frame;
    // The plan first: what the tests are is settled before a word of the submission is heard.
    const ChannelStatus status = second_->channel.receive(frame, startup);
    const auto step = status == ChannelStatus::kOk ? relay.from_tester(frame) : AssertRelay::Step{AssertRelay::Next::kFault, ""};
    if (step.next == AssertRelay::Next::kFault || !relay.planned()) {
      round.found = status == ChannelStatus::kOk ? Finding{Verdict::kError, step.payload} : lost(second_, status);
      round.all_same = true;
      return round;
    }
    round.planned = true;
    if (!known) adopt_plan(relay.names(), report, done);
    if (relay.names().size() != done.size()) fail("[judge] the tester planned ", relay.names().size(), " tests, expected ", done.size());
    if (!load_solution(round.found)) {
      round.all_same = true;
      return round;
    }
    drive(relay, round);
    for (size_t i = 0; i < done.size(); ++i) {
      if (!relay.results()[i]) continue;
      const TestReport& result = *relay.results()[i];
      set(report.tests[i], {result.verdict, result.detail}, result.seconds);
      done[i] = true;
    }
    if (round.stopped_at && done[*round.stopped_at]) round.stopped_at.reset();
    return round;
  }

  // Gives both launchers their parts; returns the nonce.
  std::string start_round(const std::vector<bool>& done) {
    const std::string nonce = random_nonce();
    const char* const kind = suite_.kind == Suite::Kind::kCheck ? "check" : suite_.kind == Suite::Kind::kUnit ? "unit" : "asserts";
    Value statements = Value::list({}), left;
    for (const Test& t : suite_.tests) statements.items.push_back(text(t.input));
    if (!done.empty()) {
      left = Value::list({});
      for (size_t i = 0; i < done.size(); ++i)
        if (!done[i]) left.items.push_back(Value::of(int64_t(i)));
    }
    const auto until = within(kStartSeconds);
    second_->channel.send(message({text("tester"), text(nonce), text(kind), text(suite_.context), text(suite_.code), statements,
                                   pairs(suite_.files, false), text(suite_.module), text(suite_.entry), left}),
                          until);
    first_->channel.send(message({text("module"), text(suite_.prelude), text(submission_.code), text(suite_.module)}), until);
    first_->channel.send(message({text("serve")}), until);
    return nonce;
  }

  void adopt_plan(const std::vector<std::string>& names, Report& report, std::vector<bool>& done) {
    report.tests.clear();
    for (const std::string& name : names) {
      report.tests.emplace_back();
      report.tests.back().name = name;
    }
    done.assign(names.size(), false);
  }

  bool load_solution(Finding& found) {
    for (int i = 0; i < 2; ++i) {  // the module; then that it serves
      std::string frame;
      const ChannelStatus status = first_->channel.receive(frame, within(kStartSeconds + options_.test_seconds));
      if (status != ChannelStatus::kOk) return found = lost(first_, status), false;
      const Answer answer(frame);
      if (answer.is("ok", 1)) continue;
      found = {Verdict::kError, "broke the protocol"};
      if (answer.is("bad", 2)) found = {Verdict::kCompileError, answer.text(1)};
      if (answer.is("raised", 3)) found = {Verdict::kError, answer.text(1) + ": " + answer.text(2)};
      return false;
    }
    return true;
  }

  // Carries frames between the two until the tests are through or the one that runs has broken something.
  void drive(AssertRelay& relay, Round& round) {
    auto until = within(options_.test_seconds + kGraceSeconds);
    for (;;) {
      std::string frame;
      ChannelStatus status;
      const int from = Channel::receive_either(second_->channel, first_->channel, frame, status, until);
      const auto test = relay.current();
      if (status != ChannelStatus::kOk) {
        round.stopped_at = test ? test : next_open(relay);
        Slot& slot = from == 0 ? second_ : first_;
        round.found = status == ChannelStatus::kTimeout ? Finding{Verdict::kTimeout, "time limit"} : lost(slot, status);
        return;
      }
      const auto step = from == 0 ? relay.from_tester(frame) : relay.from_solution(frame);
      if (step.next == AssertRelay::Next::kFinished) return;
      if (step.next == AssertRelay::Next::kFault) {
        round.stopped_at = test ? test : next_open(relay);
        round.found = {Verdict::kError, step.payload};
        return;
      }
      if (relay.current() != test) {
        until = within(options_.test_seconds + kGraceSeconds);
        const bool failed = test && relay.results()[*test] && relay.results()[*test]->verdict != Verdict::kPass;
        if (failed && options_.early_stop) return;
      }
      if (step.next == AssertRelay::Next::kToSolution) first_->channel.send(step.payload, until);
      if (step.next == AssertRelay::Next::kToTester) second_->channel.send(step.payload, until);
    }
  }
  static std::optional<size_t> next_open(const AssertRelay& relay) {
    for (size_t i = 0; i < relay.results().size(); ++i)
      if (!relay.results()[i]) return i;
    return std::nullopt;
  }

  LauncherPool& pool_;
  const Submission& submission_;
  const Suite& suite_;
  const CheckOptions& options_;
  const Clock::time_point deadline_;
  LauncherLimits limits_;
  Build build_;
  Build checker_build_;
  Slot first_, second_, checker_;  // the submission's; the tester's; the checker's
  Finding load_failure_;
  bool may_load_again_ = false;
};

// The tests as far as they are known without running anything, none of them passed.
Report planned_report(const Suite& suite) {
  Report report;
  report.subtask_points = suite.subtask_points;
  if (suite.kind == Suite::Kind::kUnit) {
    if (suite.files.empty()) fail_usage("[judge] a suite of unit tests needs files");
    report.tests.emplace_back().name = "test code";
    return report;
  }
  if (suite.kind == Suite::Kind::kCheck) {
    if (suite.code.empty() || suite.entry.empty()) fail_usage("[judge] a check(candidate) suite needs code and the name of the function");
    report.tests.emplace_back().name = "check";
    return report;
  }
  if (suite.tests.empty()) fail_usage("[judge] a suite needs at least one test");
  if (!suite.checker.code.empty() && suite.kind != Suite::Kind::kStdin)
    fail_usage("[judge] a checker judges what a program prints: it needs tests with input and output");
  if (suite.kind == Suite::Kind::kCalls && suite.entry.empty()) fail_usage("[judge] function-call tests need the name of the function");
  for (size_t i = 0; i < suite.tests.size(); ++i) {
    TestReport t;
    t.name = suite.tests[i].name.empty() ? std::to_string(i + 1) : suite.tests[i].name;
    t.weight = suite.tests[i].weight;
    t.subtask = suite.tests[i].subtask;
    report.tests.push_back(std::move(t));
  }
  return report;
}

void set_all(Report& report, Verdict verdict, const std::string& detail) {
  for (TestReport& t : report.tests) t.verdict = verdict, t.detail = detail;
}

}  // namespace

const char* verdict_name(Verdict verdict) {
  static const char* const kNames[] = {"pass",         "fail",    "error",         "timeout",           "memory",
                                       "output_limit", "not_run", "compile_error", "toolchain_missing", "sandbox_missing"};
  return kNames[int(verdict)];
}

int64_t Report::passes() const {
  return std::count_if(tests.begin(), tests.end(), [](const TestReport& t) { return t.verdict == Verdict::kPass; });
}
double Report::fraction() const {
  return tests.empty() ? 0 : double(passes()) / double(tests.size());
}
double Report::weighted() const {
  double reached = 0, all = 0;
  for (const TestReport& t : tests) {
    all += t.weight;
    reached += t.verdict == Verdict::kPass ? t.weight : 0;
  }
  return all > 0 ? reached / all : 0;
}
double Report::subtask_minimum() const {
  std::vector<int> state;  // 0: not there, 1: all pass, 2: not
  for (const TestReport& t : tests) {
    const size_t i = size_t(std::max(0, t.subtask));
    if (state.size() <= i) state.resize(i + 1, 0);
    state[i] = std::max(state[i], t.verdict == Verdict::kPass ? 1 : 2);
  }
  double reached = 0, all = 0;
  for (size_t i = 0; i < state.size(); ++i) {
    const double points = state[i] == 0 ? 0 : i < subtask_points.size() ? subtask_points[i] : 1;
    all += points;
    reached += state[i] == 1 ? points : 0;
  }
  return all > 0 ? reached / all : 0;
}

struct Judge::Impl {
  explicit Impl(const JudgeOptions& options) : workers(options.workers > 0 ? options.workers : usable_cpus()) {
    try {
      sandbox = std::make_unique<sandbox::Sandbox>(options.policy);
      const auto& missing = options.policy.may_miss;
      const bool alone = std::find(missing.begin(), missing.end(), sandbox::Layer::kNamespaces) == missing.end();
      pool = std::make_unique<LauncherPool>(*sandbox, compile_launcher(*sandbox), LauncherLimits{options.memory_bytes, 120, {}},
                                            options.warm, alone);
    } catch (const Error& e) {
      unavailable = e.what();
    }
  }

  // A place among the workers, until `deadline`.
  bool enter(Clock::time_point deadline) {
    std::unique_lock lock(mutex);
    if (!freed.wait_until(lock, deadline, [this] { return busy < workers; })) return false;
    ++busy;
    return true;
  }
  void leave() {
    {
      std::lock_guard lock(mutex);
      --busy;
    }
    freed.notify_one();
  }

  void run(const Submission& submission, const Suite& suite, const CheckOptions& options, Clock::time_point deadline, Report& report) {
    const Language* language = find_language(submission.language);
    if (!language) {
      std::string known;
      for (const Language& l : languages()) known += (known.empty() ? "" : ", ") + l.name;
      return set_all(report, Verdict::kToolchainMissing, "unknown language '" + submission.language + "'; known: " + known);
    }
    if (language->name != "python" && suite.kind != Suite::Kind::kStdin)
      fail_usage("[judge] ", language->name, " programs can only be judged by what they print (stdin tests)");
    Check check(*pool, submission, suite, options, deadline);
    if (!suite.checker.code.empty()) {
      const Language* own = find_language(suite.checker.language);
      if (!own) fail_usage("[judge] the checker's language '", suite.checker.language, "' is unknown");
      if (own->name != "python") {
        Build build = prepare_build(*own, suite.checker.code);
        if (!build.missing.empty()) return set_all(report, Verdict::kToolchainMissing, "for the checker: " + build.missing);
        check.set_checker_build(std::move(build));
      }
    }
    if (language->name != "python") {
      Build build = prepare_build(*language, submission.code);
      if (!build.missing.empty()) return set_all(report, Verdict::kToolchainMissing, build.missing);
      check.set_build(std::move(build), language->memory_floor);
    }
    check.run(report);
  }

  const int workers;
  std::string unavailable;
  std::unique_ptr<sandbox::Sandbox> sandbox;
  std::unique_ptr<LauncherPool> pool;
  std::mutex mutex;
  std::condition_variable freed;
  int busy = 0;
};

Judge::Judge(JudgeOptions options) : impl_(std::make_unique<Impl>(options)) {}
Judge::~Judge() = default;

const std::string& Judge::unavailable() const {
  return impl_->unavailable;
}
void Judge::wait_until_warm() const {
  if (impl_->pool) impl_->pool->wait_until_warm();
}

Report Judge::check(const Submission& submission, const Suite& suite, const CheckOptions& options) const {
  const auto begun = Clock::now();
  const auto deadline = after(options.deadline);
  Report report = planned_report(suite);
  if (!impl_->unavailable.empty()) {
    set_all(report, Verdict::kSandboxMissing, impl_->unavailable);
  } else if (!impl_->enter(deadline)) {
    set_all(report, Verdict::kNotRun, "no worker was free before the deadline");
  } else {
    struct Leave {
      Impl* impl;
      ~Leave() { impl->leave(); }
    } leave{impl_.get()};
    impl_->run(submission, suite, options, deadline, report);
  }
  report.verdict = Verdict::kPass;
  for (const TestReport& t : report.tests) {
    if (t.verdict == Verdict::kPass) continue;
    report.verdict = t.verdict;
    report.detail = t.name + ": " + t.detail;
    break;
  }
  if (report.tests.empty()) report.verdict = Verdict::kNotRun;
  report.seconds = -seconds_until(begun);
  return report;
}

}  // namespace r1::verify::judge
