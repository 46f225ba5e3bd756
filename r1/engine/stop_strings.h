// Cuts a stream of text before the first of some strings, which may arrive in pieces: text that could still become a stop string is held
// back. The pieces given out never contain any of a stop string, and together they are the text up to it (or all of it after finish()).
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "r1/base/error.h"

namespace r1::engine {

class StopStrings {
 public:
  // An empty stop string would end every answer before it begins: it is an error.
  explicit StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {
    for (const std::string& stop : stops_) check(!stop.empty(), "[stop] an empty string ends nothing; leave it out");
  }

  // Text that is safe to show now.
  // A stop string that ends in a piece with `may_stop` false is text like any other (min_new_tokens); one that only begins there counts.
  std::string push(const std::string& piece, bool may_stop = true) {
    if (stopped_) return {};
    held_ += piece;
    if (!may_stop) open_from_ = held_.size();
    size_t at = std::string::npos;
    for (const std::string& stop : stops_) {
      const size_t found = held_.find(stop, open_from_ < stop.size() ? 0 : open_from_ - stop.size() + 1);
      if (found < at) at = found, which_ = stop;
    }
    stopped_ = at != std::string::npos;
    return give(stopped_ ? at : held_.size() - longest_beginning());
  }
  // What was held back, if no stop string came of it.
  std::string finish() { return stopped_ ? std::string() : give(held_.size()); }
  bool stopped() const { return stopped_; }
  const std::string& which() const { return which_; }  // the one that was met

 private:
  std::string give(size_t count) {
    std::string text = held_.substr(0, count);
    held_.erase(0, count);
    open_from_ -= std::min(open_from_, count);
    return text;
  }
  // Bytes at the end of held_ that begin some stop string.
  size_t longest_beginning() const {
    size_t longest = 0;
    for (const std::string& stop : stops_)
      for (size_t n = std::min(stop.size() - 1, held_.size()); n > longest; --n)
        if (held_.compare(held_.size() - n, n, stop, 0, n) == 0) longest = n;
    return longest;
  }

  std::vector<std::string> stops_;
  std::string held_, which_;
  size_t open_from_ = 0;  // a stop string counts if it ends past this place in held_
  bool stopped_ = false;
};

}  // namespace r1::engine
