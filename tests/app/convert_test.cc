// r1 convert, end to end on a tiny model.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/gguf_file.h"
#include "r1/base/safetensors_file.h"
#include "r1/model/presets.h"
#include "r1/model/weights_io.h"
#include "tests/app/program.h"

namespace r1::app {
namespace {

class Convert : public ::testing::Test {
 protected:
  void SetUp() override {
    model::Transformer tiny(model::preset("tiny-test"), tensor::parse_device("cpu"), tensor::DType::Float);
    tiny.init_weights(1);
    model::save_model(tiny, in_, tensor::DType::Float);
    write_file_atomic(in_ / "tokenizer.json", "{\"any\": 1}");
    write_file_atomic(in_ / "generation_config.json", "{\"eos_token_id\": [1, 2]}");
  }
  void TearDown() override { fs::remove_all(root_); }

  testing::ProgramResult convert(Arguments arguments) const {
    arguments.insert(arguments.begin(), "convert");
    return testing::run_r1(arguments);
  }

  const fs::path root_ = fs::temp_directory_path() / str("r1_convert_", ::getpid()), in_ = root_ / "in", out_ = root_ / "out";
};

TEST_F(Convert, WritesAFolderAndSaysWhat) {
  const testing::ProgramResult ran = convert({in_.string(), out_.string(), "--dtype=bfloat16", "--max_shard_size=100KB", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json json = parse_json(ran.out, "stdout");
  EXPECT_EQ(json["family"], "llama");
  EXPECT_EQ(json["dtype"], "bfloat16");
  EXPECT_TRUE(fs::exists(out_ / kSafetensorsIndex));
  EXPECT_EQ(read_file(out_ / "tokenizer.json"), "{\"any\": 1}");
  EXPECT_EQ(read_file(out_ / "generation_config.json"), "{\"eos_token_id\": [1, 2]}");
  EXPECT_EQ(model::read_model_config(out_).torch_dtype, "bfloat16");
  EXPECT_EQ(model::load_model(out_, tensor::parse_device("cpu"), tensor::DType::Float)->config().hidden_size, 64);
}

TEST_F(Convert, WrongUseFailsBeforeAnyWork) {
  EXPECT_EQ(convert({in_.string(), in_.string()}).code, 2);
  EXPECT_EQ(convert({in_.string(), (in_ / "../in").string()}).code, 2);
  EXPECT_EQ(convert({(in_ / "model.safetensors").string(), in_.string()}).code, 2);
  EXPECT_EQ(convert({in_.string()}).code, 2);
  for (const char* size : {"", "GB", "5XB", "-5GB", "0", "1e30GB", "nan"}) {
    const testing::ProgramResult ran = convert({in_.string(), out_.string(), str("--max_shard_size=", size)});
    EXPECT_EQ(ran.code, 2) << size;
    EXPECT_NE(ran.err.find("--max_shard_size"), std::string::npos) << ran.err;
  }
  EXPECT_EQ(convert({in_.string(), out_.string(), "--dtype=int4"}).code, 2);
  EXPECT_EQ(convert({(root_ / "nothing").string(), out_.string()}).code, 2);
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(Convert, AnExistingModelIsOnlyOverwrittenWhenAsked) {
  ASSERT_EQ(convert({in_.string(), out_.string(), "--quiet"}).code, 0);
  const testing::ProgramResult again = convert({in_.string(), out_.string(), "--quiet"});
  EXPECT_EQ(again.code, 2);
  EXPECT_NE(again.err.find("--overwrite"), std::string::npos);
  EXPECT_EQ(convert({in_.string(), out_.string(), "--overwrite", "--quiet"}).code, 0);
}

TEST_F(Convert, ARealGgufFileBecomesAFolderWithItsTokenizer) {
  const char *models = std::getenv("R1_MODELS"), *home = std::getenv("HOME");
  const fs::path file = (models ? fs::path(models) : fs::path(home ? home : "/") / ".cache/r1/models") / "smollm2-135m-instruct-q4_1.gguf";
  if (!fs::exists(file)) GTEST_SKIP() << file << " is absent (set R1_MODELS)";
  const testing::ProgramResult ran = convert({file.string(), out_.string(), "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "generation_config.json"}) {
    EXPECT_TRUE(fs::exists(out_ / name)) << name;
  }
  EXPECT_EQ(parse_json(ran.out, "stdout")["dtype"], "bfloat16");
}

}  // namespace
}  // namespace r1::app
