// Weights through transformers and back: their saves load here, ours load there, bit for bit. Needs a Python with transformers in
// R1_ORACLE_PYTHON (tests/oracles/requirements.txt); skipped without.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <set>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/model/weights_io.h"

namespace r1::model {
namespace {

using tensor::DType;

class HfWeights : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* python = std::getenv("R1_ORACLE_PYTHON");
    if (!python) GTEST_SKIP() << "R1_ORACLE_PYTHON is not set";
    python_ = python;
    make_folder(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  bool oracle(const std::string& arguments) const {
    const fs::path script = fs::path(R1_SOURCE_DIR) / "tests/oracles/hf_models.py", log = folder_ / "log";
    const int code = std::system(r1::str("'", python_, "' '", script.string(), "' ", arguments, " >'", log.string(), "' 2>&1").c_str());
    if (code != 0) ADD_FAILURE() << arguments << "\n" << read_file(log);
    return code == 0;
  }
  std::string quoted(const fs::path& path) const { return "'" + path.string() + "'"; }

  std::string python_;
  const fs::path folder_ = fs::temp_directory_path() / r1::str("r1_hf_", ::getpid());
  const tensor::Device cpu_{c10::DeviceType::CPU};
};

TEST_F(HfWeights, TheirSavesComeBackTheSame) {
  const fs::path theirs = folder_ / "theirs", ours = folder_ / "ours";
  ASSERT_TRUE(oracle("make " + quoted(theirs)));
  std::set<std::string> seen;
  for (const auto& entry : fs::directory_iterator(theirs)) {
    const std::string name = entry.path().filename().string();
    SCOPED_TRACE(name);
    seen.insert(name);
    const ModelConfig config = read_model_config(entry.path());
    const DType dtype = tensor::parse_dtype(config.torch_dtype);
    EXPECT_EQ(dtype, name.find("sharded") == std::string::npos ? DType::Float : DType::BFloat16);
    const auto model = load_model(entry.path(), cpu_, dtype);
    save_model(*model, ours / name, dtype, name.find("sharded") == std::string::npos ? int64_t{1} << 30 : 30'000);
  }
  EXPECT_EQ(seen.size(), 22u);
  oracle(r1::str("same ", quoted(ours), " ", quoted(theirs)));
}

// The whole of a quantized file as transformers dequantizes it, with llama's rows of q and k back in HF order.
TEST_F(HfWeights, ARealGgufFileIsReadAlike) {
  const char *models = std::getenv("R1_MODELS"), *home = std::getenv("HOME");
  const fs::path file = (models ? fs::path(models) : fs::path(home ? home : "/") / ".cache/r1/models") / "smollm2-135m-instruct-q4_1.gguf";
  if (!fs::exists(file)) GTEST_SKIP() << file << " is absent (set R1_MODELS)";
  const auto model = load_model(file, cpu_, DType::Float);
  save_model(*model, folder_ / "smol", DType::Float);
  oracle(r1::str("gguf ", quoted(folder_ / "smol"), " ", quoted(file)));
}

}  // namespace
}  // namespace r1::model
