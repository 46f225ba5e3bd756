#include "r1/dist/pulse.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <vector>

#include "r1/base/error.h"

namespace r1::dist {
namespace {

using Clock = std::chrono::steady_clock;

double now() {
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

std::string beat_key(int64_t rank) {
  return str("beat/", rank);
}
std::string end_key(int64_t rank) {
  return str("end/", rank);
}

// "17 all_reduce 12 (..), done" -> "all_reduce 12 (..), done"
std::string doing_in(const std::string& beat) {
  return beat.substr(std::min(beat.size(), beat.find(' ') + 1));
}

int beat_pipe() {
  const char* text = std::getenv(kBeatPipe);
  return text && *text ? std::atoi(text) : -1;
}

// Whole or, into a pipe that is full, not at all.
void write_beat(int pipe, const std::string& doing) {
  char beat[kBeatBytes] = {};
  std::memcpy(beat, doing.data(), std::min(doing.size(), kBeatBytes - 1));
  [[maybe_unused]] const auto n = ::write(pipe, beat, kBeatBytes);
}

}  // namespace

Pulse::Pulse(std::unique_ptr<Store> store, int64_t rank, std::vector<std::string> names, std::function<std::string()> doing)
    : store_(std::move(store)),
      questions_(store_->clone()),
      rank_(rank),
      names_(std::move(names)),
      doing_(std::move(doing)),
      pipe_(beat_pipe()) {
  beat();
  thread_ = std::thread([this] { run(); });
}

Pulse::~Pulse() {
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Pulse::beat() {
  const std::string doing = doing_();
  if (pipe_ >= 0) write_beat(pipe_, doing);
  store_->set(beat_key(rank_), str(++count_, " ", doing));
}

void Pulse::run() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, std::chrono::duration<double>(kBeat), [&] { return done_; })) {
    lock.unlock();
    try {
      beat();
    } catch (const Error&) {  // a holder that was stopped may go on; if it has ended, the collectives will say so
    }
    lock.lock();
  }
}

void Pulse::note() const {
  if (pipe_ >= 0) write_beat(pipe_, doing_());
}

void Pulse::leave(const std::string& why) {
  const std::lock_guard lock(asking_);
  if (left_) return;
  left_ = true;
  try {
    questions_->set(end_key(rank_), why);
  } catch (const Error&) {
  }
}

std::string Pulse::reason(const std::string& operation, const std::vector<int64_t>& members) {
  const auto takes_part = [&](size_t r) { return members.empty() || std::ranges::find(members, int64_t(r)) != members.end(); };
  // First our own word: who looks at us next must not take this rank for the one that is missing.
  leave("!" + operation);
  const std::lock_guard lock(asking_);
  try {
    std::vector<std::optional<std::string>> before, after, ends;
    const auto look = [&](std::vector<std::optional<std::string>>& beats) {
      beats.clear();
      for (size_t r = 0; r < names_.size(); ++r) beats.push_back(questions_->get(beat_key(int64_t(r))));
    };
    look(before);
    const auto all_live = [&] {
      for (size_t r = 0; r < names_.size(); ++r)
        if (int64_t(r) != rank_ && before[r] == after[r] && !questions_->get(end_key(int64_t(r)))) return false;
      return true;
    };
    for (int beat = 0; beat < kLook; ++beat) {
      std::this_thread::sleep_for(std::chrono::duration<double>(kBeat));
      look(after);
      if (all_live()) break;
    }
    std::string own_words, silent, elsewhere;
    for (size_t r = 0; r < names_.size(); ++r) {
      if (int64_t(r) == rank_) continue;
      const auto end = questions_->get(end_key(int64_t(r)));
      if (end && !end->starts_with("!")) {
        own_words += str(own_words.empty() ? "" : "; ", names_[r], " ended: ", *end);
      } else if (!end && before[r] == after[r]) {
        silent +=
            str(silent.empty() ? "" : "; ", names_[r],
                " gives no sign of life (killed, stopped, or its machine is gone); its last: ", after[r] ? doing_in(*after[r]) : "nothing");
      } else if (!end && takes_part(r) && after[r] && !doing_in(*after[r]).starts_with(operation + " (")) {
        elsewhere += str(elsewhere.empty() ? "" : "; ", names_[r], " runs, but has not come to it; its last: ", doing_in(*after[r]));
      }
    }
    if (!own_words.empty()) return own_words;
    if (!silent.empty()) return silent;
    return elsewhere.empty() ? "all ranks run; the network between them is slow or cut" : elsewhere;
  } catch (const Error& error) {
    return str(error.what(), "; ", names_[0], ", or the launcher, holds it");
  }
}

std::string Pulse::missing(int64_t rank, double seconds) {
  const std::lock_guard lock(asking_);
  std::string beat;
  try {
    if (const auto end = questions_->get(end_key(rank)))
      return str(names_[size_t(rank)], " ended: ", end->substr(end->starts_with("!") ? 1 : 0));
    beat = questions_->get(beat_key(rank)).value_or("");
  } catch (const Error&) {
    return "";  // nothing is known of it while the store does not answer
  }
  if (watched_ != rank || beat != seen_) {
    watched_ = rank;
    seen_ = beat;
    changed_ = now();
  }
  if (now() - changed_ < seconds) return "";
  return str(names_[size_t(rank)], " gives no sign of life (killed, stopped, or its machine is gone)");
}

}  // namespace r1::dist
