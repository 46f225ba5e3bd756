// r1 judge: does a program do what its tests say? --jsonl: a line {"language", "code", and tests (r1/verify/judge/suite_json.h)} in, a
// report a line out, in order, with the line's "id" if it has one, {"error": ..} where a line is no good; {"completion"} in the place of "code" takes the program out of a model's
// answer. One program by --code and --tests.
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <mutex>
#include <thread>

#include "r1/app/json_lines.h"
#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/base/threads.h"
#include "r1/verify/judge/extract.h"
#include "r1/verify/judge/language.h"
#include "r1/verify/judge/suite_json.h"

namespace r1::app {
namespace {

namespace judge = verify::judge;

struct JudgeConfig {
  std::string code, tests, language;
  bool jsonl = false, early_stop = false;
  int64_t workers = 0, warm = 2, memory_mb = 512;
  double test_seconds = 5, deadline = 60;
  void visit(Fields& v) {
    v("code", code, "file of the program");
    v("tests", tests, "JSON file of the tests");
    v("language", language, "of the program; empty: what its text looks like");
    v("jsonl", jsonl, "read {\"language\",\"code\",\"tests\":..} lines from stdin, write a report a line, in order");
    v("early_stop", early_stop, "the first test that does not pass ends a check");
    v("workers", workers, "checks at a time; 0: as many as CPUs", Range{0, 4096});
    v("warm", warm, "sandboxes kept ready", Range{0, 4096});
    v("test_seconds", test_seconds, "seconds that one test may take", Range{0.01, 3600.0});
    v("deadline", deadline, "seconds that one check may take", Range{0.1, 36000.0});
    v("memory_mb", memory_mb, "memory of a program", Range{16, 1 << 20});
  }
};

judge::CheckOptions check_options(const JudgeConfig& config) {
  judge::CheckOptions out;
  out.test_seconds = config.test_seconds;
  out.deadline = config.deadline;
  out.early_stop = config.early_stop;
  out.memory_bytes = config.memory_mb << 20;
  return out;
}

// One line of input. What is wrong with it is an error; what is wrong with the program is a verdict.
Json judge_row(const judge::Judge& judge, const JudgeConfig& config, Json row, const std::string& where) {
  std::string language = json_get_or<std::string>(row, "language", config.language, where), code;
  if (row.contains("completion")) {
    const auto found = judge::extract_code(json_get<std::string>(row, "completion", where), language,
                                           json_get_or<std::string>(row, "entry_point", "", where));
    if (!found) return {{"verdict", "no_code"}, {"passed", 0}, {"score", 0.0}, {"detail", "no program in the completion"}};
    code = found->code;
    if (language.empty()) language = found->tag;
  } else {
    code = json_get<std::string>(row, "code", where);
  }
  if (language.empty()) language = judge::guess_language(code).name;
  for (const char* key : {"language", "completion", "code", "id"}) row.erase(key);
  return judge::report_to_json(judge.check({language, code}, judge::suite_from_json(row, where), check_options(config)));
}

// A line's own name for itself comes first in what is said of it.
Json judge_line(const judge::Judge& judge, const JudgeConfig& config, const std::string& line, const std::string& where) {
  const Json row = parse_json(line, where);
  const Json report = judge_row(judge, config, row, where);
  Json out = Json::object();
  if (row.contains("id")) out["id"] = row["id"];
  out.update(report);
  return out;
}

// Lines in, reports out in the same order, several checks at a time; at most `ahead` lines are held.
class Lines {
 public:
  Lines(const judge::Judge& judge, const JudgeConfig& config, size_t workers) : judge_(judge), config_(config), ahead_(workers * 4) {
    for (size_t i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
  }
  ~Lines() {
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
    for (std::thread& t : threads_) t.join();
  }
  int run() {
    int64_t number = 0;
    for (std::string line; std::getline(std::cin, line);) {
      ++number;
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      std::unique_lock lock(mutex_);
      while (jobs_.size() >= ahead_) print_first(lock);
      jobs_.push_back({line, str("stdin:", number), {}, {}, false, false});
      changed_.notify_all();
    }
    std::unique_lock lock(mutex_);
    while (!jobs_.empty()) print_first(lock);
    return bad_.exit_code();
  }

 private:
  struct Job {
    std::string line, where;
    Json report;
    std::exception_ptr error;
    bool taken, done;
  };
  void print_first(std::unique_lock<std::mutex>& lock) {
    changed_.wait(lock, [this] { return jobs_.front().done; });
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    Json out = job.report;
    try {
      if (job.error) std::rethrow_exception(job.error);
    } catch (const Error& error) {
      out = bad_.in_place_of(job.line, error);
    }
    print_text(dump_json(out) + "\n");
  }
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      Job* mine = nullptr;
      changed_.wait(lock, [&] {
        for (Job& job : jobs_)
          if (!job.taken) return mine = &job, true;
        return closed_;
      });
      if (!mine) return;
      mine->taken = true;  // a deque's elements stay where they are; this one leaves only when it is done
      lock.unlock();
      try {
        mine->report = judge_line(judge_, config_, mine->line, mine->where);
      } catch (...) {
        mine->error = std::current_exception();
      }
      lock.lock();
      mine->done = true;
      changed_.notify_all();
    }
  }

  const judge::Judge& judge_;
  const JudgeConfig& config_;
  const size_t ahead_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool closed_ = false;
  BadLines bad_;
  std::vector<std::thread> threads_;
};

int judge_file(const judge::Judge& judge, const JudgeConfig& config, bool json) {
  if (config.code.empty() || config.tests.empty()) fail_usage("r1 judge: give --code and --tests, or --jsonl");
  Json row = parse_json_file(config.tests);
  row["code"] = read_file(config.code);
  if (!config.language.empty()) row["language"] = config.language;
  const Json report = judge_row(judge, config, std::move(row), config.tests);
  if (json) {
    print_text(dump_json(report) + "\n");
  } else {
    for (const Json& t : report["tests"])
      print_text(str(t["name"].get<std::string>(), ": ", t["verdict"].get<std::string>(), " ", t["detail"].get<std::string>(), "\n"));
    print_text(str(report["verdict"].get<std::string>(), ": ", report["passed"], " of ", report["total"], " tests passed\n"));
  }
  return report["verdict"] == "pass" ? 0 : 1;
}

int run(const JudgeConfig& config, const CommonOptions& common) {
  const judge::Judge judge({.workers = int(config.workers), .warm = int(config.warm), .memory_bytes = config.memory_mb << 20});
  if (!judge.unavailable().empty()) fail("r1 judge: ", judge.unavailable());
  if (!config.jsonl) return judge_file(judge, config, common.json);
  return Lines(judge, config, size_t(config.workers > 0 ? config.workers : usable_cpus())).run();
}

}  // namespace

Command cmd_judge() {
  return make_command<JudgeConfig>("judge", "does a program do what its tests say? run in a sandbox", run);
}

}  // namespace r1::app
