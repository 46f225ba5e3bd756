// The signs of life of a rank, and what can be said of the others when something goes wrong. A thread writes into the store (and, under r1
// launch, into the launcher's pipe) that this process runs and which collective was its last; a stopped process, or one on a machine that
// is gone, does not. No clocks are compared: a sign is fresh if it has changed since it was last looked at.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "r1/dist/store.h"

namespace r1::dist {

inline constexpr double kBeat = 0.5;                           // seconds between signs
inline constexpr const char* kBeatPipe = "R1_LAUNCH_BEAT_FD";  // environment: the launcher's pipe, for kBeatBytes at a time
inline constexpr size_t kBeatBytes = 96;

inline constexpr int kLook = 5;  // beats after which who has sent none counts as silent

class Pulse {
 public:
  // `doing`: the last collective, in words. `names`: of every rank, "rank 1 (host, process 71)".
  Pulse(std::unique_ptr<Store> store, int64_t rank, std::vector<std::string> names, std::function<std::string()> doing);
  ~Pulse();

  // A collective begins: the launcher, if there is one, hears of it at once.
  void note() const;
  // Why a collective was not completed: who has ended with which words, who gives no sign of life, who of `members` (ranks; empty: all) runs
  // but does something else. Waits up to kLook beats to see. Never throws, and answers within seconds also when the store is gone.
  std::string reason(const std::string& operation, const std::vector<int64_t>& members = {});
  // Tells the others why this rank leaves; the first word counts.
  void leave(const std::string& why);
  // "" as long as nobody has to give up on that rank, or the store does not answer: its last word otherwise, or that it gave no sign of life
  // for `seconds`.
  std::string missing(int64_t rank, double seconds);

 private:
  void run();
  void beat();

  std::unique_ptr<Store> store_, questions_;
  int64_t rank_, count_ = 0;
  std::vector<std::string> names_;
  std::function<std::string()> doing_;
  int pipe_ = -1;
  std::mutex mutex_, asking_;
  std::condition_variable wake_;
  bool done_ = false, left_ = false;
  // Of missing(): what was seen of a rank, and when it last changed.
  int64_t watched_ = -1;
  std::string seen_;
  double changed_ = 0;
  std::thread thread_;
};

}  // namespace r1::dist
