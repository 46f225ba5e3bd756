// Which waiting request goes next: the lowest priority number first, then the client who has had the least, then who came first. What a client
// has had is counted in tokens since somebody else waited last; one that comes anew starts level with the least served of those who are there,
// so that nobody saves up turns by staying away.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace r1::serve {

template <class Item>
class FairQueue {
 public:
  void push(Item item, int64_t priority, const std::string& key) {
    if (!active(key)) had_[key] = std::max(had(key), least());
    ++waits_[key];
    items_.push_back({std::move(item), priority, next_++, key});
  }
  bool empty() const { return items_.empty(); }
  size_t size() const { return items_.size(); }

  Item pop() {
    const auto first = std::ranges::min_element(items_, [this](const Entry& a, const Entry& b) {
      return std::tuple(a.priority, had(a.key), a.number) < std::tuple(b.priority, had(b.key), b.number);
    });
    return take(first);
  }
  // The first that fits, or a default Item.
  template <class Predicate>
  Item remove_if(Predicate fits) {
    const auto it = std::ranges::find_if(items_, [&](const Entry& e) { return fits(e.item); });
    return it == items_.end() ? Item() : take(it);
  }
  // `key` runs one more (or one less) request, or has had so many tokens.
  void begin(const std::string& key) { ++runs_[key]; }
  void end(const std::string& key) {
    if (--runs_[key] == 0) runs_.erase(key);
    forget_idle();
  }
  void charge(const std::string& key, int64_t tokens) { had_[key] += tokens; }

 private:
  struct Entry {
    Item item;
    int64_t priority;
    uint64_t number;
    std::string key;
  };
  bool active(const std::string& key) const { return waits_.contains(key) || runs_.contains(key); }
  int64_t had(const std::string& key) const {
    const auto it = had_.find(key);
    return it == had_.end() ? 0 : it->second;
  }
  int64_t least() const {
    int64_t least = -1;
    for (const auto* keys : {&waits_, &runs_})
      for (const auto& [key, count] : *keys) least = least < 0 ? had(key) : std::min(least, had(key));
    return std::max<int64_t>(least, 0);
  }
  Item take(typename std::vector<Entry>::iterator it) {
    Item item = std::move(it->item);
    if (--waits_[it->key] == 0) waits_.erase(it->key);
    items_.erase(it);
    return item;
  }
  // With nobody there, nobody has had more than another.
  void forget_idle() {
    if (waits_.empty() && runs_.empty()) had_.clear();
  }

  std::vector<Entry> items_;
  std::map<std::string, int64_t> had_, waits_, runs_;
  uint64_t next_ = 0;
};

}  // namespace r1::serve
