#include "r1/plan/search.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "r1/base/error.h"
#include "r1/base/progress.h"

namespace r1::plan {
namespace {

// Powers of two and other divisors of n, up to `most`.
std::vector<int64_t> divisors_up_to(int64_t n, int64_t most) {
  std::vector<int64_t> out;
  for (int64_t d = 1; d <= std::min(n, most); ++d) {
    if (n % d == 0) out.push_back(d);
  }
  return out;
}

template <class T>
std::vector<T> given_or(const std::vector<T>& given, std::vector<T> otherwise) {
  return given.empty() ? std::move(otherwise) : given;
}

// What is not given is tried; each list begins with the plain value.
struct Space {
  std::vector<int64_t> tp, pp, ep, cp, zero, micro_batch, virtual_stages;
  std::vector<Schedule> schedules;
  std::vector<Recompute> recompute;
};

Space space_of(const Setting& s, const Choices& c) {
  const int64_t world = s.cluster.world(), layers = int64_t(s.network.layers.size()), experts = int64_t(s.network.experts);
  const int64_t ranks = std::min(world, s.job.sequence_length / 1024);  // of a ring a rank has 1024 tokens or more
  Space out;
  out.tp = given_or(c.tp, divisors_up_to(s.cluster.gpus_per_node, s.cluster.gpus_per_node));
  out.pp = given_or(c.pp, divisors_up_to(world, std::min<int64_t>(layers, 128)));
  out.ep = given_or(c.ep, experts > 0 ? divisors_up_to(experts, world) : std::vector<int64_t>{1});
  out.cp = given_or(c.cp, {1});
  if (c.cp.empty()) {
    for (int64_t cp = 2; cp <= std::min<int64_t>(ranks, 64); cp *= 2) out.cp.push_back(cp);
  }
  out.zero = given_or(c.zero, {1, 3});
  out.micro_batch = given_or(c.micro_batch, {1, 2, 4, 8});
  out.virtual_stages = given_or(c.virtual_stages, {2, 3, 4, 5, 6, 8});
  out.schedules = given_or(c.schedules, {Schedule::kOneForwardOneBackward, Schedule::kInterleaved});
  out.recompute = given_or(c.recompute, {Recompute::kNone, Recompute::kSelective, Recompute::kFull});
  return out;
}

// A layout of its schedules: without a pipeline there is one, and parts belong to the interleaved one.
std::vector<Layout> scheduled(const Layout& base, const Space& space, const Choices& choices) {
  std::vector<Layout> out;
  for (const Schedule schedule : space.schedules) {
    Layout l = base;
    l.schedule = schedule;
    if (schedule == Schedule::kInterleaved) {
      for (const int64_t parts : space.virtual_stages) {
        l.virtual_stages = parts;
        out.push_back(l);
      }
    } else {
      l.virtual_stages = choices.virtual_stages.empty() ? 1 : choices.virtual_stages[0];  // given by hand it is complained of
      out.push_back(l);
    }
    if (base.pp == 1 && choices.schedules.empty()) break;
  }
  return out;
}

struct Collector {
  std::map<std::vector<int64_t>, Estimate> best;
  std::map<std::vector<int64_t>, Estimate> too_large;
  std::map<std::string, Refusal> impossible;  // by what it is about
  Found found;

  static std::vector<int64_t> key(const Layout& l) { return {l.dp, l.tp, l.pp, l.ep, l.cp}; }

  // Of those that fit the fastest; of those that do not the one that needs least.
  void take(Estimate e) {
    auto& list = e.fits ? best : too_large;
    const auto [it, fresh] = list.try_emplace(key(e.layout), e);
    const Estimate& known = it->second;
    const bool better = e.fits ? e.step_seconds < known.step_seconds : e.memory.total() < known.memory.total();
    if (!fresh && better) it->second = std::move(e);
  }

  void refuse(const Layout& l, const std::string& reason) {
    ++found.impossible;
    // "parallel.tp 8 does not divide ..." of another number is the same reason.
    std::string about;
    for (const char c : reason.substr(0, 60)) {
      if (c < '0' || c > '9') about += c;
    }
    impossible.try_emplace(about, Refusal{l, reason, 0});
  }
};

void try_layout(const Setting& s, const Layout& l, Collector& to) {
  ++to.found.tried;
  if (const std::string text = problem(s.network, s.job, l, s.cluster.world(), s.cluster.gpus_per_node); !text.empty()) {
    to.refuse(l, text);
    return;
  }
  Estimate e = estimate(s, l);
  ++(e.fits ? to.found.fit : to.found.too_large);
  to.take(std::move(e));
}

std::vector<Estimate> fastest(const std::map<std::vector<int64_t>, Estimate>& list, size_t number) {
  std::vector<Estimate> out;
  for (const auto& [key, e] : list) out.push_back(e);
  std::sort(out.begin(), out.end(), [](const Estimate& a, const Estimate& b) { return a.step_seconds < b.step_seconds; });
  if (out.size() > number) out.resize(number);
  return out;
}

std::string percent(double share) {
  return str(share < 0 ? "-" : "", std::round(std::abs(share) * 1000) / 10, " %");
}

std::vector<std::pair<std::string, double>> parts_of(const Estimate& e) {
  std::vector<std::pair<std::string, double>> parts = {
      {"products", e.product_seconds},      {"attention", e.attention_seconds},    {"norms and activations", e.elementwise_seconds},
      {"recomputing", e.recompute_seconds}, {"pipeline bubble", e.bubble_seconds}, {"optimizer", e.optimizer_seconds}};
  for (const char* kind : {"tp", "ep", "cp", "pp", "dp"}) {
    double exposed = 0;
    for (const Exchange& x : e.exchanges) exposed += x.name.starts_with(kind) ? x.exposed_seconds : 0;
    parts.emplace_back(str(kind, " collectives"), exposed);
  }
  parts.emplace_back("beside collectives", e.overlap_seconds);
  parts.emplace_back("other", e.other_seconds);
  return parts;
}

}  // namespace

Found search(const Setting& s, const Choices& choices, size_t number) {
  const Space space = space_of(s, choices);
  const int64_t world = s.cluster.world();
  Collector to;
  for (const int64_t tp : space.tp) {
    for (const int64_t pp : space.pp) {
      for (const int64_t cp : space.cp) {
        const int64_t rest = tp * pp * cp;
        if (choices.dp.empty() && world % rest != 0) continue;
        for (const int64_t ep : space.ep) {
          for (const int64_t zero : space.zero) {
            for (const int64_t micro_batch : space.micro_batch) {
              for (const Recompute recompute : space.recompute) {
                Layout base{.dp = choices.dp.empty() ? world / rest : choices.dp[0],
                            .tp = tp,
                            .pp = pp,
                            .ep = ep,
                            .cp = cp,
                            .zero = zero,
                            .micro_batch = micro_batch,
                            .recompute = recompute};
                for (const Layout& l : scheduled(base, space, choices)) try_layout(s, l, to);
              }
            }
          }
        }
      }
    }
  }
  to.found.best = fastest(to.best, number);
  std::vector<Estimate> large;
  for (const Estimate& e : fastest(to.too_large, to.too_large.size())) {
    // One that fits under the same sizes with another setting is no refusal.
    if (!to.best.contains(Collector::key(e.layout))) large.push_back(e);
  }
  // Those that would be faster than the first first, and of these those that need least.
  const double first = to.found.best.empty() ? 0 : to.found.best.front().step_seconds;
  std::stable_sort(large.begin(), large.end(), [&](const Estimate& a, const Estimate& b) {
    const bool a_faster = a.step_seconds < first, b_faster = b.step_seconds < first;
    return a_faster != b_faster ? a_faster : a.memory.total() < b.memory.total();
  });
  for (const Estimate& e : large) {
    if (to.found.refused.size() < number) to.found.refused.push_back({e.layout, why_too_large(s, e.layout, e.memory), e.tokens_per_second});
  }
  for (const auto& [about, refusal] : to.impossible) {
    if (to.found.refused.size() < 2 * number) to.found.refused.push_back(refusal);
  }
  return to.found;
}

std::string where_time_goes(const Estimate& e) {
  auto parts = parts_of(e);
  std::stable_sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string text;
  for (const auto& [name, seconds] : parts) {
    if (seconds > 0.005 * e.step_seconds)
      text += str(text.empty() ? "" : ", ", name, " ", std::lround(100 * seconds / e.step_seconds), " %");
  }
  return text;
}

std::string why_slower(const Estimate& best, const Estimate& other) {
  const auto a = parts_of(best), b = parts_of(other);
  std::vector<std::pair<std::string, double>> differences;
  for (size_t i = 0; i < a.size(); ++i) differences.emplace_back(a[i].first, (b[i].second - a[i].second) / best.step_seconds);
  std::stable_sort(differences.begin(), differences.end(),
                   [](const auto& x, const auto& y) { return std::abs(x.second) > std::abs(y.second); });
  std::string text = str(percent(other.step_seconds / best.step_seconds - 1), " slower than the first:");
  for (size_t i = 0; i < 3; ++i) {
    if (std::abs(differences[i].second) >= 0.001)
      text += str(i ? ", " : " ", differences[i].first, differences[i].second > 0 ? " +" : " ", percent(differences[i].second));
  }
  return text;
}

std::string why_too_large(const Setting& s, const Layout& l, const Memory& m) {
  std::vector<std::pair<std::string, double>> parts = {{"weights", m.weights},           {"gradients", m.gradients},
                                                       {"optimizer", m.optimizer},       {"activations", m.activations},
                                                       {"gathered weights", m.gathered}, {"logits", m.logits}};
  std::stable_sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string text = str("needs ", human_bytes(m.total()), " of ", human_bytes(s.cluster.gpu.memory_bytes), " on pipeline rank ", m.stage,
                         ": ", parts[0].first, " ", human_bytes(parts[0].second), ", ", parts[1].first, " ", human_bytes(parts[1].second));
  // What would save most, each by itself.
  std::string way;
  double least = m.total();
  const auto consider = [&](Layout other, const std::string& option) {
    if (!problem(s.network, s.job, other, s.cluster.world(), s.cluster.gpus_per_node).empty()) return;
    const double needs = memory_of(s, other).total();
    if (needs < least) least = needs, way = option;
  };
  Layout other = l;
  other.recompute = Recompute::kFull;
  consider(other, "--recompute full");
  other = l;
  other.zero = l.pp == 1 ? 3 : 2;
  if (other.zero > l.zero) consider(other, str("--parallel.zero ", other.zero));
  other = l;
  other.micro_batch = 1;
  if (l.micro_batch > 1) consider(other, "--micro_batch 1");
  if (!way.empty()) text += str("; ", way, " makes it ", human_bytes(least));
  return text;
}

}  // namespace r1::plan
