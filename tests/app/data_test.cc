// The data road from the command line: raw files to a model that was trained on their tokens, and each of its commands once.
#include <filesystem>

#include "r1/base/interrupt.h"
#include "r1/text/tokenizer.h"
#include "tests/app/program.h"
#include "tests/app/scripted_model.h"

namespace r1::app {
namespace {

using testing::json_lines;
using testing::ProgramResult;
using testing::run_r1;

// Notes of two kinds: what the alphabet model expects, and its reverse.
class DataCommands : public ::testing::Test {
 protected:
  void SetUp() override {
    make_folder(root_ / "raw");
    std::string rows;
    for (int i = 0; i < 40; ++i) {
      std::string text = i % 4 == 3 ? "zyxwvutsrqponmlkjihgfedcba" : "abcdefghijklmnopqrstuvwxyz";
      text = text.substr(size_t(i) % 10, 12);
      rows += dump_json(Json{{"text", str(text, i)}}) + "\n";
    }
    write_file_atomic(root_ / "raw/notes.jsonl", rows);
  }
  void TearDown() override {
    clear_interrupt();
    fs::remove_all(root_);
  }
  std::string path(const std::string& name) const { return (root_ / name).string(); }
  static text::TokenizerParts parts(const std::string& end) {
    text::TokenizerParts p = testing::byte_parts({{.content = end, .special = true}});
    p.eos = end;
    return p;
  }
  std::string tokenizer(const std::string& name, const std::string& end = "<eos>") const {
    text::Tokenizer::from_parts(parts(end)).save(path(name));
    return path(name);
  }
  std::string alphabet_model() const {
    testing::ScriptedModel m;
    m.vocab_size = 257;
    for (char c = 'a'; c < 'z'; ++c) m.chain({c, c + 1});
    m.write(path("alphabet"));
    return tokenizer("alphabet");
  }
  ProgramResult run(Arguments more) const {
    Arguments all = {"data", "run", "--input", path("raw"), "--output", path("out"), "--length.min_characters", "1", "--quiet"};
    all.insert(all.end(), more.begin(), more.end());
    return run_r1(all);
  }
  const fs::path root_ = fs::temp_directory_path() / str("r1_data_commands_", ::getpid());
};

TEST_F(DataCommands, TokensAreTrainedOn) {
  const ProgramResult made = run({"--stages", "length", "split", "--length.min", "0", "--split.train", "0.8", "--split.validation", "0.1",
                                  "--split.test", "0.1", "--formats", "jsonl", "tokens", "--tokenizer", tokenizer("t")});
  ASSERT_EQ(made.code, 0) << made.err;
  const Arguments pretrain = {"pretrain",
                              "--preset=tiny-test",
                              "--max_length=64",
                              "--per_device_train_batch_size=1",
                              "--max_steps=2",
                              "--quiet",
                              "--train_files=" + path("out/tokens"),
                              "--eval_files=" + path("out/tokens")};
  const auto with = [&](Arguments more) {
    Arguments all = pretrain;
    all.insert(all.end(), more.begin(), more.end());
    return run_r1(all);
  };
  const ProgramResult other = with({"--tokenizer_name_or_path=" + tokenizer("other", "<end>"), "--output_dir=" + path("refused")});
  EXPECT_EQ(other.code, 2);
  EXPECT_NE(other.err.find("were made with another tokenizer"), std::string::npos) << other.err;

  const ProgramResult trained = with({"--tokenizer_name_or_path=" + path("t"), "--output_dir=" + path("run")});
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_FALSE(fs::exists(path("run/token_shards"))) << "tokenized a second time";
  // The same text read from its documents is the same training, bit for bit.
  Arguments of_text = pretrain;
  of_text[6] = "--train_files=" + path("out/data");
  of_text[7] = "--eval_files=" + path("out/data");
  of_text.push_back("--tokenizer_name_or_path=" + path("t"));
  of_text.push_back("--output_dir=" + path("run_of_text"));
  const ProgramResult again = run_r1(of_text);
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(read_file(path("run/model.safetensors")), read_file(path("run_of_text/model.safetensors")));

  Arguments mixed = pretrain;
  mixed.insert(mixed.end(), {"--train_files", path("out/tokens"), path("out/data"), "--tokenizer_name_or_path=" + path("t"),
                             "--output_dir=" + path("refused")});
  mixed.erase(mixed.begin() + 6);
  const ProgramResult both = run_r1(mixed);
  EXPECT_EQ(both.code, 2);
  EXPECT_NE(both.err.find("holds token shards"), std::string::npos) << both.err;
}

TEST_F(DataCommands, AModelOfTextGivesItsOpinion) {
  const ProgramResult r = run({"--stages", "score", "--score.model", alphabet_model(), "--score.rules_weight", "0",
                               "--score.good_model_perplexity", "100", "--score.bad_model_perplexity", "100000"});
  ASSERT_EQ(r.code, 0) << r.err;
  const ProgramResult kept = run_r1({"data", "report", path("out"), "--json", "--quiet"});
  ASSERT_EQ(kept.code, 0) << kept.err;
  const Json counts = json_lines(kept.out).at(0);
  const Json& score = counts["stages"][1];
  EXPECT_EQ(score["documents_in"], 40);
  EXPECT_EQ(score["documents_out"], 30) << counts;  // those that run forwards
  EXPECT_TRUE(fs::exists(path("out/report.html")));
}

TEST_F(DataCommands, TheOthers) {
  EXPECT_NE(run_r1({"data", "kinds"}).out.find("warc"), std::string::npos);
  const ProgramResult clean = run_r1(
      {"preprocess", "--input_dir", path("raw"), "--output_dir", path("clean"), "--min_length", "1", "--filter_threshold", "0", "--quiet"});
  ASSERT_EQ(clean.code, 0) << clean.err;
  for (const char* worker : {"0", "1"}) {
    const ProgramResult part = run({"--stages=length", "--worker", worker, "--of", "2", "--shard_bytes", "1024"});
    ASSERT_EQ(part.code, 0) << part.err;
  }
  const ProgramResult merged = run_r1({"data", "merge", path("out"), "--quiet"});
  ASSERT_EQ(merged.code, 0) << merged.err;
  const ProgramResult mixed = run_r1({"data", "mix", "--sources", path("out/data"), path("clean/data"), "--weights", "1", "3",
                                      "--max_epochs", "1", "--output", path("mixed"), "--json", "--quiet"});
  ASSERT_EQ(mixed.code, 0) << mixed.err;
  EXPECT_EQ(json_lines(mixed.out).at(0)["sources"].size(), 2u);
  const ProgramResult ngram = run_r1(
      {"data", "ngram", "train", path("raw"), "--output", path("lm.bin"), "--order", "2", "--discount_fallback", "--json", "--quiet"});
  ASSERT_EQ(ngram.code, 0) << ngram.err;
  EXPECT_EQ(json_lines(ngram.out).at(0)["words"], 40);
  for (const char* kind : {"good", "bad"}) {
    std::string rows;
    for (int i = 0; i < 30; ++i)
      rows += dump_json(Json{{"text", str(kind[0] == 'g' ? "the river has a bridge of stone " : "click here to buy now ", i, " times")}}) +
              "\n";
    write_file_atomic(root_ / (std::string(kind) + ".jsonl"), rows);
  }
  const ProgramResult classifier =
      run_r1({"data", "classifier", "train", "--good", path("good.jsonl"), "--bad", path("bad.jsonl"), "--documents", "20", "--held_out",
              "0.3", "--bits", "12", "--output", path("c.bin"), "--json", "--quiet"});
  ASSERT_EQ(classifier.code, 0) << classifier.err;
  const Json said = json_lines(classifier.out).at(0);
  EXPECT_EQ(said["good"], 20);
  EXPECT_GT(said["held_out"], 4);
  EXPECT_EQ(said["right_of_good"], 1.0);
  EXPECT_EQ(said["right_of_bad"], 1.0);
  const ProgramResult scored =
      run_r1({"data", "run", "--input", path("good.jsonl"), path("bad.jsonl"), "--output", path("scored"), "--stages", "score",
              "--score.classifier", path("c.bin"), "--score.rules_weight", "0", "--score.filter_threshold", "0.5", "--json", "--quiet"});
  ASSERT_EQ(scored.code, 0) << scored.err;
  EXPECT_EQ(json_lines(scored.out).at(0)["stages"][1]["documents_out"], 30);
  const ProgramResult no_bad = run_r1({"data", "classifier", "train", "--good", path("good.jsonl"), "--output", path("d.bin")});
  EXPECT_EQ(no_bad.code, 2);
  EXPECT_NE(no_bad.err.find("--bad"), std::string::npos) << no_bad.err;
  const ProgramResult language = run_r1({"data", "language", path("raw")});
  EXPECT_EQ(language.code, 2);
  EXPECT_NE(language.err.find("missing: --model"), std::string::npos) << language.err;
}

}  // namespace
}  // namespace r1::app
