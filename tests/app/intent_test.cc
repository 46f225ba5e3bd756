// r1 intent train, eval and classify, end to end: n-grams alone, and with a tiny encoder; banking77 itself where it is.
#include <gtest/gtest.h>

#include <cstdlib>

#include "r1/base/config_io.h"
#include "tests/app/program.h"
#include "tests/app/tiny_files.h"
#include "tests/temporary_folder.h"

namespace r1::app {
namespace {

const char* kTrain =
    "text,category\n"
    "where is my card,arrival\n\"my card, it has not come\",arrival\ncard has not arrived,arrival\nis the card on its way,arrival\n"
    "change my pin,pin\nthe pin is blocked,pin\nI forgot the pin,pin\nhow do I set a pin,pin\n";
const char* kTest = "text,category\nthe card has not come,arrival\nset my pin,pin\n";

class Intent : public ::testing::Test {
 protected:
  void SetUp() override {
    write_file_atomic(root_.path() / "train.csv", kTrain);
    write_file_atomic(root_.path() / "test.csv", kTest);
  }
  std::string at(const char* name) const { return (root_.path() / name).string(); }
  testing::ProgramResult train(Arguments more) const {
    Arguments all = {"intent", "train", "--data", root_.path().string(), "--output_dir", at("model"), "--ngrams.min_count=1"};
    all.insert(all.end(), more.begin(), more.end());
    return testing::run_r1(all);
  }

  TemporaryFolder root_{"intent_app"};
};

TEST_F(Intent, TrainsEvaluatesAndClassifies) {
  const testing::ProgramResult trained = train({"--json"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_EQ(testing::json_lines(trained.out).at(0)["intents"], 2);
  const testing::ProgramResult tested = testing::run_r1({"intent", "eval", at("model"), "--data", root_.path().string(), "--json"});
  ASSERT_EQ(tested.code, 0) << tested.err;
  const Json result = testing::json_lines(tested.out).at(0);
  EXPECT_EQ(result["accuracy"], 1.0);
  EXPECT_EQ(result["macro_f1"], 1.0);
  EXPECT_EQ(result["messages"], 2);
  EXPECT_GE(result["milliseconds"]["p99"].get<double>(), result["milliseconds"]["p50"].get<double>());
  const testing::ProgramResult one = testing::run_r1({"intent", "classify", at("model"), "--text", "my pin is blocked", "--json"});
  EXPECT_EQ(testing::json_lines(one.out).at(0)["intents"][0]["intent"], "pin");
  const testing::ProgramResult lines =
      testing::run_r1({"intent", "classify", at("model"), "--top=1"}, "where is the card\n\nblocked pin\n");
  EXPECT_EQ(lines.out.substr(0, 8), "arrival ");
  EXPECT_NE(lines.out.find("\npin "), std::string::npos);
}

TEST_F(Intent, TrainsAnEncoderOfATinyModel) {
  testing::write_tiny_gguf(root_.path() / "tiny.gguf");
  const testing::ProgramResult trained = train({"--model", at("tiny.gguf"), "--epochs=2", "--folds=2", "--fold_epochs=1", "--batch_size=4",
                                                "--learning_rate=1e-3", "--json", "--device=cpu"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_TRUE(fs::exists(root_.path() / "model" / "encoder" / "model.safetensors"));
  EXPECT_EQ(testing::run_r1({"intent", "eval", at("model"), "--data", at("test.csv")}).code, 0);
}

TEST_F(Intent, WrongUseSaysWhatToDo) {
  const auto error = [](const Arguments& arguments, int code) {
    const testing::ProgramResult r = testing::run_r1(arguments);
    EXPECT_EQ(r.code, code) << r.err;
    return r.err;
  };
  EXPECT_NE(error({"intent", "eval", at("nothing"), "--data", at("test.csv")}, 2).find("r1 intent train makes one"), std::string::npos);
  write_file_atomic(root_.path() / "bad.csv", "a,b\n1,2\n");
  EXPECT_NE(error({"intent", "train", "--data", at("bad.csv"), "--output_dir", at("m")}, 2).find("expected a column text"),
            std::string::npos);
  EXPECT_NE(error({"intent", "train", "--data", at("nowhere.csv"), "--output_dir", at("m")}, 1).find("nowhere.csv"), std::string::npos);
  ASSERT_EQ(train({}).code, 0);
  write_file_atomic(root_.path() / "other.csv", "text,category\nhello,arival\n");
  EXPECT_NE(error({"intent", "eval", at("model"), "--data", at("other.csv")}, 1).find("did you mean 'arrival'"), std::string::npos);
  EXPECT_EQ(testing::run_r1({"intent", "classify", at("model")}).out, "") << "no line, no message";
}

TEST(IntentBanking77, NgramsAloneAreFarAboveChance) {
  const char* data = std::getenv("R1_DATA");
  const fs::path folder = fs::path(data ? data : "../shared/data") / "banking77";
  if (!fs::exists(folder / "train.csv")) GTEST_SKIP() << "no banking77 at " << folder;
  const TemporaryFolder root("intent_banking77");
  // A few steps of the optimizer are enough to see that the road works; the figures are in docs/results/intent.md.
  const testing::ProgramResult trained =
      testing::run_r1({"intent", "train", "--data", folder.string(), "--output_dir", root.path().string(), "--linear.max_iterations=12",
                       "--ngrams.min_count=4", "--ngrams.max_chars=3", "--json"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_EQ(testing::json_lines(trained.out).at(0)["intents"], 77);
  const testing::ProgramResult tested =
      testing::run_r1({"intent", "eval", root.path().string(), "--data", folder.string(), "--json", "--no-latency"});
  ASSERT_EQ(tested.code, 0) << tested.err;
  EXPECT_GT(testing::json_lines(tested.out).at(0)["accuracy"].get<double>(), 0.8);
}

}  // namespace
}  // namespace r1::app
