#include "r1/grammar/automaton.h"

#include <algorithm>
#include <functional>
#include <unordered_map>

#include "r1/base/error.h"

namespace r1::grammar {

namespace {

using Kind = Expressions::Kind;

struct Nfa {
  enum class Type : uint8_t { kEmpty, kAtStart, kAtEnd, kByte, kCall };
  struct Step {
    Type type;
    uint8_t first, last;
    int32_t to, next;  // next: of the same state, -1: none
    int32_t call;      // of `calls`
  };
  std::vector<int32_t> heads;
  std::vector<Step> steps;
  std::vector<Automaton::Call> calls;  // `to` unused
  int32_t start = 0, end = 0;
};

// Which rules are written out where they are used.
struct Inlining {
  static constexpr int64_t kMostNodes = 200;
  std::vector<uint8_t> inlined;

  explicit Inlining(Expressions& x) : x_(x) {
    const size_t n = x.rules().size();
    inlined.assign(n, 0);
    state_.assign(n, kNew);
    size_.assign(n, 0);
    for (size_t r = 0; r < n; ++r) visit(int32_t(r));
  }

 private:
  enum : uint8_t { kNew, kOpen, kDone };

  // Post order over rules that are not kept. One that is met again while it is open calls itself: it is kept.
  int64_t visit(int32_t r) {
    auto& rule = x_.rules()[size_t(r)];
    if (state_[size_t(r)] == kOpen) rule.keep = true;
    if (state_[size_t(r)] != kNew) return inlined[size_t(r)] ? size_[size_t(r)] : 2;
    state_[size_t(r)] = kOpen;
    const int64_t size = size_of(rule.body);
    state_[size_t(r)] = kDone;
    size_[size_t(r)] = size;
    inlined[size_t(r)] = !x_.rules()[size_t(r)].keep && size <= kMostNodes;
    return inlined[size_t(r)] ? size : 2;
  }
  int64_t size_of(Node node) {
    constexpr int64_t kHuge = 1 << 20;
    if (node < 0) return 0;
    x_.budget().spend_steps(1);
    const auto& item = x_[node];
    int64_t size = 1;
    if (item.kind == Kind::kRule) return visit(item.rule);
    if (item.kind == Kind::kCounted) visit(item.rule);
    if (item.kind == Kind::kDfa) return int64_t(item.dfa->states.size());
    for (Node child : item.children) size = std::min(kHuge, size + size_of(child));
    size += size_of(item.separator) + size_of(item.extra);
    if (item.kind == Kind::kRepeat) {
      const int64_t copies = item.max == kNoLimit ? item.min + 1 : item.max;
      size = copies > kHuge / size ? kHuge : size * copies;
    }
    return std::min(kHuge, size);
  }

  Expressions& x_;
  std::vector<uint8_t> state_;
  std::vector<int64_t> size_;
};

class NfaBuilder {
 public:
  NfaBuilder(Expressions& x, const Inlining* inlining) : x_(x), inlining_(inlining) {}

  Nfa build(Node body) {
    nfa_.start = state();
    nfa_.end = add(body, nfa_.start);
    return std::move(nfa_);
  }

 private:
  // More than this for one rule is hopeless: every automaton that comes out would be over the limit.
  static constexpr size_t kMostStates = 400'000;

  int32_t state() {
    x_.budget().spend_steps(1);
    if (nfa_.heads.size() >= kMostStates) fail_usage("[", x_.budget().what(), "] is too complex: repeats written out are too many");
    nfa_.heads.push_back(-1);
    return int32_t(nfa_.heads.size() - 1);
  }
  void step(int32_t from, int32_t to, Nfa::Type type = Nfa::Type::kEmpty, ByteRange bytes = {0, 0}, int32_t call = -1) {
    nfa_.steps.push_back({type, bytes.first, bytes.last, to, nfa_.heads[size_t(from)], call});
    nfa_.heads[size_t(from)] = int32_t(nfa_.steps.size() - 1);
  }

  // Appends the node's automaton at `from`; returns its end. Nothing in it comes back to `from`.
  int32_t add(Node node, int32_t from) {
    const auto& item = x_[node];
    switch (item.kind) {
      case Kind::kNothing:
        return state();
      case Kind::kEmpty:
        return from;
      case Kind::kBytes: {
        const int32_t to = state();
        for (ByteRange b : item.bytes) step(from, to, Nfa::Type::kByte, b);
        return to;
      }
      case Kind::kConcat:
        for (Node child : item.children) from = add(child, from);
        return from;
      case Kind::kChoice: {
        const int32_t to = state();
        for (Node child : item.children) step(add(child, from), to);
        return to;
      }
      case Kind::kRepeat:
        return add_repeat(item.children[0], item.min, item.max, from);
      case Kind::kRule:
        if (inlining_ && inlining_->inlined[size_t(item.rule)]) return add(x_.rules()[size_t(item.rule)].body, from);
        return add_call({item.rule, 0}, from);
      case Kind::kCounted:
        return add_call({item.rule, 0, item.min, item.max}, from);
      case Kind::kMembers:
        return add_members(item, from);
      case Kind::kDfa:
        return add_dfa(*item.dfa, from);
      case Kind::kTextStart:
      case Kind::kTextEnd: {
        const int32_t to = state();
        step(from, to, item.kind == Kind::kTextStart ? Nfa::Type::kAtStart : Nfa::Type::kAtEnd);
        return to;
      }
    }
    return from;
  }

  int32_t add_call(const Automaton::Call& call, int32_t from) {
    const int32_t to = state();
    nfa_.calls.push_back(call);
    step(from, to, Nfa::Type::kCall, {0, 0}, int32_t(nfa_.calls.size() - 1));
    return to;
  }

  int32_t add_repeat(Node body, int64_t min, int64_t max, int32_t from) {
    for (int64_t i = 0; i < min; ++i) from = add(body, from);
    if (max == kNoLimit) {
      const int32_t loop = state();
      step(from, loop);
      step(add(body, loop), loop);
      return loop;
    }
    const int32_t to = state();
    for (int64_t i = min; i < max; ++i) {
      step(from, to);
      const int32_t begin = state();  // `from` may be a loop's
      step(from, begin);
      from = add(body, begin);
    }
    step(from, to);
    return to;
  }

  // Two rows of places, one for "nothing yet" and one for "something", and one copy of each part between them.
  int32_t add_members(const Expressions::Item& item, int32_t from) {
    const int32_t to = state();
    int32_t none = state(), some = state();
    step(from, none);
    bool may_be_empty = item.min == 0;
    for (size_t i = 0; i < item.children.size(); ++i) {
      const int32_t begin = state(), next_some = state();
      step(none, begin);
      step(add(item.separator, some), begin);
      step(add(item.children[i], begin), next_some);
      const int32_t next_none = state();
      if (item.required[i])
        may_be_empty = false;
      else
        step(none, next_none), step(some, next_some);
      none = next_none, some = next_some;
    }
    if (item.extra >= 0) {
      const int32_t begin = state();
      step(none, begin);
      step(add(item.separator, some), begin);
      step(add(item.extra, begin), some);
    }
    step(some, to);
    if (may_be_empty) step(none, to);
    return to;
  }

  int32_t add_dfa(const Dfa& dfa, int32_t from) {
    const int32_t to = state();
    std::vector<int32_t> place;
    for (size_t i = 0; i < dfa.states.size(); ++i) place.push_back(state());
    step(from, place[0]);
    for (size_t i = 0; i < dfa.states.size(); ++i) {
      for (const Edge& e : dfa.states[i].edges) step(place[i], place[size_t(e.to)], Nfa::Type::kByte, {e.first, e.last});
      if (dfa.states[i].final) step(place[i], to);
    }
    return to;
  }

  Expressions& x_;
  const Inlining* inlining_;
  Nfa nfa_;
};

struct SetHash {
  size_t operator()(const std::vector<int32_t>& set) const {
    uint64_t h = 1469598103934665603ull;
    for (int32_t v : set) h = (h ^ uint64_t(uint32_t(v))) * 1099511628211ull;
    return size_t(h ^ h >> 29);
  }
};

// A state that comes out: edges, calls (with `to`), whether it is final.
struct Determined {
  std::vector<Edge> edges;
  std::vector<Automaton::Call> calls;
  bool final = false;
};

// The subset construction, with calls as letters of their own.
class Determinizer {
 public:
  Determinizer(const Nfa& nfa, Budget& budget, bool for_good)
      : nfa_(nfa), budget_(budget), for_good_(for_good), mark_(nfa.heads.size(), 0) {}

  std::vector<Determined> run() {
    std::vector<int32_t> set{nfa_.start};
    close(set, true, false);
    intern(std::move(set));
    for (size_t i = 0; i < sets_.size(); ++i) {
      std::vector<int32_t> members = *sets_[i];
      out_[i].final = is_final(members, i == 0);
      expand(members, i);
    }
    return std::move(out_);
  }

 private:
  // Adds what is reached without a byte; keeps what has bytes, calls or an end after it.
  void close(std::vector<int32_t>& set, bool at_start, bool at_end) {
    ++stamp_;
    work_ = set;
    set.clear();
    for (int32_t s : work_) mark_[size_t(s)] = stamp_;
    while (!work_.empty()) {
      const int32_t s = work_.back();
      work_.pop_back();
      bool kept = s == nfa_.end;
      int64_t steps = 0;
      for (int32_t e = nfa_.heads[size_t(s)]; e >= 0; e = nfa_.steps[size_t(e)].next, ++steps) {
        const Nfa::Step& step = nfa_.steps[size_t(e)];
        kept |= step.type != Nfa::Type::kEmpty && step.type != Nfa::Type::kAtStart;
        const bool open =
            step.type == Nfa::Type::kEmpty || (step.type == Nfa::Type::kAtStart && at_start) || (step.type == Nfa::Type::kAtEnd && at_end);
        if (!open || mark_[size_t(step.to)] == stamp_) continue;
        mark_[size_t(step.to)] = stamp_;
        work_.push_back(step.to);
      }
      budget_.spend_steps(1 + steps);
      if (kept) set.push_back(s);
    }
    std::sort(set.begin(), set.end());
  }

  bool is_final(const std::vector<int32_t>& members, bool at_start) {
    if (std::binary_search(members.begin(), members.end(), nfa_.end)) return true;
    std::vector<int32_t> all = members;
    close(all, at_start, true);
    return std::binary_search(all.begin(), all.end(), nfa_.end);
  }

  int32_t intern(std::vector<int32_t> set) {
    const auto [it, fresh] = ids_.try_emplace(std::move(set), int32_t(out_.size()));
    if (fresh) {
      if (for_good_)
        budget_.spend_states(1);
      else
        budget_.check_states(int64_t(out_.size()));
      sets_.push_back(&it->first);
      out_.emplace_back();
    }
    return it->second;
  }

  void expand(const std::vector<int32_t>& members, size_t id) {
    std::vector<const Nfa::Step*> bytes;
    std::vector<std::pair<Automaton::Call, std::vector<int32_t>>> calls;
    bool cuts[257] = {};
    for (int32_t s : members)
      for (int32_t e = nfa_.heads[size_t(s)]; e >= 0; e = nfa_.steps[size_t(e)].next) {
        const Nfa::Step& step = nfa_.steps[size_t(e)];
        if (step.type == Nfa::Type::kByte) {
          bytes.push_back(&step);
          cuts[step.first] = cuts[step.last + 1] = true;
        } else if (step.type == Nfa::Type::kCall) {
          const Automaton::Call& call = nfa_.calls[size_t(step.call)];
          auto same = std::find_if(calls.begin(), calls.end(), [&](const auto& c) {
            return c.first.rule == call.rule && c.first.min == call.min && c.first.max == call.max;
          });
          if (same == calls.end()) same = calls.insert(calls.end(), {call, {}});
          same->second.push_back(step.to);
        }
      }
    std::vector<Edge> edges;
    for (int first = 0; first < 256;) {
      int last = first;
      while (!cuts[last + 1] && last < 255) ++last;
      std::vector<int32_t> targets;
      for (const Nfa::Step* step : bytes)
        if (step->first <= first && first <= step->last) targets.push_back(step->to);
      budget_.spend_steps(1 + int64_t(bytes.size()) / 8);
      if (!targets.empty()) {
        close(targets, false, false);
        const int32_t to = intern(std::move(targets));
        if (!edges.empty() && edges.back().to == to && edges.back().last + 1 == first)
          edges.back().last = uint8_t(last);
        else
          edges.push_back({uint8_t(first), uint8_t(last), to});
      }
      first = last + 1;
    }
    std::vector<Automaton::Call> made;
    for (auto& [call, targets] : calls) {
      close(targets, false, false);
      Automaton::Call c = call;
      c.to = intern(std::move(targets));
      made.push_back(c);
    }
    out_[id].edges = std::move(edges);
    out_[id].calls = std::move(made);
  }

  const Nfa& nfa_;
  Budget& budget_;
  const bool for_good_;
  std::vector<uint32_t> mark_;
  uint32_t stamp_ = 0;
  std::vector<int32_t> work_;
  std::unordered_map<std::vector<int32_t>, int32_t, SetHash> ids_;
  std::vector<const std::vector<int32_t>*> sets_;
  std::vector<Determined> out_;
};

// Rules with their automata, before what has no future is cut off.
struct Raw {
  std::vector<std::vector<Determined>> rules;
  std::vector<std::string> names;
};

// ends[r][s]: from state s of rule r its end can be reached.
std::vector<std::vector<uint8_t>> with_future(const Raw& raw, Budget& budget) {
  std::vector<std::vector<uint8_t>> ends;
  for (const auto& states : raw.rules) ends.emplace_back(states.size(), 0);
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t r = raw.rules.size(); r-- > 0;)  // what is called mostly comes after who calls
      for (size_t s = raw.rules[r].size(); s-- > 0;) {
        if (ends[r][s]) continue;
        const Determined& d = raw.rules[r][s];
        budget.spend_steps(1 + int64_t(d.edges.size()) / 4);
        bool ok = d.final;
        for (const Edge& e : d.edges) ok |= ends[r][size_t(e.to)];
        for (const auto& c : d.calls) ok |= ends[r][size_t(c.to)] && ends[size_t(c.rule)][0];
        if (ok) ends[r][s] = changed = true;
      }
  }
  return ends;
}

// Rules that match "".
std::vector<uint8_t> nullable(const Raw& raw, Budget& budget) {
  std::vector<uint8_t> null(raw.rules.size(), 0);
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t r = raw.rules.size(); r-- > 0;) {
      if (null[r]) continue;
      std::vector<uint8_t> seen(raw.rules[r].size(), 0);
      std::vector<int32_t> work{0};
      while (!work.empty() && !null[r]) {
        const int32_t s = work.back();
        work.pop_back();
        if (seen[size_t(s)]) continue;
        seen[size_t(s)] = 1;
        budget.spend_steps(1);
        null[r] = raw.rules[r][size_t(s)].final;
        for (const auto& c : raw.rules[r][size_t(s)].calls)
          if (null[size_t(c.rule)]) work.push_back(c.to);
      }
      changed |= bool(null[r]);
    }
  }
  return null;
}

// Depth first over "calls"; found(r, s) is told of an edge to a rule that is still open.
template <class Next, class Found>
void find_cycles(size_t rules, Next next, Found found) {
  std::vector<uint8_t> state(rules, 0);  // 1: open, 2: done
  struct Place {
    int32_t rule;
    std::vector<int32_t> to;
    size_t i;
  };
  for (size_t root = 0; root < rules; ++root) {
    if (state[root]) continue;
    std::vector<Place> path;
    path.push_back({int32_t(root), next(int32_t(root)), 0});
    state[root] = 1;
    while (!path.empty()) {
      Place& p = path.back();
      if (p.i == p.to.size()) {
        state[size_t(p.rule)] = 2;
        path.pop_back();
        continue;
      }
      const int32_t to = p.to[p.i++];
      if (state[size_t(to)] == 1) found(p.rule, to);
      if (state[size_t(to)] != 0) continue;
      state[size_t(to)] = 1;
      path.push_back({to, next(to), 0});
    }
  }
}

void check_left_recursion(const Raw& raw, Budget& budget) {
  const std::vector<uint8_t> null = nullable(raw, budget);
  const auto first_calls = [&](int32_t r) {
    std::vector<int32_t> to, work{0};
    std::vector<uint8_t> seen(raw.rules[size_t(r)].size(), 0);
    while (!work.empty()) {
      const int32_t s = work.back();
      work.pop_back();
      if (seen[size_t(s)]) continue;
      seen[size_t(s)] = 1;
      budget.spend_steps(1);
      for (const auto& c : raw.rules[size_t(r)][size_t(s)].calls) {
        to.push_back(c.rule);
        if (null[size_t(c.rule)]) work.push_back(c.to);
      }
    }
    return to;
  };
  find_cycles(raw.rules.size(), first_calls, [&](int32_t, int32_t r) {
    fail_usage("[", budget.what(), "] rule '", printable(raw.names[size_t(r)]),
               "' begins with itself (left recursion); write the repeated part after the first with *");
  });
}

std::vector<uint8_t> recursive_rules(const Raw& raw) {
  // Tarjan would be linear; the rules are few and a cycle's members are found by walking from each.
  const size_t n = raw.rules.size();
  std::vector<std::vector<int32_t>> calls(n);
  for (size_t r = 0; r < n; ++r) {
    for (const Determined& d : raw.rules[r])
      for (const auto& c : d.calls) calls[r].push_back(c.rule);
    std::sort(calls[r].begin(), calls[r].end());
    calls[r].erase(std::unique(calls[r].begin(), calls[r].end()), calls[r].end());
  }
  std::vector<uint8_t> recursive(n, 0);
  bool any = false;
  find_cycles(
      n, [&](int32_t r) { return calls[size_t(r)]; }, [&](int32_t, int32_t) { any = true; });
  if (!any) return recursive;
  for (size_t r = 0; r < n; ++r) {
    std::vector<uint8_t> seen(n, 0);
    std::vector<int32_t> work = calls[r];
    while (!work.empty() && !recursive[r]) {
      const auto s = size_t(work.back());
      work.pop_back();
      recursive[r] = s == r;
      if (seen[s]) continue;
      seen[s] = 1;
      work.insert(work.end(), calls[s].begin(), calls[s].end());
    }
  }
  return recursive;
}

std::shared_ptr<const Automaton> joined(const Raw& raw, const std::vector<std::vector<uint8_t>>& ends) {
  auto a = std::make_shared<Automaton>();
  std::vector<std::vector<int32_t>> place(raw.rules.size());
  int32_t count = 0;
  for (size_t r = 0; r < raw.rules.size(); ++r) {
    for (size_t s = 0; s < raw.rules[r].size(); ++s) place[r].push_back(ends[r][s] || s == 0 ? count++ : -1);
    a->starts.push_back(place[r][0]);
  }
  for (size_t r = 0; r < raw.rules.size(); ++r)
    for (size_t s = 0; s < raw.rules[r].size(); ++s) {
      if (place[r][s] < 0) continue;
      const Determined& d = raw.rules[r][s];
      Automaton::State state{.first_edge = int32_t(a->edges.size()), .first_call = int32_t(a->calls.size()), .final = d.final};
      for (const Edge& e : d.edges)
        if (ends[r][size_t(e.to)]) a->edges.push_back({e.first, e.last, place[r][size_t(e.to)]});
      for (Automaton::Call c : d.calls)
        if (ends[r][size_t(c.to)] && ends[size_t(c.rule)][0]) c.to = place[r][size_t(c.to)], a->calls.push_back(c);
      state.edges = int32_t(a->edges.size()) - state.first_edge;
      state.calls = int32_t(a->calls.size()) - state.first_call;
      a->states.push_back(state);
    }
  a->recursive = recursive_rules(raw);
  a->names = raw.names;
  return a;
}

// Calls of rules by other numbers.
void renumber(std::vector<Determined>& states, const std::vector<int32_t>& numbers) {
  for (Determined& d : states)
    for (auto& c : d.calls) c.rule = numbers[size_t(c.rule)];
}

}  // namespace

std::shared_ptr<const Automaton> compile(Expressions& x, int32_t root) {
  const Inlining inlining(x);
  Raw raw;
  std::vector<int32_t> numbers(x.rules().size(), -1), rules;
  const auto number = [&](int32_t rule) {
    if (numbers[size_t(rule)] < 0) numbers[size_t(rule)] = int32_t(rules.size()), rules.push_back(rule);
  };
  number(root);
  for (size_t i = 0; i < rules.size(); ++i) {
    const auto& rule = x.rules()[size_t(rules[i])];
    const Nfa nfa = NfaBuilder(x, &inlining).build(rule.body);
    for (const auto& call : nfa.calls) number(call.rule);
    raw.rules.push_back(Determinizer(nfa, x.budget(), true).run());
    raw.names.push_back(rule.name);
  }
  for (auto& states : raw.rules) renumber(states, numbers);
  const auto ends = with_future(raw, x.budget());
  if (!ends[0][0]) fail_usage("[", x.budget().what(), "] no text satisfies it");
  check_left_recursion(raw, x.budget());
  return joined(raw, ends);
}

size_t Automaton::bytes() const {
  return states.size() * sizeof(State) + edges.size() * sizeof(Edge) + calls.size() * sizeof(Call) + names.size() * 64;
}

Dfa regular(Expressions& x, Node node) {
  Dfa dfa;
  const Nfa nfa = NfaBuilder(x, nullptr).build(node);
  for (Determined& d : Determinizer(nfa, x.budget(), false).run()) dfa.states.push_back({std::move(d.edges), d.final});
  return dfa;
}

bool Dfa::matches(std::string_view text) const {
  int32_t s = 0;
  for (char c : text) {
    int32_t to = -1;
    for (const Edge& e : states[size_t(s)].edges)
      if (e.first <= uint8_t(c) && uint8_t(c) <= e.last) to = e.to;
    if (to < 0) return false;
    s = to;
  }
  return states[size_t(s)].final;
}

Dfa intersect(const Dfa& a, const Dfa& b, Budget& budget) {
  Dfa out;
  std::unordered_map<uint64_t, int32_t> ids;
  std::vector<std::pair<int32_t, int32_t>> pairs;
  const auto intern = [&](int32_t s, int32_t t) {
    const auto [it, fresh] = ids.try_emplace(uint64_t(uint32_t(s)) << 32 | uint32_t(t), int32_t(pairs.size()));
    if (fresh) {
      budget.check_states(int64_t(pairs.size()));
      budget.spend_steps(4);
      pairs.emplace_back(s, t);
      out.states.push_back({{}, a.states[size_t(s)].final && b.states[size_t(t)].final});
    }
    return it->second;
  };
  intern(0, 0);
  for (size_t i = 0; i < pairs.size(); ++i) {
    const auto [s, t] = pairs[i];
    const auto &ea = a.states[size_t(s)].edges, &eb = b.states[size_t(t)].edges;
    std::vector<Edge> edges;
    for (size_t j = 0, k = 0; j < ea.size() && k < eb.size();) {
      const uint8_t first = std::max(ea[j].first, eb[k].first), last = std::min(ea[j].last, eb[k].last);
      if (first <= last) edges.push_back({first, last, intern(ea[j].to, eb[k].to)});
      ea[j].last < eb[k].last ? ++j : ++k;
    }
    out.states[i].edges = std::move(edges);
  }
  return out;
}

Dfa excluding(Expressions& x, const Dfa& a) {
  Dfa all = a;
  const auto sink = int32_t(all.states.size());
  all.states.push_back({});
  for (Dfa::State& state : all.states) {
    std::vector<Edge> edges;
    int next = 0;
    for (const Edge& e : state.edges) {
      if (next < e.first) edges.push_back({uint8_t(next), uint8_t(e.first - 1), sink});
      edges.push_back(e);
      next = e.last + 1;
    }
    if (next < 256) edges.push_back({uint8_t(next), 255, sink});
    state.edges = std::move(edges);
    state.final = !state.final;
  }
  return intersect(all, regular(x, x.star(x.any_char())), x.budget());
}

bool is_empty(const Dfa& a) {
  // Only states that are reached are there.
  return std::none_of(a.states.begin(), a.states.end(), [](const Dfa::State& s) { return s.final; });
}

}  // namespace r1::grammar
