// The engine on a device: paged decoding of tiny random models against the whole forward on the same device, against the engine on the
// CPU, and against itself. One body for all; the instances called Cuda skip themselves where there is no such device. On the CPU fp32 is
// held to the bit; on a GPU products of other shapes sum in another order, so a greedy token is asked to be a largest logit within
// rounding.

#include <algorithm>
#include <tuple>

#include "r1/tensor/aten.h"
#include "tests/cuda_device.h"
#include "tests/engine/fixture.h"

namespace r1::engine {

namespace {

class DeviceTest : public testing::Test {
 protected:
  explicit DeviceTest(at::DeviceType device) : device_(device) {}
  void SetUp() override {
    if (device_ == at::kCUDA && !has_cuda()) GTEST_SKIP() << "no CUDA device";
  }
  bool on_cpu() const { return device_ == at::kCPU; }
  // Of logits and log-probabilities, whose scale is a few units.
  double rounding(at::ScalarType dtype) const { return dtype != at::kFloat ? 0.3 : on_cpu() ? 0 : 1e-3; }
  std::unique_ptr<model::Transformer> model(const model::ModelConfig& config, at::ScalarType dtype = at::kFloat) const {
    return model_of(config, 1, device_, dtype);
  }
  const at::DeviceType device_;
};

class EngineOn : public DeviceTest, public testing::WithParamInterface<at::DeviceType> {
 protected:
  EngineOn() : DeviceTest(GetParam()) {}
};

// Every kind of layer that has a cache of its own.
class EngineKindOn : public DeviceTest, public testing::WithParamInterface<std::tuple<at::DeviceType, std::string>> {
 protected:
  EngineKindOn() : DeviceTest(std::get<0>(GetParam())), kind_(std::get<1>(GetParam())) {}
  const std::string kind_;
};

std::vector<Request> greedy_requests(int n) {
  std::vector<Request> requests = mixed_requests(n);
  for (Request& r : requests) {
    r.forced.clear();
    r.sampling = {.temperature = 0, .max_new_tokens = r.sampling.max_new_tokens, .logprobs = true};
  }
  return requests;
}

std::vector<Answer> answers_of(Engine& engine, const std::vector<Request>& requests) {
  std::vector<RequestId> ids;
  for (const Request& r : requests) ids.push_back(engine.add(r));
  Answers answers = run_out(engine);
  std::vector<Answer> in_order;
  for (const RequestId id : ids) in_order.push_back(answers[id]);
  EXPECT_EQ(engine.stats().free_blocks, engine.stats().total_blocks);
  return in_order;
}

struct NamedConfig {
  const char* name;
  EngineConfig config;
};
// Everybody at once; chunked prefill beside decoding, with preemption; few at a time, so that the later ones find the prefixes of those
// before.
std::vector<NamedConfig> schedules() {
  std::vector<NamedConfig> all{{"roomy", small_config()}, {"tight", small_config()}, {"few", small_config()}};
  all[1].config.num_blocks = 12;
  all[1].config.max_num_batched_tokens = 33;
  all[2].config.max_num_seqs = 3;
  return all;
}

// How far an answer is from the whole forward over prompt and answer: its tokens' logits below the largest, its log-probabilities from the
// trainer's.
struct Distance {
  double from_greedy = 0, logprob = 0;
};

void measure(model::Transformer& m, const Request& r, const Answer& a, Distance& worst) {
  const at::NoGradGuard no_grad;
  std::vector<TokenId> tokens = r.prompt;
  tokens.insert(tokens.end(), a.ids.begin(), a.ids.end());
  std::vector<int64_t> ids, made(a.ids.begin(), a.ids.end());
  const nn::LayerContext context = packed({tokens}, ids, m.device());
  const Tensor x_TD = m.hidden(ids_tensor(ids).to(m.device()), context);
  const Tensor x_AD = x_TD.narrow(0, int64_t(r.prompt.size()) - 1, int64_t(made.size()));
  const Tensor made_A = ids_tensor(made).to(m.device());
  const Tensor logits_AV = m.logits(x_AD);
  const Tensor below_A = std::get<0>(aten::max(logits_AV, 1)) - logits_AV.gather(1, made_A.unsqueeze(1)).squeeze(1);
  const Tensor logprob_A = ops::linear_logprob(x_AD, m.head(), made_A).logprob_T.to(at::kCPU, at::kFloat).contiguous();
  worst.from_greedy = std::max(worst.from_greedy, below_A.max().item<double>());
  for (size_t i = 0; i < made.size(); ++i)
    worst.logprob = std::max(worst.logprob, std::abs(double(logprob_A.const_data_ptr<float>()[i]) - a.logprobs[i]));
}

void expect_full_forward(model::Transformer& m, const std::vector<Request>& requests, const NamedConfig& schedule, double rounding,
                         const std::string& what) {
  Engine engine(m, schedule.config);
  const std::vector<Answer> answers = answers_of(engine, requests);
  Distance worst;
  for (size_t i = 0; i < requests.size(); ++i) {
    ASSERT_EQ(int64_t(answers[i].ids.size()), requests[i].sampling.max_new_tokens);
    measure(m, requests[i], answers[i], worst);
  }
  EXPECT_LE(worst.from_greedy, rounding) << what;
  EXPECT_LE(worst.logprob, rounding) << what;
  if (schedule.name == std::string("tight")) {
    EXPECT_GT(engine.stats().preemptions, 0) << what;
  }
  if (schedule.name == std::string("few")) {
    EXPECT_GT(engine.stats().prefix_hit_tokens, 0) << what;
  }
}

std::vector<std::vector<TokenEvent>> events_of(model::Transformer& m, const std::vector<Request>& requests) {
  Engine engine(m, small_config());
  std::map<RequestId, size_t> place;
  for (size_t i = 0; i < requests.size(); ++i) place[engine.add(requests[i])] = i;
  std::vector<std::vector<TokenEvent>> events(requests.size());
  while (!engine.idle())
    for (const TokenEvent& e : engine.step()) events[place.at(e.request)].push_back(e);
  return events;
}

void expect_near(const TokenEvent& got, const TokenEvent& expected, double rounding, const std::string& what) {
  EXPECT_EQ(got.token, expected.token) << what;
  EXPECT_NEAR(got.logprob, expected.logprob, rounding) << what;
  std::map<TokenId, float> top;
  for (const TokenAlternative& t : expected.top) top[t.id] = t.logprob;
  int found = 0;
  for (const TokenAlternative& t : got.top) {
    if (!top.contains(t.id)) continue;
    ++found;
    EXPECT_NEAR(t.logprob, top[t.id], rounding) << what << " alternative " << t.id;
  }
  EXPECT_GE(found, 19) << what;  // the last may be another of near equals
}

}  // namespace

TEST_P(EngineKindOn, GreedyTextIsTheFullForwards) {
  const auto requests = greedy_requests(12);
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    // In 16 bits what a rounding decides (a bucket, an expert) moves whole keys and experts.
    if (dtype == at::kBFloat16 && (kind_ == "lsh" || kind_ == "context_experts")) continue;
    const auto m = model(kind_config(kind_), dtype);
    for (const NamedConfig& schedule : schedules())
      expect_full_forward(*m, requests, schedule, rounding(dtype), str(at::toString(dtype), " ", schedule.name));
  }
}

// Token by token as the definition has it, which also counts what a wrong end of an answer would hide.
TEST_P(EngineOn, GreedyTokensAreThoseOfNaiveDecoding) {
  const auto m = model(tiny_config());
  Engine engine(*m, small_config());
  const auto requests = greedy_requests(6);
  const auto answers = answers_of(engine, requests);
  std::set<TokenId> distinct;
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(answers[i].ids, naive_greedy(*m, requests[i].prompt, int(requests[i].sampling.max_new_tokens))) << "request " << i;
    distinct.insert(answers[i].ids.begin(), answers[i].ids.end());
  }
  EXPECT_GT(distinct.size(), 15u);  // else the model is too dull to test anything
}

// The CPU's greedy text, forced upon the engine here: the same probabilities, also of the twenty likeliest tokens.
TEST_P(EngineKindOn, ProbabilitiesAreThoseOfTheCpu) {
  auto requests = greedy_requests(6);
  for (Request& r : requests) r.sampling.top_logprobs = 20;
  const auto there = model_of(kind_config(kind_)), here = model(kind_config(kind_));
  const auto expected = events_of(*there, requests);
  for (size_t i = 0; i < requests.size(); ++i)
    for (const TokenEvent& e : expected[i]) requests[i].forced.push_back(e.token);
  const auto got = events_of(*here, requests);
  for (size_t i = 0; i < requests.size(); ++i) {
    ASSERT_EQ(got[i].size(), expected[i].size());
    for (size_t t = 0; t < got[i].size(); ++t)
      expect_near(got[i][t], expected[i][t], rounding(at::kFloat), str("request ", i, " token ", t));
  }
}

// Steps that are replayed give what steps that are launched give, whatever numbers of sequences they are padded to; also after the weights
// have changed in place, and when the tables of positions have grown.
TEST_P(EngineOn, CapturedStepsChangeNothing) {
  auto requests = greedy_requests(23);
  for (size_t i = 0; i < requests.size(); ++i) requests[i].sampling.max_new_tokens = 20 + int64_t(i);
  const auto m = model(tiny_config());
  EngineConfig plain = small_config(), replayed = small_config();
  plain.cuda_graphs = false;
  Engine a(*m, plain), b(*m, replayed);  // on the CPU there are no graphs, and both are the same
  for (int round = 0; round < 3; ++round) {
    const auto expected = answers_of(a, requests), got = answers_of(b, requests);
    for (size_t i = 0; i < requests.size(); ++i) {
      EXPECT_EQ(got[i].ids, expected[i].ids) << "request " << i << " round " << round;
      for (size_t t = 0; t < got[i].logprobs.size(); ++t)
        EXPECT_NEAR(got[i].logprobs[t], expected[i].logprobs[t], std::max(rounding(at::kFloat), 1e-6));
    }
    if (round == 1) m->init_weights(2);
  }
  EXPECT_EQ(a.stats().replayed_steps, 0);
  EXPECT_EQ(b.stats().replayed_steps > 0, !on_cpu()) << b.stats().steps << " steps";
}

TEST_P(EngineOn, GuessesFromTheTextChangeNoToken) {
  auto requests = greedy_requests(9);
  for (size_t i = 0; i < requests.size(); ++i) {
    requests[i].sampling.max_new_tokens = 70;
    // The beginnings of some answers are told, and go round in circles.
    for (TokenId t = 0; i % 3 != 2 && t < 50; ++t) requests[i].forced.push_back(40 + t % (4 + TokenId(i)));
  }
  requests[4].sampling.temperature = 0.7;
  requests[5].sampling.repetition_penalty = 1.3;
  const auto m = model(tiny_config());
  Engine plain(*m, small_config());
  const auto expected = answers_of(plain, requests);
  for (const int64_t blocks : {int64_t{0}, int64_t{40}}) {
    for (const int64_t guesses : {1, 3, 8}) {
      EngineConfig c = small_config();
      c.speculation = "ngram";
      c.num_speculative_tokens = guesses;
      c.max_num_seqs = 3;
      if (blocks) c.num_blocks = blocks;
      Engine guessing(*m, c);
      const auto got = answers_of(guessing, requests);
      for (size_t i = 0; i < requests.size(); ++i)
        EXPECT_EQ(got[i].ids, expected[i].ids) << "request " << i << ", " << guesses << " guesses";
      EXPECT_GT(guessing.stats().accepted_draft_tokens, 30) << guesses;
      EXPECT_LT(guessing.stats().steps, plain.stats().generated_tokens);
    }
  }
}

TEST_P(EngineOn, SpeculationChangesNoToken) {
  const auto requests = greedy_requests(16);
  for (const bool chain : {false, true}) {
    const auto m = chain ? chain_model(device_) : model_of(mtp_config(), 5, device_);
    Engine plain(*m, small_config());
    const auto expected = answers_of(plain, requests);
    EngineConfig tight = small_config();
    tight.num_blocks = 24;
    for (const EngineConfig& c : {small_config(), tight}) {
      Engine guessing(*m, speculating(c));
      const auto got = answers_of(guessing, requests);
      for (size_t i = 0; i < requests.size(); ++i) EXPECT_EQ(got[i].ids, expected[i].ids) << "request " << i << (chain ? ", chain" : "");
      EXPECT_GT(guessing.stats().draft_tokens, 0);
      if (chain) {
        EXPECT_GT(guessing.stats().accepted_draft_tokens, 50);
        EXPECT_LT(guessing.stats().steps, plain.stats().steps + int64_t(requests.size()) * guessing.stats().preemptions);
      }
    }
  }
}

// All kinds of sampling, penalties and forced tokens, on the device and on the host side by side.
TEST_P(EngineOn, SamplingWithASeedRepeats) {
  const auto m = model(tiny_config());
  auto requests = mixed_requests(26);
  Engine first(*m, small_config()), second(*m, small_config());
  const auto once = answers_of(first, requests), again = answers_of(second, requests);
  for (size_t i = 0; i < requests.size(); ++i) EXPECT_EQ(once[i].ids, again[i].ids) << "request " << i;

  // In another batch a draw within rounding of a boundary may fall on its other side: rare, and never on the CPU.
  for (const NamedConfig& schedule : schedules()) {
    Engine other(*m, schedule.config);
    const auto answers = answers_of(other, requests);
    int changed = 0;
    for (size_t i = 0; i < requests.size(); ++i) changed += answers[i].ids != once[i].ids;
    EXPECT_LE(changed, on_cpu() ? 0 : 1) << schedule.name;
  }

  for (Request& r : requests) r.sampling.seed += 1000;
  Engine reseeded(*m, small_config());
  const auto others = answers_of(reseeded, requests);
  int differ = 0, drawn = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (requests[i].sampling.temperature == 0) {
      EXPECT_EQ(others[i].ids, once[i].ids) << "greedy request " << i;
      continue;
    }
    ++drawn;
    differ += others[i].ids != once[i].ids;
  }
  EXPECT_GT(differ, drawn * 2 / 3);
}

// A group prefills its prompt once; its samples write on into copies of the block that they shared.
TEST_P(EngineOn, AGroupGoesOnFromOnePrompt) {
  for (const char* kind : {"full", "mla", "lsh"}) {
    const auto m = model(kind_config(kind));
    Rng rng(12);
    Request r = request_of(rng, 37, 20);
    r.sampling.temperature = 1;
    Engine engine(*m, small_config());
    const auto ids = engine.add_group(r, 8);
    Answers answers = run_out(engine);
    EXPECT_EQ(engine.stats().prefill_tokens, 37);
    Distance worst;
    std::set<std::vector<TokenId>> distinct;
    for (const RequestId id : ids) {
      ASSERT_EQ(answers[id].ids.size(), 20u);
      measure(*m, r, answers[id], worst);
      distinct.insert(answers[id].ids);
    }
    EXPECT_EQ(distinct.size(), 8u);
    EXPECT_LE(worst.logprob, rounding(at::kFloat)) << kind;
  }
}

TEST_P(EngineOn, BrokenWeightsAreAnErrorAndLeaveTheEngineUsable) {
  const auto m = model(tiny_config());
  EngineConfig c = small_config();
  c.weight_update = "recompute";
  Engine engine(*m, c);
  Rng rng(18);
  const Request r = request_of(rng, 20, 8);
  const RequestId id = engine.add(r);
  const TokenId first = engine.step().at(0).token;
  Tensor& last = *m->weights().back().tensor;
  const Tensor good = last.clone();
  const at::NoGradGuard no_grad;
  last.fill_(NAN);
  m->bump_version();
  EXPECT_THROW(engine.step(), Error);
  last.copy_(good);
  m->bump_version();
  auto answer = run_out(engine)[id].ids;
  answer.insert(answer.begin(), first);
  EXPECT_EQ(answer, naive_greedy(*m, r.prompt, 8));
}

const std::string kKinds[] = {"full", "window", "mla", "hybrid", "lsh", "dynamic_window", "blockwise", "context_experts"};
const auto kind_name = [](const auto& info) { return std::get<1>(info.param); };
INSTANTIATE_TEST_SUITE_P(Cpu, EngineKindOn, testing::Combine(testing::Values(at::kCPU), testing::ValuesIn(kKinds)), kind_name);
INSTANTIATE_TEST_SUITE_P(Cuda, EngineKindOn, testing::Combine(testing::Values(at::kCUDA), testing::ValuesIn(kKinds)), kind_name);
INSTANTIATE_TEST_SUITE_P(Cpu, EngineOn, testing::Values(at::kCPU));
INSTANTIATE_TEST_SUITE_P(Cuda, EngineOn, testing::Values(at::kCUDA));

}  // namespace r1::engine
