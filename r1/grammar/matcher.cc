#include "r1/grammar/matcher.h"

#include <algorithm>
#include <array>
#include <list>
#include <map>
#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "r1/base/error.h"
#include "r1/grammar/token_mask.h"

namespace r1::grammar {

namespace {

using StackId = uint32_t;
using SetId = uint32_t;

// What is done when a rule ends: `call` is over once (a counted one: `need` rounds must and `room` may still follow), or the text ends.
struct Frame {
  int32_t call;
  uint32_t need = 0, room = 0;
  friend auto operator<=>(const Frame&, const Frame&) = default;
};
constexpr int32_t kEnd = -1;      // of the text
constexpr int32_t kUnknown = -2;  // whoever called is not looked at
constexpr uint32_t kNoRoomLimit = UINT32_MAX;

struct Tail {
  Frame frame;
  StackId below;
  friend auto operator<=>(const Tail&, const Tail&) = default;
};
struct Stack {
  std::vector<Tail> tails;  // ascending
  int depth = 0;
};

struct Item {
  int32_t state;
  StackId stack;
  friend auto operator<=>(const Item&, const Item&) = default;
};
struct Set {
  std::vector<Item> items;  // states with bytes to come, ascending
  bool accepts = false;     // the text may end
  bool leaves = false;      // the rule whose caller is unknown may end
  std::unique_ptr<std::array<SetId, 256>> next;
};
constexpr SetId kDead = 0, kNotMade = UINT32_MAX;

uint64_t mix(uint64_t h, uint64_t v) {
  h = (h ^ v) * 0x9E3779B97F4A7C15ull;
  return h ^ h >> 32;
}
uint64_t hash_of(const std::vector<Tail>& tails) {
  uint64_t h = tails.size();
  for (const Tail& t : tails) h = mix(mix(mix(mix(h, uint64_t(uint32_t(t.frame.call))), t.frame.need), t.frame.room), t.below);
  return h;
}
uint64_t hash_of(const std::vector<Item>& items, bool accepts, bool leaves) {
  uint64_t h = items.size() * 4 + accepts * 2 + leaves;
  for (const Item& i : items) h = mix(mix(h, uint64_t(uint32_t(i.state))), i.stack);
  return h;
}

// Stacks, places and steps. Ids are valid until clear().
struct Memory {
  std::vector<Stack> stacks;
  std::vector<Set> sets;
  std::unordered_multimap<uint64_t, uint32_t> stack_ids, set_ids;
  std::unordered_map<uint64_t, StackId> unions;
  size_t bytes = 0;
  StackId end = 0, unknown = 0;

  Memory() {
    sets.emplace_back();  // kDead
    end = stack({{{kEnd}, 0}});
    unknown = stack({{{kUnknown}, 0}});
  }

  StackId stack(std::vector<Tail> tails) {
    const uint64_t h = hash_of(tails);
    for (auto [it, last] = stack_ids.equal_range(h); it != last; ++it)
      if (stacks[it->second].tails == tails) return it->second;
    int depth = 0;
    for (const Tail& t : tails)
      if (t.frame.call >= 0) depth = std::max(depth, stacks[t.below].depth + 1);
    bytes += 96 + tails.size() * sizeof(Tail);
    stacks.push_back({std::move(tails), depth});
    stack_ids.emplace(h, uint32_t(stacks.size() - 1));
    return StackId(stacks.size() - 1);
  }

  SetId set(std::vector<Item> items, bool accepts, bool leaves) {
    if (items.empty() && !accepts && !leaves) return kDead;
    const uint64_t h = hash_of(items, accepts, leaves);
    for (auto [it, last] = set_ids.equal_range(h); it != last; ++it) {
      const Set& s = sets[it->second];
      if (s.items == items && s.accepts == accepts && s.leaves == leaves) return it->second;
    }
    bytes += 128 + items.size() * sizeof(Item);
    sets.push_back({std::move(items), accepts, leaves, nullptr});
    set_ids.emplace(h, uint32_t(sets.size() - 1));
    return SetId(sets.size() - 1);
  }

  // All stacks of both.
  StackId unite(StackId a, StackId b) {
    if (a == b) return a;
    if (a > b) std::swap(a, b);
    const uint64_t key = uint64_t(a) << 32 | b;
    if (const auto known = unions.find(key); known != unions.end()) return known->second;
    std::vector<Tail> joined;
    std::merge(stacks[a].tails.begin(), stacks[a].tails.end(), stacks[b].tails.begin(), stacks[b].tails.end(), std::back_inserter(joined));
    std::vector<Tail> tails;
    for (const Tail& t : joined) {
      if (!tails.empty() && tails.back().frame == t.frame)
        tails.back().below = unite(tails.back().below, t.below);
      else
        tails.push_back(t);
    }
    const StackId made = stack(std::move(tails));
    bytes += 48;
    return unions[key] = made;
  }
};

// The tokens that a state allows while its rule's caller is unknown.
struct StateMask {
  std::vector<TokenId> few;      // if they are few
  std::vector<uint64_t> words;   // else
  std::vector<uint32_t> leaves;  // trie nodes at which the rule may end, with longer tokens below
  size_t bytes() const { return 160 + few.size() * 4 + words.size() * 8 + leaves.size() * 4; }
};
struct MaskKey {
  int32_t state;
  Frame frame;  // of a counted call right below, else of kUnknown
  friend auto operator<=>(const MaskKey&, const MaskKey&) = default;
};

}  // namespace

struct Matcher::Impl {
  std::shared_ptr<const Automaton> automaton;
  std::shared_ptr<const TokenTable> table;
  MatcherLimits limits;
  mutable std::mutex mutex;
  std::unordered_set<Place*> places;

  Memory memory;
  std::list<std::pair<MaskKey, StateMask>> masks;  // the one used last in front
  std::map<MaskKey, std::list<std::pair<MaskKey, StateMask>>::iterator> mask_of;
  size_t mask_bytes = 0;
  size_t tidy_at = 0;
  int64_t work_left = 0;

  // Kept for their memory.
  std::vector<SetId> path;
  std::vector<Item> work, found;
  std::unordered_set<uint64_t> seen;

  SetId start();
  SetId close(std::vector<Item> from);
  void ended(StackId stack, bool* accepts, bool* leaves);
  void push_call(int32_t call, StackId stack);
  SetId step(SetId set, uint8_t byte);
  SetId after(StackId stack);
  template <class Take>
  void walk(uint32_t node, SetId set, Take take, std::vector<uint32_t>* leaves);
  const StateMask& state_mask(const MaskKey& key);
  void mask_item(const Item& item, std::span<uint64_t> words);
  void mask_tails(int32_t state, const Frame& frame, StackId below, std::span<uint64_t> words);
  void tidy();
  void spend(int64_t steps) {
    if ((work_left -= steps) < 0) fail("[grammar] is too ambiguous: following a text takes too much time");
  }
};

SetId Matcher::Impl::start() {
  return close({{automaton->starts[size_t(automaton->root)], memory.end}});
}

void Matcher::Impl::push_call(int32_t index, StackId stack) {
  const Automaton::Call& call = automaton->calls[size_t(index)];
  if (memory.stacks[stack].depth >= limits.max_depth && automaton->recursive[size_t(call.rule)]) return;
  const int32_t begin = automaton->starts[size_t(call.rule)];
  if (!call.counted() && automaton->states[size_t(call.to)].last()) {
    work.push_back({begin, stack});  // what follows is only the caller's own end
    return;
  }
  Frame frame{index};
  if (call.counted()) {
    frame.need = uint32_t(std::min<int64_t>(call.min - 1, UINT32_MAX - 1));
    frame.room = call.max == kNoLimit ? kNoRoomLimit : uint32_t(std::min<int64_t>(call.max - 1, UINT32_MAX - 1));
  }
  work.push_back({begin, memory.stack({{frame, stack}})});
}

// A rule has ended: on from where it was called.
void Matcher::Impl::ended(StackId stack, bool* accepts, bool* leaves) {
  const std::vector<Tail> tails = memory.stacks[stack].tails;  // a copy: the stacks grow
  for (const Tail& t : tails) {
    if (t.frame.call == kEnd) {
      *accepts = true;
    } else if (t.frame.call == kUnknown) {
      *leaves = true;
    } else {
      const Automaton::Call& call = automaton->calls[size_t(t.frame.call)];
      if (t.frame.room > 0) {
        const Frame next{t.frame.call, t.frame.need > 0 ? t.frame.need - 1 : 0,
                         t.frame.room == kNoRoomLimit ? kNoRoomLimit : t.frame.room - 1};
        work.push_back({automaton->starts[size_t(call.rule)], memory.stack({{next, t.below}})});
      }
      if (t.frame.need == 0) work.push_back({call.to, t.below});
    }
  }
}

SetId Matcher::Impl::close(std::vector<Item> from) {
  bool accepts = false, leaves = false;
  work = std::move(from);
  found.clear();
  seen.clear();
  while (!work.empty()) {
    const Item item = work.back();
    work.pop_back();
    if (!seen.insert(uint64_t(uint32_t(item.state)) << 32 | item.stack).second) continue;
    spend(20);
    if (seen.size() > 4 * limits.max_set) fail("[grammar] is too ambiguous: a text has more than ", limits.max_set, " readings");
    const Automaton::State& state = automaton->states[size_t(item.state)];
    if (state.edges > 0) found.push_back(item);
    for (int32_t c = 0; c < state.calls; ++c) push_call(state.first_call + c, item.stack);
    if (state.final) ended(item.stack, &accepts, &leaves);
  }
  std::sort(found.begin(), found.end());
  std::vector<Item> items;
  for (const Item& item : found) {
    if (!items.empty() && items.back().state == item.state)
      items.back().stack = memory.unite(items.back().stack, item.stack);
    else
      items.push_back(item);
  }
  if (items.size() > limits.max_set) fail("[grammar] is too ambiguous: a text has more than ", limits.max_set, " readings");
  return memory.set(std::move(items), accepts, leaves);
}

SetId Matcher::Impl::step(SetId id, uint8_t byte) {
  if (const auto& next = memory.sets[id].next; next && (*next)[byte] != kNotMade) return (*next)[byte];
  std::vector<Item> to;
  for (const Item& item : memory.sets[id].items) {
    const Automaton::State& state = automaton->states[size_t(item.state)];
    const Edge* const first = automaton->edges.data() + state.first_edge;
    const Edge* const last = first + state.edges;
    const Edge* const edge = std::partition_point(first, last, [&](const Edge& e) { return e.last < byte; });
    if (edge != last && edge->first <= byte) to.push_back({edge->to, item.stack});
  }
  const SetId made = to.empty() ? kDead : close(std::move(to));
  auto& next = memory.sets[id].next;
  if (!next) {
    // A mask's walk can't be tidied up in its middle; far beyond the limit it is given up.
    if (memory.bytes > 8 * limits.place_bytes + (size_t{64} << 20))
      fail("[grammar] is too ambiguous: following its texts takes too much memory");
    next = std::make_unique<std::array<SetId, 256>>();
    next->fill(kNotMade);
    memory.bytes += sizeof(*next);
  }
  return (*next)[byte] = made;
}

SetId Matcher::Impl::after(StackId stack) {
  bool accepts = false, leaves = false;
  work.clear();
  ended(stack, &accepts, &leaves);
  const SetId rest = close(std::move(work));
  std::vector<Item> items = memory.sets[rest].items;
  return memory.set(std::move(items), accepts || memory.sets[rest].accepts, leaves || memory.sets[rest].leaves);
}

// Tokens below `node` that fit after `set`; `leaves` takes the nodes with tokens below at which the rule may end.
template <class Take>
void Matcher::Impl::walk(uint32_t node, SetId set, Take take, std::vector<uint32_t>* leaves) {
  const auto& trie = table->trie();
  const TokenId* const ids = table->ids().data();
  const size_t base = trie[node].depth;
  path.resize(table->max_bytes() + 1);
  path[base] = set;
  for (uint32_t i = node + 1, end = trie[node].end; i < end;) {
    const TokenTable::TrieNode& n = trie[i];
    spend(1);
    const SetId to = step(path[n.depth - 1u], n.byte);
    if (to == kDead) {
      i = n.end;
      continue;
    }
    const uint32_t tokens = trie[i + 1].first;
    if (n.first < tokens) take(ids + n.first, ids + tokens);
    if (n.end == ++i) continue;
    const Set& s = memory.sets[to];
    if (s.leaves && leaves) leaves->push_back(i - 1);
    if (s.items.empty())
      i = n.end;
    else
      path[n.depth] = to;
  }
}

const StateMask& Matcher::Impl::state_mask(const MaskKey& key) {
  if (const auto known = mask_of.find(key); known != mask_of.end()) {
    masks.splice(masks.begin(), masks, known->second);
    return known->second->second;
  }
  const StackId stack = key.frame.call == kUnknown ? memory.unknown : memory.stack({{key.frame, memory.unknown}});
  const SetId set = memory.set({{key.state, stack}}, false, false);
  StateMask made;
  const size_t words = (size_t(table->vocab_size()) + 63) / 64;
  const auto take = [&](const TokenId* first, const TokenId* last) {
    if (made.words.empty()) {
      made.few.insert(made.few.end(), first, last);
      if (made.few.size() <= words) return;
      made.words.assign(words, 0);
      for (TokenId id : made.few) allow(made.words, id);
      made.few.clear();
    } else {
      for (; first != last; ++first) allow(made.words, *first);
    }
  };
  walk(0, set, take, &made.leaves);
  made.few.shrink_to_fit();
  made.leaves.shrink_to_fit();
  mask_bytes += made.bytes();
  masks.emplace_front(key, std::move(made));
  mask_of[key] = masks.begin();
  while (mask_bytes > limits.mask_bytes && masks.size() > 1) {
    mask_bytes -= masks.back().second.bytes();
    mask_of.erase(masks.back().first);
    masks.pop_back();
  }
  return masks.front().second;
}

void Matcher::Impl::mask_tails(int32_t state, const Frame& frame, StackId below, std::span<uint64_t> words) {
  const StateMask& mask = state_mask({state, frame});
  for (size_t i = 0, n = std::min(words.size(), mask.words.size()); i < n; ++i) words[i] |= mask.words[i];
  for (TokenId id : mask.few) allow(words, id);
  if (mask.leaves.empty()) return;
  const SetId set = after(below);
  if (memory.sets[set].items.empty()) return;
  const auto take = [&](const TokenId* first, const TokenId* last) {
    for (; first != last; ++first) allow(words, *first);
  };
  for (uint32_t node : mask.leaves) walk(node, set, take, nullptr);
}

void Matcher::Impl::mask_item(const Item& item, std::span<uint64_t> words) {
  // Counts beyond what one token can reach make no difference.
  const auto most = uint32_t(table->max_bytes() + 1);
  const std::vector<Tail> tails = memory.stacks[item.stack].tails;
  std::vector<Tail> plain;
  for (const Tail& t : tails) {
    if (t.frame.call < 0 || !automaton->calls[size_t(t.frame.call)].counted())
      plain.push_back(t);
    else
      mask_tails(item.state, {t.frame.call, std::min(t.frame.need, most), std::min(t.frame.room, most)}, t.below, words);
  }
  if (!plain.empty()) mask_tails(item.state, {kUnknown}, memory.stack(std::move(plain)), words);
}

// At the beginning of every call. If the memory is full, starts over with the places that texts are at.
void Matcher::Impl::tidy() {
  work_left = limits.work;
  if (memory.bytes <= std::max(limits.place_bytes, tidy_at)) return;
  Memory old = std::exchange(memory, Memory());
  std::unordered_map<StackId, StackId> moved{{old.end, memory.end}, {old.unknown, memory.unknown}};
  // What is below a stack was made before it.
  std::vector<uint8_t> wanted(old.stacks.size(), 0);
  for (const Place* p : places)
    for (const Item& item : old.sets[p->set_].items) wanted[item.stack] = 1;
  for (size_t i = old.stacks.size(); i-- > 0;)
    if (wanted[i])
      for (const Tail& t : old.stacks[i].tails)
        if (t.frame.call >= 0) wanted[t.below] = 1;
  for (size_t i = 0; i < old.stacks.size(); ++i) {
    if (!wanted[i] || moved.contains(StackId(i))) continue;
    std::vector<Tail> tails = old.stacks[i].tails;
    for (Tail& t : tails) t.below = t.frame.call >= 0 ? moved.at(t.below) : 0;
    std::sort(tails.begin(), tails.end());
    moved[StackId(i)] = memory.stack(std::move(tails));
  }
  for (Place* p : places) {
    const Set& s = old.sets[p->set_];
    std::vector<Item> items = s.items;
    for (Item& item : items) item.stack = moved.at(item.stack);
    std::sort(items.begin(), items.end());
    p->set_ = memory.set(std::move(items), s.accepts, s.leaves);
  }
  tidy_at = 2 * memory.bytes;
}

Matcher::Matcher(std::shared_ptr<const Automaton> automaton, std::shared_ptr<const TokenTable> table, const MatcherLimits& limits)
    : impl_(std::make_unique<Impl>()) {
  impl_->automaton = std::move(automaton);
  impl_->table = std::move(table);
  impl_->limits = limits;
}
Matcher::~Matcher() = default;

const TokenTable& Matcher::table() const {
  return *impl_->table;
}
size_t Matcher::bytes() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->memory.bytes + impl_->mask_bytes;
}

Matcher::Place::Place(std::shared_ptr<Matcher> matcher) : matcher_(std::move(matcher)) {
  Impl& m = *matcher_->impl_;
  const std::lock_guard lock(m.mutex);
  m.tidy();
  set_ = m.start();
  m.places.insert(this);
}
Matcher::Place::Place(const Place& other) : matcher_(other.matcher_) {
  Impl& m = *matcher_->impl_;
  const std::lock_guard lock(m.mutex);
  set_ = other.set_;
  m.places.insert(this);
}
Matcher::Place::~Place() {
  Impl& m = *matcher_->impl_;
  const std::lock_guard lock(m.mutex);
  m.places.erase(this);
}

bool Matcher::Place::advance(std::string_view bytes) {
  Impl& m = *matcher_->impl_;
  const std::lock_guard lock(m.mutex);
  m.tidy();
  SetId set = set_;
  for (char c : bytes)
    if ((set = m.step(set, uint8_t(c))) == kDead) return false;
  set_ = set;
  return true;
}

bool Matcher::Place::complete() const {
  const std::lock_guard lock(matcher_->impl_->mutex);
  return matcher_->impl_->memory.sets[set_].accepts;
}
bool Matcher::Place::open() const {
  const std::lock_guard lock(matcher_->impl_->mutex);
  return !matcher_->impl_->memory.sets[set_].items.empty();
}

void Matcher::Place::mask(std::span<uint64_t> words) {
  Impl& m = *matcher_->impl_;
  const std::lock_guard lock(m.mutex);
  m.tidy();
  std::fill(words.begin(), words.end(), 0);
  const std::vector<Item> items = m.memory.sets[set_].items;
  for (const Item& item : items) m.mask_item(item, words);
}

void Matcher::Place::mask_below(uint32_t node, std::span<uint64_t> words) {
  Impl& m = *matcher_->impl_;
  const std::lock_guard lock(m.mutex);
  m.tidy();
  const auto take = [&](const TokenId* first, const TokenId* last) {
    for (; first != last; ++first) allow(words, *first);
  };
  m.walk(node, set_, take, nullptr);
}

}  // namespace r1::grammar
