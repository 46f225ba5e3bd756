// Text at the door, over a tokenizer of single bytes, so that characters and stop strings always span tokens.
#include "r1/engine/completion.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "r1/base/error.h"
#include "r1/base/json.h"
#include "r1/base/rng.h"
#include "r1/engine/stop_strings.h"
#include "tests/engine/fixture.h"

namespace r1::engine {

namespace {

std::string utf8(int code) {
  if (code < 0x80) return {char(code)};
  return {char(0xC0 | code >> 6), char(0x80 | (code & 0x3F))};
}

// GPT-2's letters for bytes: printable ones stand for themselves, the others follow from U+0100 on.
std::string byte_letter(int byte) {
  const auto printable = [](int b) { return (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE; };
  if (printable(byte)) return utf8(byte);
  int rank = 0;
  for (int b = 0; b < byte; ++b) rank += !printable(b);
  return utf8(0x100 + rank);
}

constexpr TokenId kEos = 256;

text::Tokenizer byte_tokenizer() {
  Json vocab = Json::object();
  for (int b = 0; b < 256; ++b) vocab[byte_letter(b)] = b;
  const Json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  const Json tokenizer = {{"version", "1.0"},
                          {"added_tokens", Json::array({{{"id", kEos},
                                                         {"content", "<eos>"},
                                                         {"special", true},
                                                         {"lstrip", false},
                                                         {"rstrip", false},
                                                         {"single_word", false},
                                                         {"normalized", false}}})},
                          {"normalizer", nullptr},
                          {"pre_tokenizer", byte_level},
                          {"post_processor", nullptr},
                          {"decoder", byte_level},
                          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}}};
  const auto folder = std::filesystem::temp_directory_path() / str("r1_completion_test_", ::getpid());
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "tokenizer.json") << tokenizer.dump();
  text::Tokenizer loaded = text::Tokenizer::load(folder / "tokenizer.json");
  std::filesystem::remove_all(folder);
  return loaded;
}

// A model of which every id is a byte or the end.
std::unique_ptr<model::Transformer> byte_model() {
  model::ModelConfig c = tiny_config();
  c.vocab_size = 257;
  auto m = std::make_unique<model::Transformer>(c, at::kCPU, at::kFloat);
  m->init_weights(3);
  return m;
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

TEST(StopStrings, TheFirstPlaceWins) {
  StopStrings s({"late", "b"});
  EXPECT_EQ(s.push("aablate"), "aa");
  StopStrings none({""});
  EXPECT_EQ(none.push("abc"), "abc");
  StopStrings held({"abab"});
  EXPECT_EQ(held.push("aba"), "");
  EXPECT_EQ(held.push("ba"), "");
  EXPECT_TRUE(held.stopped());
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
