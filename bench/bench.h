// What every bench needs: its arguments, its lines, a clock, measurements in processes of their own, and a main that says what went wrong.
// No libtorch.
#pragma once

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/json.h"

namespace r1::bench {

// The parts of a list, "full,lsh".
inline std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  std::istringstream in(list);
  for (std::string part; std::getline(in, part, ',');) parts.push_back(part);
  return parts;
}

// --key value or --key=value, for the keys that are given a default; one whose default is "no" is a switch, which takes no value.
// At most `most_words` others.
class Arguments {
 public:
  Arguments(int argc, char** argv, std::map<std::string, std::string> defaults, size_t most_words = 0) : given_(std::move(defaults)) {
    for (int i = 1; i < argc; ++i) {
      const std::string word = argv[i];
      if (!word.starts_with("--")) {
        words_.push_back(word);
        if (words_.size() > most_words) refuse(word);
        continue;
      }
      const size_t equals = word.find('=');
      const auto at = given_.find(word.substr(2, equals - 2));
      if (at == given_.end()) refuse(word);
      if (equals != std::string::npos) {
        at->second = word.substr(equals + 1);
      } else if (at->second == "no") {
        at->second = "yes";
      } else if (++i < argc) {
        at->second = argv[i];
      } else {
        fail_usage(word, " wants a value");
      }
    }
  }
  const std::string& text(const std::string& key) const { return given_.at(key); }
  bool is_on(const std::string& key) const { return text(key) == "yes"; }
  int64_t number(const std::string& key) const { return to<int64_t>(key); }
  double real(const std::string& key) const { return to<double>(key); }
  const std::vector<std::string>& words() const { return words_; }

 private:
  [[noreturn]] void refuse(const std::string& word) const {
    std::string known;
    for (const auto& [key, value] : given_) known += " --" + key;
    fail_usage("unknown argument ", word, "; options are", known);
  }
  template <class T>
  T to(const std::string& key) const {
    std::istringstream in(text(key));
    T value{};
    if (!(in >> value) || in.peek() != EOF) fail_usage("--", key, " wants a number, got ", text(key));
    return value;
  }

  std::map<std::string, std::string> given_;
  std::vector<std::string> words_;
};

// One JSON object, one line, at once.
inline void print(const Json& line) {
  std::printf("%s\n", dump_json(line).c_str());
  std::fflush(stdout);
}

// Processor time of the process, all threads: what other work on the machine changes least.
inline double cpu_ms() {
  return 1e3 * double(std::clock()) / CLOCKS_PER_SEC;
}
// The most memory that the process has held so far.
inline double peak_mb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return double(usage.ru_maxrss) / 1024;
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

using Measurement = std::function<Json()>;

// Each in a process of its own, so that its peak of memory is its own, `jobs` at a time. `done` is told what came out, in the order in
// which they end. One that fails says why on stderr; returns how many did.
inline int in_children(const std::vector<Measurement>& measurements, int64_t jobs, const std::function<void(size_t, const Json&)>& done) {
  struct Child {
    size_t measurement;
    int from;
  };
  std::map<pid_t, Child> running;
  const auto start = [&](size_t i) {
    int ends[2];
    check(pipe(ends) == 0, "no pipe for a measurement");
    const pid_t child = fork();
    check(child >= 0, "no process for a measurement");
    if (child > 0) {
      close(ends[1]);
      running[child] = {i, ends[0]};
      return;
    }
    try {
      const std::string line = dump_json(measurements[i]());
      _exit(write(ends[1], line.data(), line.size()) == ssize_t(line.size()) ? 0 : 1);
    } catch (const std::exception& e) {
      std::fprintf(stderr, "%s\n", e.what());
      _exit(1);
    }
  };
  int failed = 0;
  for (size_t next = 0; next < measurements.size() || !running.empty();) {
    while (next < measurements.size() && int64_t(running.size()) < std::max<int64_t>(1, jobs)) start(next++);
    int status = 0;
    const auto ended = running.extract(waitpid(-1, &status, 0));
    if (!ended) continue;
    std::string line;
    char part[4096];
    for (ssize_t n; (n = read(ended.mapped().from, part, sizeof part)) > 0;) line.append(part, size_t(n));
    close(ended.mapped().from);
    if (WIFSIGNALED(status)) std::fprintf(stderr, "a measurement died of signal %d (9: out of memory?)\n", WTERMSIG(status));
    if (status == 0)
      done(ended.mapped().measurement, parse_json(line, "a measurement"));
    else
      ++failed;
  }
  return failed;
}

inline Json in_child(const Measurement& measurement) {
  Json line;
  check(in_children({measurement}, 1, [&](size_t, const Json& result) { line = result; }) == 0, "a measurement failed");
  return line;
}

// What main() returns: an error becomes a line and its exit code.
inline int exit_code_of(const std::function<void()>& run) {
  try {
    run();
    return 0;
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return e.exit_code();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}

}  // namespace r1::bench
