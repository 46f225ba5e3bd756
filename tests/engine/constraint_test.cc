// Answers under a constraint: the grammar holds at any temperature, through groups, preemption, chunks and guesses, and neighbours without
// one notice nothing.
#include "r1/grammar/token_constraint.h"

#include <gtest/gtest.h>

#include "r1/engine/completion.h"
#include "r1/grammar/compose.h"
#include "r1/grammar/grammar.h"
#include "tests/engine/scripted.h"

namespace r1::engine {

namespace {

const text::Tokenizer& tokenizer() {
  static const text::Tokenizer t = byte_tokenizer();
  return t;
}
std::shared_ptr<const grammar::TokenTable> table() {
  static const auto t = std::make_shared<const grammar::TokenTable>(tokenizer());
  return t;
}

// Its vocabulary is the bytes, the end, and some ids that are no token.
std::unique_ptr<model::Transformer> byte_model() {
  model::ModelConfig c = tiny_config();
  c.vocab_size = 262;
  return model_of(c, 4);
}

std::shared_ptr<const grammar::TokenConstraint> constraint_of(const grammar::Grammar& g) {
  return std::make_shared<grammar::GrammarConstraint>(std::make_shared<grammar::Matcher>(g, table()), std::vector<TokenId>{kEos});
}

grammar::Grammar person() {
  return grammar::compile_json_schema(parse_json(
      R"({"properties": {"name": {"type": "string", "maxLength": 6}, "age": {"type": "integer", "maximum": 99, "minimum": 0}, "ok": {"type": "boolean"}}, "required": ["name", "age"]})",
      "test"));
}

std::string text_of(std::vector<TokenId> ids) {
  if (!ids.empty() && ids.back() == kEos) ids.pop_back();
  return tokenizer().decode_bytes(ids);
}

void expect_person(const Answer& answer) {
  ASSERT_EQ(answer.finish, FinishReason::kStop);
  const Json person = parse_json(text_of(answer.ids), "answer");
  EXPECT_TRUE(person.at("name").is_string());
  EXPECT_GE(person.at("age").get<int>(), 0);
  EXPECT_LE(person.at("age").get<int>(), 99);
}

Request constrained(const grammar::Grammar& g, double temperature, uint64_t seed) {
  Request r{.prompt = {TokenId(1 + seed % 50), 2, 3}};
  r.sampling = {.temperature = temperature, .seed = seed, .max_new_tokens = 200, .stop_ids = {kEos}, .logprobs = true};
  r.constraint = constraint_of(g);
  return r;
}

std::vector<Request> byte_requests(int n) {
  std::vector<Request> requests = mixed_requests(n);
  return requests;
}

// Throws when it is asked, or told, for the `at`-th time.
class Failing : public grammar::TokenConstraint {
 public:
  Failing(int mask_at, int accept_at) : mask_at_(mask_at), accept_at_(accept_at) {}
  bool mask(std::span<uint64_t>) override {
    if (mask_at_-- == 0) fail("no mask");
    return false;
  }
  void accept(int32_t) override {
    if (accept_at_-- == 0) fail("not accepted");
  }
  std::unique_ptr<TokenConstraint> clone() const override { return std::make_unique<Failing>(*this); }

 private:
  int mask_at_, accept_at_;
};

// Remembers what it was told.
class Recording : public grammar::TokenConstraint {
 public:
  explicit Recording(std::shared_ptr<std::vector<std::vector<TokenId>>> log) : log_(std::move(log)) {}
  bool mask(std::span<uint64_t>) override { return false; }
  void accept(int32_t id) override { (*log_)[mine_].push_back(id); }
  std::unique_ptr<TokenConstraint> clone() const override {
    auto copy = std::make_unique<Recording>(log_);
    copy->mine_ = log_->size();
    log_->emplace_back();
    return copy;
  }

 private:
  std::shared_ptr<std::vector<std::vector<TokenId>>> log_;
  size_t mine_ = 0;
};

}  // namespace

TEST(Constraint, HoldsAtAnyTemperature) {
  const auto m = byte_model();
  for (const double temperature : {0.0, 0.7, 1.0, 5.0})
    for (uint64_t seed = 0; seed < 6; ++seed) {
      Engine engine(*m, small_config());
      Request r = constrained(person(), temperature, seed);
      if (seed == 1) r.sampling.top_k = 3;
      if (seed == 2) r.sampling.top_p = 0.5;
      if (seed == 3) r.sampling.min_p = 0.2;
      if (seed == 4) r.sampling.repetition_penalty = 1.5, r.sampling.presence_penalty = 1;
      if (seed == 5) r.sampling.min_new_tokens = 150;  // longer than any text of the grammar: it gives way
      const RequestId id = engine.add(r);
      expect_person(run_out(engine)[id]);
    }
}

TEST(Constraint, EachSampleRunsItsOwn) {
  const auto m = byte_model();
  Engine engine(*m, small_config());
  const std::vector<RequestId> ids = engine.add_group(constrained(person(), 1.0, 3), 8);
  const Answers answers = run_out(engine);
  std::set<std::string> texts;
  for (RequestId id : ids) {
    expect_person(answers.at(id));
    texts.insert(text_of(answers.at(id).ids));
  }
  EXPECT_GT(texts.size(), 4u);
}

// Few blocks, small steps: sequences are thrown out and computed again; every token is told once, and the answers are those of running alone.
TEST(Constraint, PreemptionTellsNothingTwice) {
  const auto m = byte_model();
  std::vector<Request> requests;
  for (uint64_t i = 0; i < 12; ++i) requests.push_back(constrained(person(), 1.0, i));
  const std::vector<Answer> alone = answers_alone(*m, requests);
  for (const Answer& a : alone) expect_person(a);
  EngineConfig tight;
  tight.num_blocks = 14;
  tight.max_num_batched_tokens = 16;
  const EngineStats stats = expect_same(*m, requests, alone, tight);
  EXPECT_GT(stats.preemptions, 0);

  const auto log = std::make_shared<std::vector<std::vector<TokenId>>>();
  Engine engine(*m, tight);
  std::vector<RequestId> ids;
  for (Request& r : requests) {
    r.constraint = std::make_shared<Recording>(log);
    r.sampling.max_new_tokens = 40;
    r.forced = {5, 6};
    ids.push_back(engine.add(r));
  }
  const Answers answers = run_out(engine);
  EXPECT_GT(engine.stats().preemptions, 0);
  for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ((*log)[i], answers.at(ids[i]).ids);
}

// Bitwise the same with constrained ones in the batch as alone; log-probabilities too.
TEST(Constraint, NeighboursNoticeNothing) {
  const auto m = byte_model();
  std::vector<Request> plain = byte_requests(14);
  const std::vector<Answer> alone = answers_alone(*m, plain);
  Engine engine(*m, small_config());
  std::vector<RequestId> ids, others;
  for (size_t i = 0; i < plain.size(); ++i) {
    others.push_back(engine.add(constrained(person(), 1.0, i)));
    ids.push_back(engine.add(plain[i]));
  }
  const Answers answers = run_out(engine);
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_TRUE(answers.at(ids[i]) == alone[i]) << i;
    expect_person(answers.at(others[i]));
  }
}

TEST(Constraint, LogprobsAreTheModels) {
  const auto m = byte_model();
  Request r = constrained(grammar::compile_regex("abc"), 1.0, 0);
  Request same = r;
  same.constraint = nullptr;
  same.forced = {'a', 'b', 'c', kEos};
  same.sampling.max_new_tokens = 4;
  Engine engine(*m, small_config());
  const RequestId a = engine.add(r), b = engine.add(same);
  const Answers answers = run_out(engine);
  ASSERT_EQ(answers.at(a).ids, answers.at(b).ids);
  EXPECT_EQ(answers.at(a).logprobs, answers.at(b).logprobs);
}

TEST(Constraint, AFailureIsItsOwn) {
  const auto m = byte_model();
  std::vector<Request> plain = byte_requests(6);
  const std::vector<Answer> alone = answers_alone(*m, plain);
  for (const bool in_mask : {true, false}) {
    Engine engine(*m, small_config());
    std::vector<RequestId> ids;
    std::map<RequestId, std::vector<TokenEvent>> failing;
    for (const Request& r : plain) {
      Request bad = r;
      bad.forced.clear();
      bad.sampling.stop_ids.clear();
      bad.sampling.max_new_tokens = 20;
      bad.constraint = std::make_shared<Failing>(in_mask ? 2 : 99, in_mask ? 99 : 2);
      engine.add_group(bad, 2, [&](const TokenEvent& e) { failing[e.request].push_back(e); });
      ids.push_back(engine.add(r));
    }
    const Answers answers = run_out(engine);
    for (size_t i = 0; i < ids.size(); ++i) EXPECT_TRUE(answers.at(ids[i]) == alone[i]) << i;
    ASSERT_EQ(failing.size(), 12u);
    for (const auto& [id, events] : failing) {
      ASSERT_EQ(events.size(), 3u);
      EXPECT_EQ(events.back().finish, FinishReason::kFailed);
      EXPECT_EQ(events.back().error, in_mask ? "no mask" : "not accepted");
      EXPECT_EQ(events.back().token, -1);
    }
    EXPECT_EQ(engine.stats().free_blocks, engine.stats().total_blocks);
  }
}

// A mask of nothing, or of what the model has not, is that request's failure, not the step's.
TEST(Constraint, AMaskOfNothingIsAFailure) {
  class Nothing : public grammar::TokenConstraint {
   public:
    explicit Nothing(bool past) : past_(past) {}
    bool mask(std::span<uint64_t> words) override {
      std::fill(words.begin(), words.end(), 0);
      if (past_) words.back() = uint64_t{1} << 63;
      return true;
    }
    void accept(int32_t) override {}
    std::unique_ptr<TokenConstraint> clone() const override { return std::make_unique<Nothing>(*this); }

   private:
    bool past_;
  };
  const auto m = byte_model();
  Engine engine(*m, small_config());
  Request plain = constrained(person(), 1.0, 1);
  plain.constraint = nullptr;
  const std::vector<Answer> alone = answers_alone(*m, {plain});
  const RequestId ok = engine.add(plain);
  std::vector<FinishReason> ends;
  for (const bool past : {true, false}) {
    Request bad = plain;
    bad.constraint = std::make_shared<Nothing>(past);
    engine.add(bad, [&](const TokenEvent& e) { ends.push_back(e.finish); });
  }
  EXPECT_TRUE(run_out(engine).at(ok) == alone[0]);
  EXPECT_EQ(ends, (std::vector<FinishReason>(2, FinishReason::kFailed)));
}

TEST(Constraint, NothingIsGuessedForIt) {
  const auto m = byte_model();
  for (const bool constrains : {true, false}) {
    EngineConfig c = small_config();
    c.num_speculative_tokens = 4, c.speculation = "ngram";
    Engine engine(*m, c);
    Request r = constrained(grammar::compile_regex("(ab){30}"), 0, 0);
    r.prompt = {'a', 'b', 'a', 'b', 'a', 'b'};
    if (!constrains) {
      r.constraint = nullptr;
      r.forced.assign(30, 'a');
    }
    engine.add(r);
    run_out(engine);
    EXPECT_EQ(engine.stats().draft_tokens > 0, !constrains);
  }
}

TEST(Constraint, CompletionsBringTheirText) {
  const auto m = byte_model();
  Engine engine(*m, small_config());
  CompletionRequest r{.prompt = {1, 2}, .n = 3};
  r.sampling = {.temperature = 1, .max_new_tokens = 200, .stop_ids = {kEos}};
  r.constraint = constraint_of(person());
  // A thought that the budget ends.
  CompletionRequest thinking = r;
  thinking.constraint = std::make_shared<grammar::ThoughtConstraint>(
      table(), grammar::ThoughtOptions{.in_thought = true, .forced = tokenizer().encode("</think>"), .budget = 5, .stop_ids = {kEos}},
      std::make_unique<grammar::GrammarConstraint>(std::make_shared<grammar::Matcher>(person(), table()), std::vector<TokenId>{kEos}));
  CompletionRequest failing = r;
  failing.constraint = std::make_shared<Failing>(1, 99);
  const auto all = complete(engine, tokenizer(), {r, thinking, failing});
  for (const Completion& c : all[0]) {
    EXPECT_EQ(c.finish, FinishReason::kStop);
    EXPECT_TRUE(parse_json(c.text, "answer").contains("age"));
    EXPECT_FALSE(c.cut);
  }
  for (const Completion& c : all[1]) {
    EXPECT_EQ(c.finish, FinishReason::kStop);
    EXPECT_TRUE(c.cut);
    const size_t end = c.text.find("</think>");
    ASSERT_NE(end, std::string::npos);
    std::string answer = c.text.substr(end + 8);
    answer.erase(0, answer.find_first_not_of(" \t\r\n"));
    EXPECT_TRUE(parse_json(answer, "answer").contains("name")) << answer;
  }
  for (const Completion& c : all[2]) {
    EXPECT_EQ(c.finish, FinishReason::kFailed);
    EXPECT_EQ(c.error, "no mask");
    EXPECT_EQ(c.ids.size(), 1u);
  }
}

}  // namespace r1::engine
