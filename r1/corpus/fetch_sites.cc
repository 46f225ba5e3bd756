#include "r1/corpus/fetch_sites.h"

#include <algorithm>
#include <limits>

namespace r1::corpus {

Site& Sites::of(const std::string& origin) {
  std::unique_ptr<Site>& site = all_[origin];
  if (!site) {
    site = std::make_unique<Site>();
    site->origin = origin;
    site->delay = delay_;
  }
  return *site;
}

void Sites::add(Site& site, FetchJob* job, bool first) {
  first ? site.fresh.push_front(job) : site.fresh.push_back(job);
  place(site);
}

void Sites::add_later(Site& site, FetchJob* job, double when) {
  site.later.emplace(when, job);
  place(site);
}

void Sites::pause(Site& site, double until) {
  site.not_before = std::max(site.not_before, until);
  place(site);
}

FetchJob* Sites::next(double now, Site*& site) {
  if (queue_.empty() || queue_.begin()->first > now) return nullptr;
  site = queue_.begin()->second;
  FetchJob* job = nullptr;
  // what was put off and is due goes before what has not been tried
  if (const auto due = site->later.begin(); due != site->later.end() && (due->first <= now || site->fresh.empty())) {
    job = due->second;
    site->later.erase(due);
  } else {
    job = site->fresh.front();
    site->fresh.pop_front();
  }
  ++site->active;
  site->last_start = now;
  place(*site);
  return job;
}

void Sites::ended(Site& site) {
  --site.active;
  place(site);
}

double Sites::next_time() const {
  return queue_.empty() ? std::numeric_limits<double>::infinity() : queue_.begin()->first;
}

// Sites stand in the queue by the time at which they may be asked; those that may be at once, by how long they were not.
void Sites::place(Site& site) {
  if (site.queued) queue_.erase({site.queued_at, &site});
  site.queued = site.active < per_site_ && !(site.fresh.empty() && site.later.empty());
  if (!site.queued) return;
  double when = std::max(site.last_start + site.delay, site.not_before);
  if (site.fresh.empty()) when = std::max(when, site.later.begin()->first);
  site.queued_at = when;
  queue_.emplace(when, &site);
}

}  // namespace r1::corpus
