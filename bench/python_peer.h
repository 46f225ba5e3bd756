// A peer library in a Python process of its own, spoken to a line at a time, so that its rounds and ours take turns on the same machine.
// The script answers each line that it is sent with one line of JSON.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/json.h"

namespace r1::bench {

class PythonPeer {
 public:
  PythonPeer(const std::string& python, std::vector<std::string> arguments) : name_(arguments.at(0)) {
    int to[2], from[2];
    check(pipe(to) == 0 && pipe(from) == 0, "no pipe for ", name_);
    child_ = fork();
    check(child_ >= 0, "no process for ", name_);
    if (child_ == 0) {
      dup2(to[0], 0);
      dup2(from[1], 1);
      for (const int fd : {to[0], to[1], from[0], from[1]}) close(fd);
      std::vector<char*> words = {const_cast<char*>(python.c_str())};
      for (std::string& argument : arguments) words.push_back(argument.data());
      words.push_back(nullptr);
      execvp(python.c_str(), words.data());
      _exit(127);
    }
    close(to[0]);
    close(from[1]);
    std::signal(SIGPIPE, SIG_IGN);
    out_ = fdopen(to[1], "w");
    in_ = fdopen(from[0], "r");
  }
  ~PythonPeer() {
    std::fclose(out_);
    std::fclose(in_);
    waitpid(child_, nullptr, 0);
  }
  PythonPeer(const PythonPeer&) = delete;
  PythonPeer& operator=(const PythonPeer&) = delete;

  Json ask(const std::string& line) {
    std::fprintf(out_, "%s\n", line.c_str());
    std::fflush(out_);
    std::string answer;
    for (int c; (c = std::fgetc(in_)) != EOF && c != '\n';) answer += char(c);
    check(!answer.empty(), name_, " did not answer '", line,
          "'; give --python one that has the peer library (the script's first lines name it)");
    return parse_json(answer, name_);
  }

 private:
  std::string name_;
  pid_t child_ = -1;
  std::FILE *out_ = nullptr, *in_ = nullptr;
};

// Medians over rounds and how far the ratio of a round goes from them.
struct Rounds {
  std::vector<double> ours, theirs;
  Json summary() const {
    std::vector<double> ratios;
    for (size_t i = 0; i < ours.size(); ++i) ratios.push_back(theirs[i] / ours[i]);
    const auto median_of = [](std::vector<double> v) {
      std::sort(v.begin(), v.end());
      return v[v.size() / 2];
    };
    return {{"ours_s", median_of(ours)},
            {"peer_s", median_of(theirs)},
            {"ratio", median_of(ratios)},
            {"ratio_min", *std::min_element(ratios.begin(), ratios.end())},
            {"ratio_max", *std::max_element(ratios.begin(), ratios.end())},
            {"rounds", ratios.size()}};
  }
};

}  // namespace r1::bench
