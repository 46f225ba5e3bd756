#include "r1/stages/step_bar.h"

#include "r1/base/error.h"

namespace r1::stages {

StepBar::StepBar(std::string title, int64_t total, std::string unit, double quiet)
    : bar_(std::move(title), total, std::move(unit)), quiet_(quiet), thread_([this] { watch(); }) {}

StepBar::~StepBar() {
  finish();
}

void StepBar::update(int64_t done, const std::string& note) {
  const std::lock_guard lock(mutex_);
  step_ = done;
  if (!note.empty()) note_ = note;
  phase_.clear();
  begun_ = Clock::now();
  bar_.update(done, note_);
}

void StepBar::at(std::string phase) {
  const std::lock_guard lock(mutex_);
  phase_ = std::move(phase);
  if (Clock::now() - begun_ > std::chrono::seconds(1)) bar_.update(step_, with_phase());
}

std::string StepBar::with_phase() const {
  return str(note_, note_.empty() ? "" : "  ", phase_.empty() ? "at work" : phase_);
}

void StepBar::finish(const std::string& note) {
  {
    const std::lock_guard lock(mutex_);
    if (done_) return;
    done_ = true;
  }
  wake_.notify_all();
  thread_.join();
  bar_.finish(note.empty() ? note_ : note);
}

// The rate of words is the bar's own: a line every half minute where stderr is no terminal.
void StepBar::watch() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, quiet_ / 5, [this] { return done_; })) {
    const std::chrono::duration<double> taken = Clock::now() - begun_;
    if (taken < quiet_) continue;
    bar_.update(step_, str(with_phase(), ", ", human_time(taken.count()), " in this step"));
  }
}

}  // namespace r1::stages
