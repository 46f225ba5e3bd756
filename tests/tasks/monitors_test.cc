// Made-up histories of runs: each monitor must see its own fault, and none may see one in an honest run.
#include "r1/tasks/monitors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "r1/base/rng.h"

namespace r1::tasks {
namespace {

// What a policy does at one moment, as shares and means.
struct Policy {
  double right = 0.3, unparsed = 0.01, timeout = 0, crash = 0, formatted = 0.9, thoughtless = 0.05, answer_first = 0.02, repetition = 0.1,
         english = 0.98, length = 100, zero_variance = 0.3, reward = 0.3, failed = 0,
         held_out = -1;  // -1: as right
  bool words = true;
};

constexpr int kGroups = 32, kGroupSize = 8;

MonitorRollout make_rollout(const Policy& p, Rng& rng) {
  MonitorRollout out;
  for (int g = 0; g < kGroups; ++g) {
    double reward = 0;
    for (int i = 0; i < kGroupSize; ++i) {
      MonitorSample s;
      const double u = rng.uniform();
      s.verdict = u < p.unparsed                         ? Verdict::kUnparsed
                  : u < p.unparsed + p.timeout           ? Verdict::kTimeout
                  : u < p.unparsed + p.timeout + p.crash ? Verdict::kCrash
                  : rng.uniform() < p.right              ? Verdict::kRight
                                                         : Verdict::kWrong;
      s.measures.formatted = s.measures.tagged = rng.uniform() < p.formatted;
      const double t = rng.uniform();
      s.measures.empty_thought = s.measures.formatted && t < p.thoughtless / 2;
      s.measures.copied_thought = s.measures.formatted && t >= p.thoughtless / 2 && t < p.thoughtless;
      s.measures.answer_first = s.measures.tagged && rng.uniform() < p.answer_first;
      s.measures.repetition = std::clamp(p.repetition + 0.05 * rng.normal(), 0.0, 1.0);
      if (p.words && !s.measures.empty_thought) {
        s.measures.english = std::clamp(p.english + 0.05 * rng.normal(), 0.0, 1.0);
        s.measures.chinese = 1 - *s.measures.english;
      }
      s.tokens = int64_t(std::max(1.0, p.length * (1 + 0.3 * rng.normal())));
      reward += (p.reward + 0.4 * rng.normal()) / kGroupSize;
      out.samples.push_back(s);
    }
    out.group_rewards.push_back(reward);
  }
  out.frac_zero_std = std::clamp(p.zero_variance + 0.05 * rng.normal(), 0.0, 1.0);
  out.reward_values = kGroups * kGroupSize * 2;
  out.reward_values_failed = int64_t(double(out.reward_values) * p.failed);
  return out;
}

double held_out(double accuracy, Rng& rng, int n = 200) {
  int right = 0;
  for (int i = 0; i < n; ++i) right += rng.uniform() < accuracy;
  return double(right) / n;
}

// A run of `rollouts`, evaluated every five; `at`: what the policy is at time 0..1.
template <class At>
std::vector<MonitorAlarm> run(At at, uint64_t seed, int rollouts = 100, MonitorArgs args = {}) {
  Rng rng(seed);
  Monitors monitors(args);
  std::vector<MonitorAlarm> alarms;
  for (int i = 0; i < rollouts; ++i) {
    const Policy p = at(double(i) / rollouts);
    monitors.rollout(make_rollout(p, rng), i);
    if (i % 5 == 4) monitors.held_out(held_out(p.held_out < 0 ? p.right : p.held_out, rng), 200, i);
    for (auto& alarm : monitors.take_alarms()) alarms.push_back(alarm);
  }
  return alarms;
}

std::set<std::string> names(const std::vector<MonitorAlarm>& alarms) {
  std::set<std::string> out;
  for (const auto& a : alarms) out.insert(a.monitor);
  return out;
}
using Names = std::set<std::string>;

double logistic(double t, double middle, double width) {
  return 1 / (1 + std::exp(-(t - middle) / width));
}

TEST(Monitors, HonestRunsAreQuiet) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    // R1-Zero in a nutshell: thoughts grow with accuracy, empty ones vanish early.
    EXPECT_EQ(names(run(
                  [](double t) {
                    Policy p;
                    const double learned = logistic(t, 0.06, 0.02);
                    p.right = 0.05 + 0.94 * learned;
                    p.reward = p.right;
                    p.thoughtless = 0.8 * (1 - learned);
                    p.length = 6 + 29 * learned;
                    p.zero_variance = 0.5 + 0.45 * learned;
                    p.words = false;
                    return p;
                  },
                  seed)),
              Names())
        << "fast, seed " << seed;
    // A large model: slow, with format learned on the way, lengths growing along.
    EXPECT_EQ(names(run(
                  [](double t) {
                    Policy p;
                    p.right = 0.2 + 0.4 * t;
                    p.formatted = 0.6 + 0.4 * logistic(t, 0.2, 0.05);
                    p.reward = p.right + 0.2 * p.formatted;
                    p.length = 300 + 900 * t;
                    p.repetition = 0.1 + 0.1 * t;
                    return p;
                  },
                  seed + 1000)),
              Names())
        << "slow, seed " << seed;
    // Greedy answers are all right from the start, sampled ones become so.
    EXPECT_EQ(names(run(
                  [](double t) {
                    Policy p;
                    p.right = p.reward = 0.2 + 0.75 * std::min(1.0, 2 * t);
                    p.held_out = 0.999;
                    return p;
                  },
                  seed + 3000)),
              Names())
        << "surer, seed " << seed;
    // Nothing happens at all.
    EXPECT_EQ(names(run([](double) { return Policy(); }, seed + 2000)), Names()) << "flat, seed " << seed;
  }
}

TEST(Monitors, RewardUpHeldOutFlatOrDown) {
  int later_seen = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const auto flat = run(
        [](double t) {
          Policy p;
          p.reward = 0.3 + 0.8 * logistic(t, 0.4, 0.05);
          return p;
        },
        seed);
    EXPECT_EQ(names(flat), Names{"reward_without_accuracy"}) << seed;
    ASSERT_FALSE(flat.empty());
    EXPECT_GT(flat[0].step, 25) << "before there was no rise";
    EXPECT_LT(flat[0].step, 75) << "soon after the rise at 40";
    EXPECT_EQ(flat.size(), 1u) << "once";
    EXPECT_NE(flat[0].text.find("held-out"), std::string::npos);
    const auto down = run(
        [](double t) {
          Policy p;
          p.right = 0.5 - 0.4 * t;
          p.reward = 0.3 + 0.6 * t;
          return p;
        },
        seed);
    EXPECT_EQ(names(down), Names{"reward_without_accuracy"}) << seed;
    // First honest, then hacked.
    const auto later = run(
        [](double t) {
          Policy p;
          p.right = 0.1 + 0.5 * std::min(1.0, 2 * t);
          p.reward = p.right + 0.4 * std::max(0.0, 2 * t - 1);
          return p;
        },
        seed);
    later_seen += names(later) == Names{"reward_without_accuracy"} && later[0].step > 50;
    // The train problems are learned by heart.
    const auto memorised = run(
        [](double t) {
          Policy p;
          p.right = p.reward = 0.3 + 0.5 * t;
          p.held_out = 0.3;
          return p;
        },
        seed);
    EXPECT_EQ(names(memorised), Names{"reward_without_accuracy"}) << seed;
  }
  EXPECT_GE(later_seen, 19) << "what begins late has few evaluations to be seen in";
}

// One property of the policy goes from its default to `to` in the middle of the run.
std::vector<MonitorAlarm> change(double Policy::*what, double to, uint64_t seed = 1) {
  return run(
      [=](double t) {
        Policy p;
        if (t >= 0.5) p.*what = to;
        return p;
      },
      seed);
}

TEST(Monitors, EachSeesItsFault) {
  const std::vector<std::tuple<double Policy::*, double, const char*>> faults = {{&Policy::thoughtless, 0.8, "format_without_thought"},
                                                                                 {&Policy::answer_first, 0.7, "answer_before_thought"},
                                                                                 {&Policy::repetition, 0.5, "repetition"},
                                                                                 {&Policy::english, 0.7, "language_drift"},
                                                                                 {&Policy::unparsed, 0.2, "unparsed"},
                                                                                 {&Policy::timeout, 0.2, "timeout"},
                                                                                 {&Policy::crash, 0.2, "crash"},
                                                                                 {&Policy::failed, 0.2, "reward_failures"},
                                                                                 {&Policy::length, 200, "length_without_accuracy"},
                                                                                 {&Policy::zero_variance, 1, "zero_variance"}};
  for (const auto& [what, to, name] : faults) {
    for (uint64_t seed = 0; seed < 10; ++seed) {
      const auto alarms = change(what, to, seed);
      EXPECT_EQ(names(alarms), Names{name});
      EXPECT_EQ(alarms.size(), 1u) << name;
      ASSERT_FALSE(alarms.empty());
      EXPECT_GE(alarms[0].step, 54) << name << ": five rollouts in a row, no sooner";
      EXPECT_LE(alarms[0].step, 75) << name;
    }
  }
}

TEST(Monitors, FromTheBeginning) {
  // A model that repeats itself from its first rollout has no better past to be compared with.
  EXPECT_EQ(names(run(
                [](double) {
                  Policy p;
                  p.repetition = 0.9;
                  return p;
                },
                1)),
            Names{"repetition"});
  MonitorArgs args;
  args.language = "zh";
  EXPECT_EQ(names(run([](double) { return Policy(); }, 1, 100, args)), Names()) << "it never wrote Chinese: no drift";
}

TEST(Monitors, WhatIsFallingDoesNotAlarm) {
  const auto falling = [](double per_rollout) {
    return names(run(
        [=](double t) {
          Policy p;
          p.thoughtless = 0.95 * std::pow(1 - per_rollout, 100 * t);
          return p;
        },
        2));
  };
  EXPECT_EQ(falling(0.08), Names()) << "empty thoughts that are being unlearned";
  EXPECT_EQ(falling(0.002), Names{"format_without_thought"}) << "too slowly to be called so";
}

TEST(Monitors, QuietAgainAndOnceMore) {
  const auto alarms = run(
      [](double t) {
        Policy p;
        if ((t > 0.2 && t < 0.4) || t > 0.7) p.unparsed = 0.3;
        return p;
      },
      3);
  ASSERT_EQ(alarms.size(), 2u);
  EXPECT_NEAR(double(alarms[0].step), 25, 3);
  EXPECT_NEAR(double(alarms[1].step), 75, 3);
}

TEST(Monitors, AllRightGroupsAreNoFault) {
  const auto at = [](double right) {
    return names(run(
        [right](double) {
          Policy p;
          p.right = p.reward = right;
          p.unparsed = 0;
          p.zero_variance = 1;
          return p;
        },
        4));
  };
  EXPECT_EQ(at(0.99), Names());
  EXPECT_EQ(at(0.0), Names{"zero_variance"});
}

TEST(Monitors, HandComputed) {
  MonitorArgs args;
  args.patience = 1;
  args.window = 2;
  args.evals = 1;
  Monitors m(args);
  MonitorRollout r;
  r.samples.resize(4);
  r.samples[0].measures.formatted = r.samples[1].measures.formatted = true;
  r.samples[0].measures.empty_thought = true;
  r.samples[0].measures.repetition = 0.4;
  r.samples[2].verdict = Verdict::kUnparsed;
  r.samples[3].verdict = Verdict::kRight;
  for (auto& s : r.samples) s.tokens = 10;
  r.group_rewards = {0.25, 0.75};
  r.frac_zero_std = 0.5;
  m.rollout(r, 0);
  m.held_out(0.5, 100, 0);
  for (auto& s : r.samples) s.tokens = 20;
  r.group_rewards = {1, 1};
  m.rollout(r, 1);  // the first window: 15 tokens
  m.held_out(0.5, 100, 1);
  m.rollout(r, 2);  // 20 tokens
  m.held_out(0.5, 100, 2);
  Json line = Json::object();
  m.add_metrics(line);
  EXPECT_DOUBLE_EQ(line.at("monitor/format_without_thought"), 0.5);
  EXPECT_DOUBLE_EQ(line.at("monitor/repetition"), 0.1);
  EXPECT_DOUBLE_EQ(line.at("monitor/unparsed"), 0.25);
  EXPECT_DOUBLE_EQ(line.at("monitor/zero_variance"), 0.5);
  EXPECT_DOUBLE_EQ(line.at("monitor/length_without_accuracy"), 20.0 / 15 - 1);
  EXPECT_FALSE(line.contains("monitor/language_drift")) << "no words";
  EXPECT_FALSE(line.contains("monitor/answer_before_thought")) << "no tags";
  // 0.5 -> 1 is all of the range, but two groups of 0.25 and 0.75 have a standard error of 0.25: within three of them.
  EXPECT_DOUBLE_EQ(line.at("monitor/reward_without_accuracy"), 0);
  EXPECT_EQ(line.at("monitor/alarms"), 2);  // unparsed and length
  EXPECT_EQ(m.summary().at("unparsed").at("state"), "alarm");
  EXPECT_EQ(m.summary().at("language_drift").at("state"), "no data");
}

TEST(Monitors, StateGoesThroughJsonBitwise) {
  const auto at = [](int i) {
    Policy p;
    p.unparsed = i > 20 ? 0.3 : 0.01;
    p.reward = 0.01 * i;
    p.length = 50 + i;
    return p;
  };
  for (const int stop : {1, 7, 23, 30}) {
    Rng one(5), two(5);
    Monitors whole({}), resumed({});
    for (int i = 0; i < 40; ++i) {
      const auto feed = [&](Monitors& m, Rng& rng) {
        m.rollout(make_rollout(at(i), rng), i);
        if (i % 3 == 2) m.held_out(held_out(0.3, rng), 200, i);
      };
      feed(whole, one);
      feed(resumed, two);
      if (i == stop) {
        const Json saved = parse_json(dump_json(resumed.state()), "state");
        resumed = Monitors({});
        resumed.load_state(saved);
      }
    }
    EXPECT_EQ(dump_json(whole.state()), dump_json(resumed.state())) << stop;
    EXPECT_EQ(whole.take_alarms().size(), resumed.take_alarms().size());
  }
}

// ---- what is seen in one completion ----

SampleMeasures seen(const std::string& completion, const std::string& question = "start 7*9+3-6:", const std::string& extracted = "60") {
  Problem p;
  p.question = question;
  return measure_sample(p, completion, {Verdict::kRight, 1, extracted});
}

TEST(SampleMeasures, EmptyAndCopiedThoughts) {
  EXPECT_TRUE(seen("<think> \n</think><answer>60</answer>").empty_thought);
  const auto honest = seen("<think>7*9=63 63+3=66 66-6=60 so</think><answer>60</answer>");
  EXPECT_TRUE(honest.formatted);
  EXPECT_FALSE(honest.empty_thought || honest.copied_thought || honest.answer_first);
  EXPECT_TRUE(seen("<think>7*9+3-6</think><answer>60</answer>").copied_thought) << "the question";
  EXPECT_TRUE(seen("<think>Start 7*9+3-6: start 7*9+3-6:</think><answer>60</answer>").copied_thought) << "twice";
  EXPECT_TRUE(seen("<think>60</think><answer>60</answer>").copied_thought) << "the answer";
  EXPECT_FALSE(seen("<think>59</think><answer>60</answer>").copied_thought);
  EXPECT_FALSE(seen("7*9+3-6").copied_thought) << "no format, no thought";
  EXPECT_TRUE(seen("7*9+3-6</think><answer>60</answer>").copied_thought) << "opened by the prompt";
  const std::string words = "A hen lays sixteen eggs a day and three are eaten. How many are left?";
  EXPECT_TRUE(seen("<think>a hen lays sixteen eggs a day and three are eaten</think><answer>13</answer>", words, "13").copied_thought);
  EXPECT_FALSE(seen("<think>sixteen eggs, three are eaten, so 16-3=13 are left</think><answer>13</answer>", words, "13").copied_thought);
}

TEST(SampleMeasures, AnswersBeforeThoughts) {
  EXPECT_TRUE(seen("<answer>60</answer><think>7*9=63</think>").answer_first);
  EXPECT_TRUE(seen("<answer>60</answer>").answer_first);
  EXPECT_TRUE(seen("It is 60. <think>7*9=63</think><answer>60</answer>").answer_first);
  EXPECT_TRUE(seen("<think>60 because 7*9=63</think><answer>60</answer>").answer_first);
  EXPECT_FALSE(seen("<think>7*9=63 63+3=66 66-6=60</think><answer>60</answer>").answer_first);
  EXPECT_FALSE(seen("Well. <think>7*9=63</think><answer>60</answer>").answer_first);
  EXPECT_FALSE(seen("7*9=63 so <answer>60</answer>").answer_first) << "a thought without tags";
  EXPECT_FALSE(seen("60").tagged);
}

TEST(SampleMeasures, AnyTextIsBorne) {
  Rng rng(6);
  const std::vector<std::string> pieces = {"<think>", "</think>", "<answer>", "</answer>", "60", " ", "\xff", "好", "7*9", "\n", "a"};
  for (int i = 0; i < 5000; ++i) {
    std::string text;
    for (uint64_t k = rng.below(12); k-- > 0;) text += pieces[rng.below(pieces.size())];
    const auto m = seen(text);
    EXPECT_TRUE(m.formatted || !(m.empty_thought || m.copied_thought)) << text;
    EXPECT_TRUE(m.tagged || !m.answer_first) << text;
    EXPECT_GE(m.repetition, 0);
    EXPECT_LE(m.repetition, 1);
  }
}

}  // namespace
}  // namespace r1::tasks
