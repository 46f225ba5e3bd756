// Text at the door, over a tokenizer of single bytes, so that characters and stop strings always span tokens.
#include "r1/engine/completion.h"

#include <gtest/gtest.h>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/engine/stop_strings.h"
#include "tests/engine/scripted.h"

namespace r1::engine {

namespace {

// A model of which every id is a byte or the end.
std::unique_ptr<model::Transformer> byte_model() {
  model::ModelConfig c = tiny_config();
  c.vocab_size = 257;
  auto m = std::make_unique<model::Transformer>(c, at::kCPU, at::kFloat);
  m->init_weights(3);
  return m;
}

// After each byte comes the next one, after 'z' comes 'a'.
std::unique_ptr<model::Transformer> alphabet_model() {
  Script script;
  for (int i = 0; i < 256; ++i) script[i] = {{i == 'z' ? 'a' : i + 1, 1.0}};
  return scripted_model(script);
}

struct Completions : testing::Test {
  text::Tokenizer tokenizer = byte_tokenizer();
  std::unique_ptr<model::Transformer> model = byte_model();
  Engine engine{*model, small_config()};

  CompletionRequest request(const std::string& prompt, int64_t tokens, double temperature = 0) {
    CompletionRequest r;
    r.prompt = tokenizer.encode(prompt);
    r.sampling = {.temperature = temperature, .seed = 5, .max_new_tokens = tokens, .stop_ids = {kEos}, .logprobs = true};
    return r;
  }
  Completion one(const CompletionRequest& r, const CompletionOptions& options = {}) {
    return complete(engine, tokenizer, {r}, options)[0][0];
  }
};

}  // namespace

TEST(StopStrings, NothingOfAStopStringGetsOut) {
  StopStrings s({"</answer>", "\n\n"});
  EXPECT_EQ(s.push("a </ans"), "a ");
  EXPECT_EQ(s.push("x"), "</ansx");
  EXPECT_EQ(s.push("\n"), "");
  EXPECT_EQ(s.push("b</answ"), "\nb");
  EXPECT_EQ(s.push("er> more"), "");
  EXPECT_TRUE(s.stopped());
  EXPECT_EQ(s.push("later"), "");
  EXPECT_EQ(s.finish(), "");
}

// What ends before stopping is allowed is text; what ends after it counts, wherever it began.
TEST(StopStrings, NoneThatEndsTooEarlyCounts) {
  StopStrings whole({"bc"});
  EXPECT_EQ(whole.push("abc", false), "abc");
  EXPECT_EQ(whole.push("bcd"), "");
  EXPECT_TRUE(whole.stopped());
  StopStrings begun({"bc"});
  EXPECT_EQ(begun.push("ab", false), "a");
  EXPECT_EQ(begun.push("cd"), "");
  EXPECT_TRUE(begun.stopped());
  // "a" was over too early, "aab" was not.
  StopStrings two({"a", "aab"});
  EXPECT_EQ(two.push("aa", false), "");
  EXPECT_EQ(two.push("x"), "aax");
  EXPECT_EQ(two.push("ya"), "y");
  EXPECT_TRUE(two.stopped());
  StopStrings held({"abab"});
  EXPECT_EQ(held.push("xaba", false), "x");
  EXPECT_EQ(held.push("b", false), "ab");
  EXPECT_EQ(held.finish(), "ab");
}

TEST(StopStrings, TheFirstPlaceWins) {
  StopStrings s({"late", "b"});
  EXPECT_EQ(s.push("aablate"), "aa");
  StopStrings held({"abab"});
  EXPECT_EQ(held.push("aba"), "");
  EXPECT_EQ(held.push("ba"), "");
  EXPECT_TRUE(held.stopped());
}

TEST(StopStrings, AnEmptyOneIsRefused) {
  EXPECT_THROW(StopStrings({""}), Error);
  EXPECT_THROW(StopStrings({"end", ""}), Error);
  StopStrings none({});
  EXPECT_EQ(none.push("abc"), "abc");
}

// Any cut into pieces gives what cutting the whole text gives.
TEST(StopStrings, PiecesDoNotMatter) {
  Rng rng(2);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (int i = 0; i < 30; ++i) text += char('a' + rng.below(2));
    std::vector<std::string> stops(rng.below(3) + 1);
    size_t at = std::string::npos;
    for (std::string& stop : stops) {
      for (int64_t i = rng.between(2, 6); i > 0; --i) stop += char('a' + rng.below(2));
      at = std::min(at, text.find(stop));
    }
    // Of several in one piece the earliest counts; across pieces the one that is whole first. With stops of one length these are the same.
    for (std::string& stop : stops) stop.resize(2, 'a');
    at = std::string::npos;
    for (std::string& stop : stops) at = std::min(at, text.find(stop));
    StopStrings s(stops);
    std::string out;
    for (size_t i = 0; i < text.size();) {
      const size_t n = size_t(rng.between(1, 5));
      out += s.push(text.substr(i, n));
      i += n;
    }
    out += s.finish();
    ASSERT_EQ(out, text.substr(0, at)) << text << " stop " << stops[0];
  }
}

TEST_F(Completions, TextIsTheDecodedIds) {
  const Completion c = one(request("hello", 40));
  EXPECT_EQ(c.ids.size(), 40u);
  EXPECT_EQ(c.logprobs.size(), 40u);
  EXPECT_EQ(c.finish, FinishReason::kLength);
  EXPECT_EQ(c.text, tokenizer.decode(c.ids, true));
  EXPECT_EQ(c.model_version, model->version());
}

TEST_F(Completions, StreamedPiecesJoinToTheText) {
  std::map<std::pair<size_t, int>, std::string> streamed;
  CompletionOptions options;
  options.on_text = [&](size_t prompt, int sample, const std::string& piece) {
    EXPECT_FALSE(piece.empty());
    streamed[{prompt, sample}] += piece;
    return true;
  };
  CompletionRequest a = request("one", 30, 1.0), b = request("two", 50, 0.8);
  a.n = 3;
  const auto result = complete(engine, tokenizer, {a, b}, options);
  ASSERT_EQ(result.size(), 2u);
  ASSERT_EQ(result[0].size(), 3u);
  for (size_t i = 0; i < 2; ++i)
    for (size_t j = 0; j < result[i].size(); ++j) EXPECT_EQ((streamed[{i, int(j)}]), result[i][j].text);
  EXPECT_NE(result[0][0].ids, result[0][1].ids);
  EXPECT_TRUE(engine.idle());
}

TEST_F(Completions, EachSampleIsHandedOutOnceWhenItEnds) {
  std::map<std::pair<size_t, int>, Completion> handed;
  std::vector<int64_t> finished_before;  // samples that on_step knew of
  int64_t finished = 0;
  CompletionOptions options;
  options.on_finished = [&](size_t prompt, int sample, const Completion& c) {
    EXPECT_TRUE(handed.emplace(std::pair{prompt, sample}, c).second);
    finished_before.push_back(finished);
  };
  options.on_step = [&](int64_t done, int64_t, const EngineStats&) { return finished = done, true; };
  CompletionRequest a = request("one", 10, 1.0), b = request("two", 50, 0.8);
  a.n = 3;
  const auto result = complete(engine, tokenizer, {a, b}, options);
  ASSERT_EQ(handed.size(), 4u);
  for (size_t i = 0; i < 2; ++i) {
    for (size_t j = 0; j < result[i].size(); ++j) {
      const Completion& c = handed.at({i, int(j)});
      EXPECT_EQ(c.text, result[i][j].text);
      EXPECT_EQ(c.ids, result[i][j].ids);
      EXPECT_EQ(c.finish, result[i][j].finish);
    }
  }
  EXPECT_EQ(finished_before.back(), 3) << "the long one comes when the short ones are out";
  handed.clear();
  options.on_step = [&](int64_t done, int64_t, const EngineStats&) { return done < 3; };
  complete(engine, tokenizer, {a, b}, options);
  EXPECT_EQ(handed.size(), 3u) << "what was cut off is not handed out";
}

TEST_F(Completions, StopStringsEndTheSampleAcrossTokens) {
  CompletionRequest r = request("stop me", 60, 1.0);
  const Completion whole = one(r);
  // A piece of what it says, three whole characters from the middle, met token by token.
  const std::string& text = whole.text;
  size_t at = text.size() / 2;
  while ((text[at] & 0xC0) == 0x80) ++at;
  size_t end = at;
  for (int i = 0; i < 3; ++i) {
    ++end;
    while (end < text.size() && (text[end] & 0xC0) == 0x80) ++end;
  }
  r.stop = {"never said", text.substr(at, end - at)};
  std::string streamed;
  CompletionOptions options;
  options.on_text = [&](size_t, int, const std::string& piece) { return streamed += piece, true; };
  const int64_t before = engine.stats().generated_tokens;
  const Completion cut = one(r, options);
  EXPECT_EQ(cut.finish, FinishReason::kStop);
  EXPECT_EQ(cut.text, text.substr(0, text.find(r.stop[1])));
  EXPECT_EQ(streamed, cut.text);
  EXPECT_LT(cut.ids.size(), whole.ids.size());
  EXPECT_EQ(engine.stats().generated_tokens - before, int64_t(cut.ids.size()));  // it was cancelled at once
  EXPECT_TRUE(std::equal(cut.ids.begin(), cut.ids.end(), whole.ids.begin()));
}

TEST_F(Completions, AControlTokenAsStopStringIsMetAsAnId) {
  CompletionRequest r = request("x", 20);
  r.sampling.stop_ids.clear();
  r.stop = {"<eos>"};
  r.sampling.temperature = 100;  // 257 about equally likely tokens
  r.sampling.max_new_tokens = 60;
  r.n = 24;
  for (const bool keep : {false, true}) {
    CompletionOptions options;
    options.keep_special = keep;
    int stopped = 0;
    const auto result = complete(engine, tokenizer, {r}, options);
    for (const Completion& c : result[0]) {
      const auto end = std::find(c.ids.begin(), c.ids.end(), kEos);
      EXPECT_EQ(c.finish, end == c.ids.end() ? FinishReason::kLength : FinishReason::kStop);
      EXPECT_TRUE(end == c.ids.end() || end + 1 == c.ids.end());
      EXPECT_EQ(c.text.find("<eos>"), std::string::npos);
      stopped += c.finish == FinishReason::kStop;
    }
    EXPECT_GT(stopped, 0);
  }
}

struct Alphabet : Completions {
  std::unique_ptr<model::Transformer> says = alphabet_model();
  Engine spelling{*says, small_config()};

  Completion spell(CompletionRequest r, const std::string& after = "z") {
    r.prompt = tokenizer.encode(after);
    if (r.sampling.max_new_tokens == SamplingParams().max_new_tokens) r.sampling.max_new_tokens = 60;
    r.sampling.temperature = 0;
    std::string streamed;
    CompletionOptions options;
    options.on_text = [&](size_t, int, const std::string& piece) { return streamed += piece, true; };
    const Completion c = complete(spelling, tokenizer, {r}, options)[0][0];
    EXPECT_EQ(streamed, c.text);
    return c;
  }
};

const std::string kAlphabet = "abcdefghijklmnopqrstuvwxyz";

TEST_F(Alphabet, NoStopStringEndsTheFirstTokens) {
  const auto text = [&](const std::string& stop, int64_t least) {
    const Completion c = spell({.sampling = {.min_new_tokens = least}, .stop = {stop}});
    EXPECT_EQ(c.finish, FinishReason::kStop) << stop << " " << least;
    EXPECT_GT(int64_t(c.ids.size()), least);
    return c.text;
  };
  EXPECT_EQ(text("c", 0), "ab");
  EXPECT_EQ(text("c", 2), "ab");
  EXPECT_EQ(text("c", 3), kAlphabet + "ab");
  EXPECT_EQ(text("bcd", 3), "a");  // begins among the first tokens, ends after them
  EXPECT_EQ(text("bcd", 4), kAlphabet + "a");
  const Completion none = spell({.sampling = {.max_new_tokens = 9, .min_new_tokens = 9}, .stop = {"c"}});
  EXPECT_EQ(none.text, "abcdefghi");
  EXPECT_EQ(none.finish, FinishReason::kLength);
}

TEST_F(Alphabet, NoStopStringEndsWhatIsForced) {
  const Completion c = spell({.stop = {"y"}, .forced = tokenizer.encode("xyz")});
  EXPECT_EQ(c.text, "xyz" + kAlphabet.substr(0, 24));
  EXPECT_EQ(c.finish, FinishReason::kStop);
  EXPECT_EQ(spell({.stop = {"za"}, .forced = tokenizer.encode("xyz")}).text, "xy");
}

// Two callers that know nothing of each other, stepping in turns or one inside the other: each gets what it gets alone.
TEST_F(Completions, CallersShareAnEngine) {
  CompletionRequest a = request("one", 30, 1.0), b = request("two", 20, 0.8), c = request("three", 25, 0.9);
  a.n = 3;
  const auto alone = [&](const CompletionRequest& r) {
    Engine own(*model, small_config());
    return complete(own, tokenizer, {r})[0];
  };
  const auto same = [](const std::vector<Completion>& got, const std::vector<Completion>& expected) {
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].ids, expected[i].ids);
      EXPECT_EQ(got[i].logprobs, expected[i].logprobs);
      EXPECT_EQ(got[i].text, expected[i].text);
      EXPECT_EQ(got[i].finish, expected[i].finish);
    }
  };
  std::map<int, std::string> streamed;
  CompletionStream first(engine, tokenizer, a, false,
                         {.on_text = [&](int sample, const std::string& piece) { return streamed[sample] += piece, true; }});
  for (int i = 0; i < 5; ++i) engine.step();
  EXPECT_EQ(first.running(), 3);
  CompletionStream second(engine, tokenizer, b);
  // A third asks and waits in the middle of it, and once more while it waits.
  std::vector<Completion> inner;
  CompletionOptions options;
  options.on_step = [&](int64_t, int64_t, const EngineStats&) {
    if (inner.empty()) inner = complete(engine, tokenizer, {b})[0];
    return true;
  };
  same(complete(engine, tokenizer, {c}, options)[0], alone(c));
  while (first.running() + second.running() > 0) engine.step();
  same(inner, alone(b));
  same(first.completions(), alone(a));
  same(second.completions(), alone(b));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(streamed[i], first.completions()[size_t(i)].text);
  EXPECT_TRUE(engine.idle());
}

TEST_F(Completions, AStreamThatEndsEarlyLeavesTheOthersAlone) {
  const CompletionRequest a = request("one", 30, 1.0), b = request("two", 20, 0.8);
  const Completion expected = one(b);
  CompletionStream other(engine, tokenizer, b);
  {
    CompletionStream gone(engine, tokenizer, a);
    engine.step();
  }
  CompletionStream cut(engine, tokenizer, a);
  for (int i = 0; i < 4; ++i) engine.step();
  cut.cancel();
  EXPECT_EQ(cut.running(), 0);
  EXPECT_EQ(cut.completions()[0].finish, FinishReason::kCancelled);
  EXPECT_EQ(cut.completions()[0].ids.size(), 4u);
  EXPECT_EQ(cut.completions()[0].text, tokenizer.decode(cut.completions()[0].ids, true));
  // A callback that throws ends its own stream only; whoever owns it can see why.
  int pieces = 0;
  CompletionStream broken(engine, tokenizer, a, false, {.on_text = [&](int, const std::string&) -> bool {
                            if (++pieces == 2) throw std::runtime_error("the reader is gone");
                            return true;
                          }});
  while (other.running() > 0) engine.step();
  EXPECT_EQ(other.completions()[0].ids, expected.ids);
  EXPECT_EQ(other.completions()[0].text, expected.text);
  ASSERT_TRUE(broken.error());
  EXPECT_EQ(pieces, 2);
  EXPECT_EQ(broken.running(), 0);
  EXPECT_TRUE(engine.idle());
  CompletionOptions options;
  options.on_text = [](size_t, int, const std::string&) -> bool { throw std::runtime_error("the reader is gone"); };
  EXPECT_THROW(one(a, options), std::runtime_error);
  EXPECT_TRUE(engine.idle());
  EXPECT_EQ(engine.stats().free_blocks, engine.stats().total_blocks);
}

TEST_F(Completions, CallbacksCanCancel) {
  CompletionRequest a = request("a", 50, 1.0), b = request("b", 50, 1.0);
  CompletionOptions options;
  options.on_text = [](size_t prompt, int, const std::string&) { return prompt != 0; };
  auto result = complete(engine, tokenizer, {a, b}, options);
  EXPECT_EQ(result[0][0].finish, FinishReason::kCancelled);
  EXPECT_LT(result[0][0].ids.size(), 50u);
  EXPECT_EQ(result[1][0].finish, FinishReason::kLength);
  EXPECT_EQ(result[1][0].ids.size(), 50u);

  int steps = 0;
  options = {};
  options.on_step = [&](int64_t finished, int64_t total, const EngineStats&) {
    EXPECT_EQ(total, 2);
    EXPECT_EQ(finished, 0);
    return ++steps < 10;
  };
  result = complete(engine, tokenizer, {a, b}, options);
  for (const auto& samples : result) {
    EXPECT_EQ(samples[0].finish, FinishReason::kCancelled);
    EXPECT_EQ(samples[0].ids.size(), 10u);
    EXPECT_EQ(samples[0].text, tokenizer.decode(samples[0].ids, true));
  }
  EXPECT_TRUE(engine.idle());
  EXPECT_EQ(engine.stats().free_blocks, engine.stats().total_blocks);
}

TEST_F(Completions, AnErrorLeavesNothingBehind) {
  CompletionRequest good = request("a", 5), bad = request("b", 5);
  bad.prompt.clear();
  EXPECT_THROW(complete(engine, tokenizer, {good, bad}), Error);
  EXPECT_TRUE(engine.idle());
  EXPECT_TRUE(complete(engine, tokenizer, {}).empty());
}

}  // namespace r1::engine
