// Progress of long work: a bar with rate and time left on a terminal, a plain line now and then when stderr is not one, nothing with
// --quiet.
//   Progress bar("pretrain", total_steps, "step");
//   bar.update(step, "loss 2.31  12.1k tok/s");
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace r1 {

// What a bar says at a moment, and the line it makes of that in `columns` columns. A narrow terminal loses, in this order: length of the bar,
// the note's items from its end (they stand two blanks apart), the bar, the time spent, the count, the title, the percent; rate and time
// left stay, and no word is broken.
struct ProgressState {
  std::string title, unit, note;
  int64_t done = 0, total = 0;  // total 0: unknown
  double spent = 0, rate = 0;   // seconds; units a second, 0: not known yet
  bool utf8 = true;             // false: a bar of ASCII
};
std::string progress_line(const ProgressState& state, size_t columns);

class Progress {
 public:
  // total 0: unknown length.
  Progress(std::string title, int64_t total, std::string unit);
  ~Progress();  // finishes the line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // For work whose length is known only once it runs.
  void set_total(int64_t total) { total_ = total; }
  void update(int64_t done, const std::string& note = "");
  void finish(const std::string& note = "");

 private:
  ProgressState state() const;
  void draw(bool last);
  std::string title_, unit_, note_;
  int64_t total_, done_ = 0, first_ = -1;
  std::chrono::steady_clock::time_point start_, drawn_;
  bool finished_ = false;
};

// "4m 07s", "1.3k", "12.4M": for people.
std::string human_time(double seconds);
std::string human_count(double n);
std::string human_bytes(double n);

// Small plots for the terminal: a line of eighth blocks (of ASCII where the locale is not UTF-8), values scaled to [lo, hi] (lo == hi: to
// the data).
std::string sparkline(const double* values, size_t n, size_t width, double lo = 0, double hi = 0);

}  // namespace r1
