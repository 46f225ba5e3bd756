// The service without HTTP: the same text as the engine's own, whoever else is there; who waits, who is refused, who leaves.
#include "tests/serve/serve_testing.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "r1/base/rng.h"
#include "r1/engine/completion.h"

namespace r1::serve::testing {

TEST(Service, TextIsTheEnginesOwnWhoeverElseIsThere) {
  Served s(byte_model());
  std::vector<api::GenerationRequest> requests;
  Rng rng(5);
  for (int i = 0; i < 24; ++i) {
    std::string prompt;
    for (int n = 1 + int(rng.uniform() * 40); n > 0; --n) prompt += char('a' + int(rng.uniform() * 26));
    api::GenerationRequest r = completion(prompt, 20);
    r.n = 1 + i % 3;
    r.sampling.temperature = i % 2 ? 1.0 : 0.0;
    r.sampling.seed = uint64_t(i);
    requests.push_back(r);
  }
  Service service(s.served, service_config());
  std::vector<HeardPtr> heard;
  for (const auto& r : requests) heard.push_back(submit(service, r, "k" + std::to_string(heard.size() % 4)));
  for (const auto& h : heard) ASSERT_TRUE(h->wait());

  engine::EngineConfig alone = service_config().engine;
  alone.max_num_batched_tokens = 64;
  engine::Engine engine(*s.model, alone);
  for (size_t i = 0; i < requests.size(); ++i) {
    engine::CompletionRequest r{.prompt = s.tokenizer.encode(std::get<std::string>(requests[i].prompts[0])),
                                .sampling = {.temperature = *requests[i].sampling.temperature,
                                             .seed = *requests[i].sampling.seed,
                                             .max_new_tokens = 20,
                                             .stop_ids = {engine::kEos}},
                                .n = int(requests[i].n)};
    const auto expected = engine::complete(engine, s.tokenizer, {r})[0];
    ASSERT_EQ(heard[i]->error, "");
    ASSERT_EQ(heard[i]->choices.size(), size_t(r.n));
    int64_t made = 0;
    for (int j = 0; j < r.n; ++j) {
      EXPECT_EQ(heard[i]->choices[j].content, expected[size_t(j)].text) << "request " << i << ", sample " << j;
      EXPECT_EQ(heard[i]->choices[j].reason, engine::finish_reason_name(expected[size_t(j)].finish));
      made += int64_t(expected[size_t(j)].ids.size());
    }
    EXPECT_EQ(heard[i]->usage.prompt_tokens, int64_t(r.prompt.size()));
    EXPECT_EQ(heard[i]->usage.completion_tokens, made);
    EXPECT_EQ(heard[i]->starts, 1);
  }
}

// Fault S2, without the network: who leaves is gone within a step, and the cache is as it was.
TEST(Service, CancelFreesSlotsAndBlocks) {
  Served s(byte_model());
  ServiceConfig config = service_config();
  config.engine.enable_prefix_caching = false;
  Service service(s.served, config);
  const int64_t free = service.numbers().engine.free_blocks;
  Rng rng(7);
  for (int i = 0; i < 300; ++i) {
    Service::Ticket ticket = 0;
    api::GenerationRequest r = completion("some words to begin with " + std::to_string(i), 400);
    r.n = 1 + i % 4;
    r.sampling.ignore_eos = true;
    const HeardPtr heard = submit(service, r, "", &ticket);
    if (i % 3 == 0) heard->wait_for_text();
    if (i % 3 == 1) std::this_thread::sleep_for(std::chrono::microseconds(int(rng.uniform() * 2000)));
    service.cancel(ticket);
  }
  ASSERT_TRUE(quiet(service));
  const Numbers n = service.numbers();
  EXPECT_EQ(n.engine.free_blocks, free);
  EXPECT_EQ(n.slots.size(), 0u);
  EXPECT_EQ(n.finished.at("abort"), 300);
  EXPECT_EQ(n.finished.at("error"), 0);
}

TEST(Service, FullQueueIsRefusedAndRecovers) {
  Served s(byte_model());
  ServiceConfig config = service_config();
  config.max_queue = 4;
  config.engine.max_num_seqs = 2;
  Service service(s.served, config);
  std::vector<HeardPtr> heard;
  int refused = 0;
  for (int i = 0; i < 40; ++i) {
    api::GenerationRequest r = completion("abc", 60);
    r.sampling.ignore_eos = true;
    try {
      heard.push_back(submit(service, r));
    } catch (const http::ApiError& e) {
      EXPECT_EQ(e.status, 429);
      EXPECT_GT(e.retry_after, 0);
      ++refused;
    }
  }
  EXPECT_GT(refused, 0);
  for (const auto& h : heard) {
    ASSERT_TRUE(h->wait());
    EXPECT_EQ(h->error, "");
  }
  EXPECT_EQ(service.numbers().rejected, refused);
  EXPECT_TRUE(submit(service, completion("abc", 3))->wait());
}

namespace {

// What `answers` answers take of the engine while it is offered `offers` new requests for each that ends, which keep the queue full. Counted in
// steps, so that another program on the machine changes nothing.
struct UnderLoad {
  int64_t steps = 0, tokens = 0, refused = 0;
  std::vector<double> refusal_seconds;
};

UnderLoad under_load(Service& service, int answers, int held, int offers) {
  UnderLoad out;
  std::vector<HeardPtr> open;
  const int64_t before = service.numbers().engine.steps, tokens = service.numbers().generated_tokens;
  int asked = 0;
  const auto offer = [&] {
    api::GenerationRequest r = completion("abc" + std::to_string(asked++ % 50), 12);
    r.sampling.ignore_eos = true;
    const auto begun = std::chrono::steady_clock::now();
    try {
      open.push_back(submit(service, r));
    } catch (const http::ApiError& e) {
      EXPECT_EQ(e.status, 429);
      EXPECT_GT(e.retry_after, 0);
      ++out.refused;
      out.refusal_seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
    }
  };
  for (int i = 0; i < held * offers; ++i) offer();
  for (int done = 0; done < answers; ++done) {
    EXPECT_TRUE(open.front()->wait());
    EXPECT_EQ(open.front()->error, "");
    open.erase(open.begin());
    for (int i = 0; i < offers; ++i) offer();
  }
  for (const HeardPtr& h : open) EXPECT_TRUE(h->wait());
  quiet(service);
  submit(service, completion("abc", 1))->wait();  // the numbers are out
  out.steps = service.numbers().engine.steps - before;
  out.tokens = service.numbers().generated_tokens - tokens;
  return out;
}

}  // namespace

// Fault S5: however much more comes than can be served, what is served stays the same, and who is refused hears of it at once.
TEST(Service, OverloadLeavesTheGoodputAsItIs) {
  Served s(byte_model());
  ServiceConfig config = service_config();
  config.max_queue = 8;
  config.engine.max_num_seqs = 4;
  config.engine.num_blocks = 12;  // tight: what is let in too early takes others' room
  Service service(s.served, config);
  const UnderLoad best = under_load(service, 150, 12, 1), twice = under_load(service, 150, 12, 2), four = under_load(service, 150, 12, 4);
  EXPECT_GT(four.refused, 300);
  const auto goodput = [](const UnderLoad& load) { return double(load.tokens) / double(load.steps); };
  EXPECT_GE(goodput(twice), 0.9 * goodput(best));
  EXPECT_GE(goodput(four), 0.9 * goodput(best));
  std::vector<double> seconds = four.refusal_seconds;
  std::ranges::sort(seconds);
  EXPECT_LT(seconds[seconds.size() / 2], 0.005) << "a refusal costs as much as an answer";
  EXPECT_EQ(service.numbers().finished.at("error"), 0);
}

TEST(Service, PrioritiesAndFairness) {
  Served s(byte_model());
  ServiceConfig config = service_config();
  config.engine.max_num_seqs = 1;
  Service service(s.served, config);
  std::mutex mutex;
  std::vector<std::string> order;
  struct Noting : HearingWriter {
    Noting(HeardPtr h, std::string n, std::mutex& m, std::vector<std::string>& o) : HearingWriter(h), name(n), mutex(m), order(o) {}
    void start(const Head& head) override {
      {
        const std::lock_guard lock(mutex);
        order.push_back(name);
      }
      HearingWriter::start(head);
    }
    std::string name;
    std::mutex& mutex;
    std::vector<std::string>& order;
  };
  std::vector<HeardPtr> heard;
  const auto ask = [&](const std::string& name, const std::string& key, int64_t priority) {
    api::GenerationRequest r = completion("abcdefgh", 30);
    r.sampling.ignore_eos = true;
    r.priority = priority;
    heard.push_back(std::make_shared<Heard>());
    service.submit({r, std::make_unique<Noting>(heard.back(), name, mutex, order)}, key);
  };
  // While the first runs, greedy sends many; modest comes last, and urgent after that.
  ask("first", "greedy", 0);
  ASSERT_TRUE(heard[0]->wait_for_text());
  for (int i = 0; i < 8; ++i) ask("greedy", "greedy", 0);
  ask("modest", "modest", 0);
  ask("urgent", "greedy", -1);
  for (const auto& h : heard) ASSERT_TRUE(h->wait());
  const auto place = [&](const std::string& name) { return std::find(order.begin(), order.end(), name) - order.begin(); };
  EXPECT_LE(place("urgent"), 2) << "one may have begun before it came";
  EXPECT_LE(place("modest"), 4) << "not after all of the other client's";
}

// Row 1 of the complaints: a prompt is never cut in silence.
TEST(Service, LongPromptsAreRefusedWithBothNumbers) {
  Served s(byte_model());
  Service service(s.served, service_config());
  const std::string prompt(600, 'x');
  try {
    submit(service, completion(prompt, 5));
    FAIL() << "taken";
  } catch (const http::ApiError& e) {
    EXPECT_EQ(e.status, 400);
    EXPECT_EQ(e.code, "context_length_exceeded");
    EXPECT_NE(std::string(e.what()).find("600"), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("512"), std::string::npos);
  }
  api::GenerationRequest r = completion(prompt, 5);
  r.truncate_prompt = true;
  const HeardPtr heard = submit(service, r);
  ASSERT_TRUE(heard->wait());
  EXPECT_TRUE(heard->head.truncated);
  EXPECT_LE(heard->usage.prompt_tokens, 507);
  // 511 tokens fit, with an answer of one.
  const HeardPtr edge = submit(service, completion(std::string(511, 'x'), 5));
  ASSERT_TRUE(edge->wait());
  EXPECT_EQ(edge->error, "");
  EXPECT_EQ(edge->usage.completion_tokens, 1);
  EXPECT_EQ(edge->choices[0].reason, edge->choices[0].content.empty() ? "stop" : "length");
}

// Fault S7: under preemption, prefix hits, cancelling and samples of one prompt, nobody gets a token of somebody else.
TEST(Service, CanaryNoForeignTokens) {
  Served s(alphabet_model());
  ServiceConfig config = service_config();
  config.engine.max_num_seqs = 16;
  config.engine.num_blocks = 24;  // tight
  config.max_queue = 100'000;
  config.max_n = 8;
  Service service(s.served, config);
  Rng rng(11);
  struct Asked {
    HeardPtr heard;
    char last;
    bool cancelled;
  };
  std::vector<Asked> asked;
  for (int i = 0; i < 300; ++i) {
    const char letter = char('a' + i % 26);
    const std::string prompt = std::string(size_t(rng.uniform() * 50), letter) + letter;
    api::GenerationRequest r = completion(prompt, 1 + int(rng.uniform() * 40));
    r.n = 1 + int(rng.uniform() * 3);
    r.sampling.temperature = i % 2 ? 1.0 : 0.0;
    Service::Ticket ticket = 0;
    const HeardPtr heard = submit(service, r, "key" + std::to_string(i % 3), &ticket);
    const bool cancels = i % 5 == 0;
    if (cancels) service.cancel(ticket);
    asked.push_back({heard, letter, cancels});
  }
  for (const Asked& a : asked)
    if (!a.cancelled) {
      ASSERT_TRUE(a.heard->wait(300));
      ASSERT_EQ(a.heard->error, "");
    }
  ASSERT_TRUE(quiet(service));
  for (const Asked& a : asked)
    for (const auto& [j, choice] : a.heard->choices) {
      char expected = a.last;
      for (const char c : choice.content) {
        expected = expected == 'z' ? 'a' : char(expected + 1);
        ASSERT_EQ(c, expected) << "after " << a.last << " came " << choice.content;
      }
    }
  EXPECT_GT(service.numbers().engine.preemptions, 0) << "nothing was tight";
}

TEST(Service, EchoedPromptHasItsLogProbabilities) {
  Served s(byte_model());
  Service service(s.served, service_config());
  api::GenerationRequest r = completion("hello there", 0);
  r.echo = r.logprobs = true;
  r.top_logprobs = 3;
  const HeardPtr heard = submit(service, r);
  ASSERT_TRUE(heard->wait());
  ASSERT_EQ(heard->error, "");
  const Heard::Choice& c = heard->choices[0];
  EXPECT_EQ(c.prompt, "hello there");
  EXPECT_EQ(c.content, "");
  ASSERT_EQ(c.prompt_tokens.size(), 11u);
  EXPECT_TRUE(std::isnan(c.prompt_tokens[0].logprob));
  const auto ids = s.tokenizer.encode("hello there");
  const std::vector<float> logits = service.logits({ids})[0];
  for (size_t i = 1; i < ids.size(); ++i) {
    double sum = 0;
    for (int v = 0; v < 257; ++v) sum += std::exp(double(logits[(i - 1) * 257 + size_t(v)]));
    EXPECT_NEAR(c.prompt_tokens[i].logprob, logits[(i - 1) * 257 + size_t(ids[i])] - std::log(sum), 1e-4);
    ASSERT_EQ(c.prompt_tokens[i].top.size(), 3u);
    EXPECT_GE(c.prompt_tokens[i].top[0].logprob, c.prompt_tokens[i].top[1].logprob);
  }
}

TEST(Service, TenantsShareNoPrefix) {
  Served s(byte_model());
  Service service(s.served, service_config());
  const std::string prompt(200, 'p');
  const auto cached = [&](const std::string& key, const std::string& salt) {
    api::GenerationRequest r = completion(prompt, 2);
    r.cache_salt = salt;
    const HeardPtr heard = submit(service, r, key);
    EXPECT_TRUE(heard->wait());
    return heard->usage.cached_tokens;
  };
  EXPECT_EQ(cached("a", ""), 0);
  EXPECT_GT(cached("a", ""), 100);
  EXPECT_EQ(cached("b", ""), 0);
  EXPECT_EQ(cached("a", "x"), 0);
  EXPECT_GT(cached("b", ""), 100);
}

TEST(Service, ThoughtsBudgetIsHeldBesideOthers) {
  Served s(byte_model(), std::string(kTemplate) + "<think>\n");
  Service service(s.served, service_config());
  std::vector<HeardPtr> heard;
  for (int i = 0; i < 6; ++i) {
    api::GenerationRequest r;
    r.chat = data::Conversation{{{"user", "question " + std::to_string(i)}}};
    r.max_tokens = 60;
    r.sampling.seed = uint64_t(i);
    r.sampling.ignore_eos = true;
    if (i % 2) r.thinking.budget = 5;
    heard.push_back(submit(service, r));
  }
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(heard[size_t(i)]->wait());
    ASSERT_EQ(heard[size_t(i)]->error, "");
    const Heard::Choice& c = heard[size_t(i)]->choices[0];
    EXPECT_EQ(heard[size_t(i)]->usage.completion_tokens, 60);
    if (i % 2 == 0) {
      EXPECT_EQ(c.content, "");
      EXPECT_EQ(heard[size_t(i)]->usage.reasoning_tokens, 60);
      continue;
    }
    EXPECT_FALSE(c.content.empty());
    EXPECT_TRUE(c.finish.thought_cut);
    // The budget, a character of up to four bytes that was under way, and the tokens that end the thought.
    EXPECT_LE(heard[size_t(i)]->usage.reasoning_tokens, 5 + 3 + 11);
    EXPECT_GE(heard[size_t(i)]->usage.reasoning_tokens, 5);
  }
}

TEST(Service, AnswersFollowTheirFormat) {
  Served s(byte_model());
  Service service(s.served, service_config());
  std::vector<HeardPtr> heard;
  for (int i = 0; i < 8; ++i) {
    api::GenerationRequest r = completion("give me json " + std::to_string(i), 200);
    r.sampling.temperature = 1;
    r.sampling.seed = uint64_t(i);
    if (i % 2) {
      r.format.kind = api::AnswerFormat::Kind::kJsonSchema;
      r.format.schema = {{"type", "object"},
                         {"properties", {{"ok", {{"type", "boolean"}}}, {"n", {{"type", "integer"}, {"minimum", 0}, {"maximum", 99}}}}},
                         {"required", {"ok", "n"}},
                         {"additionalProperties", false}};
    } else {
      r.format.kind = api::AnswerFormat::Kind::kRegex;
      r.format.pattern = "[a-c]{3,5}-[0-9]+";
      r.max_tokens = 30;
    }
    heard.push_back(submit(service, r));
  }
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(heard[size_t(i)]->wait());
    ASSERT_EQ(heard[size_t(i)]->error, "");
    const Heard::Choice& c = heard[size_t(i)]->choices[0];
    if (i % 2) {
      ASSERT_EQ(c.reason, "stop") << c.content;
      const Json json = parse_json(c.content, "answer");
      EXPECT_TRUE(json["ok"].is_boolean());
      EXPECT_LE(json["n"].get<int>(), 99);
    } else {
      EXPECT_NE(std::string("abc").find(c.content[0]), std::string::npos);
      EXPECT_NE(c.content.find('-'), std::string::npos);
    }
  }
  api::GenerationRequest bad = completion("x", 5);
  bad.format.kind = api::AnswerFormat::Kind::kRegex;
  bad.format.pattern = "((a{1000}){1000}";
  EXPECT_THROW(submit(service, bad), http::ApiError);
}

TEST(Service, EndTellsThoseWhoWait) {
  Served s(byte_model());
  std::vector<HeardPtr> heard;
  {
    ServiceConfig config = service_config();
    config.engine.max_num_seqs = 1;
    Service service(s.served, config);
    for (int i = 0; i < 3; ++i) {
      api::GenerationRequest r = completion("abc", 400);
      r.sampling.ignore_eos = true;
      heard.push_back(submit(service, r));
    }
    heard[0]->wait_for_text();
  }
  for (const auto& h : heard) {
    ASSERT_TRUE(h->wait(1));
    EXPECT_EQ(h->status, 503);
  }
}

TEST(Service, RequestTimeout) {
  Served s(byte_model());
  ServiceConfig config = service_config();
  config.request_timeout = 0.002;
  config.engine.max_num_batched_tokens = 1;  // some 500 steps: no machine is that fast
  Service service(s.served, config);
  api::GenerationRequest r = completion(std::string(400, 'a'), 100);
  r.sampling.ignore_eos = true;
  const HeardPtr heard = submit(service, r);
  ASSERT_TRUE(heard->wait());
  EXPECT_EQ(heard->status, 503);
  EXPECT_EQ(service.numbers().finished.at("error"), 1);
}

// Who waits is timed out as well.
TEST(Service, RequestTimeoutInTheQueue) {
  Served s(byte_model());
  ServiceConfig config = service_config();
  config.request_timeout = 0.05;
  config.engine.max_num_seqs = 1;
  Service service(s.served, config);
  std::vector<HeardPtr> heard;
  for (int i = 0; i < 40; ++i) {
    api::GenerationRequest r = completion("abc", 500);
    r.sampling.ignore_eos = true;
    heard.push_back(submit(service, r));
  }
  for (const auto& h : heard) ASSERT_TRUE(h->wait(20));
  EXPECT_EQ(heard.back()->status, 503);
  EXPECT_EQ(heard.back()->starts, 0);
  EXPECT_TRUE(quiet(service));
}

// An answer has what the context leaves its own prompt, whatever other prompts came with it.
TEST(Service, EachPromptHasItsOwnRoom) {
  Served s(byte_model());
  Service service(s.served, service_config());
  api::GenerationRequest r = completion("short", 100);
  r.prompts.push_back(std::string(500, 'x'));
  r.sampling.ignore_eos = true;
  const HeardPtr heard = submit(service, r);
  ASSERT_TRUE(heard->wait());
  ASSERT_EQ(heard->error, "");
  EXPECT_EQ(heard->usage.completion_tokens, 100 + 12);
}

TEST(Service, ManyEchoedPromptsLetOthersIn) {
  Served s(byte_model());
  Service service(s.served, service_config());
  api::GenerationRequest many = completion("p", 0);
  many.echo = many.logprobs = true;
  many.prompts.assign(200, std::string(400, 'p'));
  const HeardPtr long_one = submit(service, many, "a");
  const HeardPtr other = submit(service, completion("abc", 3), "b");
  ASSERT_TRUE(other->wait());
  EXPECT_FALSE(long_one->done) << "the other waited for all of them";
  ASSERT_TRUE(long_one->wait(120));
  EXPECT_EQ(long_one->choices.size(), 200u);
  EXPECT_EQ(long_one->choices[199].prompt_tokens.size(), 400u);
}

TEST(Service, TheServersLeastLengthHolds) {
  Served s(alphabet_model());
  ServiceConfig config = service_config();
  config.sampling.min_new_tokens = 4;
  Service service(s.served, config);
  api::GenerationRequest r = completion("a", 6);
  r.sampling.stop = {"c"};
  const HeardPtr heard = submit(service, r);
  ASSERT_TRUE(heard->wait());
  EXPECT_EQ(heard->choices[0].content, "bcdefg");
}

// A client that leaves ends what it has asked for, also where it has asked for many texts at once.
TEST(Service, EmbeddingsEndWithTheirClient) {
  Served s(byte_model());
  Service service(s.served, service_config());
  int asked = 0;
  const std::vector<std::vector<text::TokenId>> many(1000, s.tokenizer.encode("some text"));
  try {
    service.embed(many, [&] { return ++asked <= 3; });
    FAIL() << "all were computed";
  } catch (const http::ApiError& e) {
    EXPECT_EQ(e.status, 499);
  }
  EXPECT_EQ(asked, 4);
}

TEST(Service, Embeddings) {
  Served s(byte_model());
  Service service(s.served, service_config());
  const auto ids = s.tokenizer.encode("some text");
  const auto rows = service.embed({ids, s.tokenizer.encode("other"), ids});
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].size(), size_t(s.model->config().hidden_size));
  EXPECT_EQ(rows[0], rows[2]);
  EXPECT_NE(rows[0], rows[1]);
  EXPECT_THROW(service.embed({{}}), http::ApiError);
  EXPECT_THROW(service.logits({{300}}), http::ApiError);
}

}  // namespace r1::serve::testing
