// Who may be asked next: the sites, what waits for each, and when each may be asked again. No network here, and no clock: times are given.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "r1/corpus/fetch_robots.h"

namespace r1::corpus {

struct FetchJob;

struct Site {
  enum class RobotsState { kUnknown, kAsked, kKnown };

  std::string origin;
  double delay = 0;           // between two requests
  std::string given_up, why;  // a reason for which nothing more is asked of it, and its words; "" as long as it is
  int64_t unreachable = 0;    // tries in a row that did not reach it
  RobotsState robots_state = RobotsState::kUnknown;
  Robots robots;
  std::string robots_fault;           // its robots.txt cannot be had, so that nothing may be fetched
  std::vector<FetchJob*> for_robots;  // wait for that file

 private:
  friend class Sites;
  std::deque<FetchJob*> fresh;
  std::multimap<double, FetchJob*> later;
  int64_t active = 0;
  double last_start = -1e18, not_before = -1e18, queued_at = 0;
  bool queued = false;
};

class Sites {
 public:
  Sites(int64_t per_site, double delay) : per_site_(per_site), delay_(delay) {}

  Site& of(const std::string& origin);
  void add(Site& site, FetchJob* job, bool first = false);  // as soon as it may be
  void add_later(Site& site, FetchJob* job, double when);
  void pause(Site& site, double until);  // nobody asks it before
  // The next job that may begin at `now`, and its site, which counts it as active; null if there is none.
  FetchJob* next(double now, Site*& site);
  void ended(Site& site);
  // When next() will have one; +inf if nothing waits.
  double next_time() const;

 private:
  void place(Site& site);

  int64_t per_site_;
  double delay_;
  std::unordered_map<std::string, std::unique_ptr<Site>> all_;
  std::set<std::pair<double, Site*>> queue_;
};

}  // namespace r1::corpus
