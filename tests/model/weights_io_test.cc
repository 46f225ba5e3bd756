// Save and load, in both formats, and what a folder that does not fit is told.
#include "r1/model/weights_io.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <set>

#include "gguf_of_model.h"
#include "r1/base/error.h"
#include "r1/base/safetensors_file.h"
#include "r1/model/config_gguf.h"
#include "r1/model/footprint.h"
#include "r1/model/local_models.h"
#include "r1/model/presets.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/safetensors.h"
#include "tests/environment_variable.h"

namespace r1::model {
namespace {

using tensor::DType;
using testing::GgufBuilder;

class Folder {
 public:
  Folder() : path(fs::temp_directory_path() / r1::str("r1_weights_", ::getpid(), "_", count_++)) { make_folder(path); }
  ~Folder() { fs::remove_all(path); }
  const fs::path path;
  std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(path)) names.insert(entry.path().filename().string());
    return names;
  }

 private:
  static inline int count_ = 0;
};

std::unique_ptr<Transformer> make(const std::string& name, uint64_t seed = 1, DType dtype = DType::Float) {
  auto model = std::make_unique<Transformer>(preset(name), tensor::parse_device("cpu"), dtype);
  model->init_weights(seed);
  return model;
}

void expect_equal(const Transformer& a, const Transformer& b) {
  ASSERT_EQ(a.weights().size(), b.weights().size());
  for (size_t i = 0; i < a.weights().size(); ++i) {
    EXPECT_TRUE(aten::equal(*a.weights()[i].tensor, *b.weights()[i].tensor)) << a.weights()[i].name;
  }
}

std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

constexpr const char* kTiny[] = {"tiny-test", "tiny-test-qwen2", "tiny-test-qwen3", "tiny-test-qwen3-moe"};
const tensor::Device kCpu{c10::DeviceType::CPU};

TEST(SaveModel, ComesBackBitForBit) {
  for (const char* name : kTiny) {
    const Folder folder;
    const auto model = make(name);
    save_model(*model, folder.path, DType::Float);
    EXPECT_EQ(folder.files(), (std::set<std::string>{"config.json", "generation_config.json", "model.safetensors"}));
    expect_equal(*model, *load_model(folder.path, kCpu, DType::Float));
    expect_equal(*model, *load_model(folder.path / "model.safetensors", kCpu, DType::Float));
  }
}

TEST(SaveModel, ATiedHeadIsStoredOnce) {
  const Folder tied, untied;
  save_model(*make("tiny-test"), tied.path, DType::Float);
  save_model(*make("tiny-test-qwen2"), untied.path, DType::Float);
  EXPECT_EQ(SafetensorsFile::open(tied.path / kSafetensorsSingle).find("lm_head.weight"), nullptr);
  EXPECT_NE(SafetensorsFile::open(untied.path / kSafetensorsSingle).find("lm_head.weight"), nullptr);
}

TEST(SaveModel, ConvertsTheDtypeAndSaysSo) {
  const Folder folder;
  const auto model = make("tiny-test");
  save_model(*model, folder.path, DType::BFloat16);
  EXPECT_EQ(read_model_config(folder.path).torch_dtype, "bfloat16");
  const auto back = load_model(folder.path, kCpu, DType::Float);
  for (size_t i = 0; i < model->weights().size(); ++i) {
    EXPECT_TRUE(aten::equal(model->weights()[i].tensor->to(DType::BFloat16).to(DType::Float), *back->weights()[i].tensor));
  }
}

TEST(SaveModel, ShardsBySize) {
  const Folder folder;
  const auto model = make("tiny-test-qwen2");
  save_model(*model, folder.path, DType::Float, 200'000);
  const auto files = folder.files();
  EXPECT_FALSE(files.count(kSafetensorsSingle));
  EXPECT_TRUE(files.count(kSafetensorsIndex));
  uint64_t total = 0;
  for (const std::string& name : files) {
    if (fs::path(name).extension() != ".safetensors") continue;
    uint64_t bytes = 0;
    const SafetensorsFile shard = SafetensorsFile::open(folder.path / name);
    for (const auto& tensor : shard.tensors()) bytes += tensor.bytes;
    EXPECT_LE(bytes, 200'000u);
    total += bytes;
  }
  const SafetensorsIndex index = read_safetensors_index(folder.path / kSafetensorsIndex);
  EXPECT_EQ(index.total_size, total);
  EXPECT_EQ(index.weight_map.size(), model->weights().size());
  EXPECT_EQ(total, uint64_t(parameter_count(model->config())) * 4);
  expect_equal(*model, *load_model(folder.path, kCpu, DType::Float));

  // A later save into the same folder leaves nothing that would be taken for it; other files stay.
  write_file_atomic(folder.path / "model-notes.txt", "mine");
  save_model(*model, folder.path, DType::Float);
  EXPECT_EQ(folder.files(), (std::set<std::string>{"config.json", "generation_config.json", "model.safetensors", "model-notes.txt"}));
  // Shards as small as can be: one tensor each, also the ones that are larger.
  save_model(*model, folder.path, DType::Float, 1);
  EXPECT_FALSE(folder.files().count(kSafetensorsSingle));
  expect_equal(*model, *load_model(folder.path, kCpu, DType::Float));
}

// Every system call of a save fails once: a clean error, and the model saved before is still there and whole.
TEST(SaveModel, SurvivesEveryFailingCall) {
  const Folder folder;
  const auto old_model = make("tiny-test", 1), new_model = make("tiny-test", 2);
  int calls = 0;
  set_file_fault([&](const char*) { return ++calls, 0; });
  save_model(*old_model, folder.path, DType::Float);
  const int needed = calls;
  EXPECT_GT(needed, 10);
  for (int fail_at = 1; fail_at <= needed; ++fail_at) {
    for (const int code : {EIO, ENOSPC}) {
      set_file_fault(nullptr);
      save_model(*old_model, folder.path, DType::Float);
      calls = 0;
      set_file_fault([&](const char*) { return ++calls == fail_at ? code : 0; });
      const std::string error = error_of([&] { save_model(*new_model, folder.path, DType::Float); });
      set_file_fault(nullptr);
      EXPECT_SAYS(error, folder.path.string());
      const auto back = load_model(folder.path, kCpu, DType::Float);
      const bool is_old = aten::equal(*back->weights()[0].tensor, *old_model->weights()[0].tensor);
      expect_equal(*back, is_old ? *old_model : *new_model);
      EXPECT_EQ(folder.files(), (std::set<std::string>{"config.json", "generation_config.json", "model.safetensors"}));
    }
  }
}

TEST(LoadWeights, ListsWhatDoesNotFit) {
  const Folder folder;
  auto model = make("tiny-test");
  save_model(*model, folder.path, DType::Float);
  const SafetensorsFile file = SafetensorsFile::open(folder.path / kSafetensorsSingle);
  std::vector<SafeSource> sources;
  for (const SafeTensor& entry : file.tensors()) {
    Tensor value = tensor::read_safetensor(file, entry);
    if (entry.name == "model.norm.weight") continue;
    if (entry.name == "model.layers.0.mlp.up_proj.weight") value = value.t();
    sources.push_back(tensor::safe_source(entry.name, value));
  }
  const Tensor ones = aten::full({2}, 1.0f);
  sources.push_back(tensor::safe_source("model.layers.0.mlp.extra.weight", ones));
  sources.push_back(tensor::safe_source("model.layers.0.self_attn.rotary_emb.inv_freq", ones));
  write_safetensors(folder.path / kSafetensorsSingle, sources);
  const std::string error = error_of([&] { load_model(folder.path, kCpu, DType::Float); });
  EXPECT_SAYS(error, folder.path.string());
  EXPECT_SAYS(error, "1 missing: 'model.norm.weight'");
  EXPECT_SAYS(error, "1 of another shape: 'model.layers.0.mlp.up_proj.weight' (expected [176, 64], got [64, 176])");
  EXPECT_SAYS(error, "1 not known: 'model.layers.0.mlp.extra.weight'");
}

TEST(LoadWeights, PassesOverATiedHeadStoredAgain) {
  const Folder folder;
  const auto model = make("tiny-test");
  std::vector<SafeSource> sources;
  for (const WeightRow& row : model->weights()) sources.push_back(tensor::safe_source(row.hf_name, *row.tensor));
  sources.push_back(tensor::safe_source("lm_head.weight", *model->weights()[0].tensor));
  save_model(*model, folder.path, DType::Float);
  write_safetensors(folder.path / kSafetensorsSingle, sources);
  expect_equal(*model, *load_model(folder.path, kCpu, DType::Float));
}

TEST(LoadWeights, IntegersAreNoWeights) {
  const Folder folder;
  const auto model = make("tiny-test");
  save_model(*model, folder.path, DType::Float);
  std::vector<SafeSource> sources;
  for (const WeightRow& row : model->weights()) {
    sources.push_back(row.name == "norm" ? tensor::safe_source(row.hf_name, row.tensor->to(at::kInt))
                                         : tensor::safe_source(row.hf_name, *row.tensor));
  }
  write_safetensors(folder.path / kSafetensorsSingle, sources);
  EXPECT_SAYS(error_of([&] { load_model(folder.path, kCpu, DType::Float); }), "tensor 'model.norm.weight' is stored as I32");
}

TEST(LoadWeights, RefusesPickles) {
  const Folder folder;
  save_model(*make("tiny-test"), folder.path, DType::Float);
  fs::remove(folder.path / kSafetensorsSingle);
  for (const char* name : {"pytorch_model.bin", "consolidated.00.pth", "model.pt"}) {
    write_file_atomic(folder.path / name, "PK");
    for (const fs::path& path : {folder.path, folder.path / name}) {
      const std::string error = error_of([&] { load_model(path, kCpu, DType::Float); });
      EXPECT_SAYS(error, name);
      EXPECT_SAYS(error, "pickle checkpoints are not read");
      EXPECT_SAYS(error, "safe_serialization=True");
    }
    fs::remove(folder.path / name);
  }
  EXPECT_SAYS(error_of([&] { load_model(folder.path, kCpu, DType::Float); }), "no weights in this folder");
  EXPECT_SAYS(error_of([&] { load_model(folder.path / "nothing", kCpu, DType::Float); }), "does not exist");
}

// A config that promises more than the files hold is found out before the memory for it is taken.
TEST(LoadWeights, ChecksTheSizeBeforeAllocating) {
  const Folder folder;
  save_model(*make("tiny-test"), folder.path, DType::Float);
  Json config = parse_json_file(folder.path / "config.json");
  config["intermediate_size"] = 9'000'000;
  config["num_hidden_layers"] = 9'000;
  write_file_atomic(folder.path / "config.json", dump_json(config));
  EXPECT_SAYS(error_of([&] { load_model(folder.path, kCpu, DType::Float); }), "parameters, but only");
  for (const auto& [key, value] :
       std::initializer_list<std::pair<const char*, int64_t>>{{"num_hidden_layers", 4'000'000'000}, {"vocab_size", int64_t{1} << 60}}) {
    Json wrong = config;
    wrong[key] = value;
    write_file_atomic(folder.path / "config.json", dump_json(wrong));
    EXPECT_SAYS(error_of([&] { read_model_config(folder.path); }), key);
  }
}

TEST(FindModel, LooksIntoTheHubCacheAndDownloadsNothing) {
  const Folder cache;
  const fs::path snapshot = cache.path / "models--org--name/snapshots/0123abc";
  make_folder(snapshot);
  make_folder(cache.path / "models--org--name/refs");
  write_file_atomic(cache.path / "models--org--name/refs/main", "0123abc\n");
  setenv("HF_HUB_CACHE", cache.path.c_str(), 1);
  EXPECT_EQ(find_model("org/name"), snapshot);
  EXPECT_SAYS(error_of([] { find_model("org/other"); }), "r1 downloads nothing");
  EXPECT_SAYS(error_of([] { find_model("./org/name"); }), "does not exist");
  EXPECT_SAYS(error_of([] { find_model("../name"); }), "does not exist");
  write_file_atomic(cache.path / "models--org--name/refs/main", "../../../etc");
  EXPECT_SAYS(error_of([] { find_model("org/name"); }), "not a revision");
  unsetenv("HF_HUB_CACHE");
  EXPECT_EQ(find_model(cache.path), cache.path);
}

TEST(LocalModels, ABareNameIsLookedForWhereModelsAre) {
  const Folder home;
  const fs::path models = home.path / "models", hub = home.path / "hub";
  const EnvironmentVariable first("R1_MODELS", models), second("HF_HUB_CACHE", hub);
  EXPECT_TRUE(local_models().empty());  // neither is there
  const auto write = [](const fs::path& file, size_t bytes) {
    make_folder(file.parent_path());
    write_file_atomic(file, std::string(bytes, ' '));
  };
  write(models / "small-q4.gguf", 10);
  write(models / "folder/model.safetensors", 20);
  write(models / "org/inner/model.safetensors", 30);
  write(models / "words/tokenizer.json", 5);
  write(models / "notes.txt", 1);
  fs::create_symlink(models / "small-q4.gguf", models / "another-name.gguf");  // is listed once, by the name that is no link
  write(hub / "models--Qwen--Qwen2.5-0.5B/snapshots/00ff/model.safetensors", 40);
  write(hub / "models--Qwen--Qwen2.5-0.5B/refs/main", 0);
  write_file_atomic(hub / "models--Qwen--Qwen2.5-0.5B/refs/main", "00ff");
  write(hub / "models--one--twin/snapshots/11/model.safetensors", 50);  // by revision: no refs/main
  write(hub / "models--two--twin/snapshots/22/model.safetensors", 60);
  write(hub / "models--half--there/refs/main", 0);
  write_file_atomic(hub / "models--half--there/refs/main", "33");
  write(hub / "models--q--many/snapshots/55/a-q4.gguf", 3);
  write(hub / "models--q--many/snapshots/55/b-q8.gguf", 4);
  write(hub / "datasets--a--b/snapshots/44/model.safetensors", 1);
  std::vector<std::string> listed;
  for (const LocalModel& m : local_models()) listed.push_back(str(m.name, " ", m.format, " ", m.bytes, m.in_hub_cache ? " hub" : ""));
  EXPECT_EQ(listed,
            (std::vector<std::string>{"folder safetensors 20", "org/inner safetensors 30", "small-q4 gguf 10", "words tokenizer 5",
                                      "Qwen/Qwen2.5-0.5B safetensors 40 hub", "one/twin safetensors 50 hub", "q/many/a-q4.gguf gguf 3 hub",
                                      "q/many/b-q8.gguf gguf 4 hub", "two/twin safetensors 60 hub"}));
  EXPECT_EQ(find_model("small-q4"), models / "small-q4.gguf");
  EXPECT_EQ(find_model("another-name"), models / "another-name.gguf");
  EXPECT_EQ(find_model("small-q4.gguf"), models / "small-q4.gguf");
  EXPECT_EQ(find_model("org/inner"), models / "org/inner");
  EXPECT_EQ(find_model("Qwen2.5-0.5B"), hub / "models--Qwen--Qwen2.5-0.5B/snapshots/00ff");
  EXPECT_EQ(find_model("one/twin"), hub / "models--one--twin/snapshots/11");
  EXPECT_EQ(find_model("q/many/b-q8.gguf"), hub / "models--q--many/snapshots/55/b-q8.gguf");
  EXPECT_EQ(find_tokenizer("words"), models / "words");
  EXPECT_EQ(find_tokenizer(models / "notes.txt"), models / "notes.txt");
  EXPECT_SAYS(error_of([] { find_model("twin"); }), "could be any of one/twin, two/twin");
  EXPECT_SAYS(error_of([] { find_model("half/there"); }), "no whole snapshot");
  EXPECT_SAYS(error_of([] { find_model("small-q5"); }), "did you mean 'small-q4'?");
  EXPECT_SAYS(error_of([] { find_model("small-q5"); }), "r1 models lists what is here");
  EXPECT_SAYS(error_of([] { find_model("tiny-test"); }), "a shape without weights");
  EXPECT_SAYS(error_of([] { find_tokenizer("wrods"); }), "tokenizer wrods does not exist");
}

TEST(FindModel, ARunThatIsNotDoneHasItsNewestCheckpoint) {
  const Folder run;
  write_file_atomic(run.path / "config.yaml", "{}");
  EXPECT_SAYS(error_of([&] { find_model(run.path); }), "neither a final model nor a checkpoint");
  for (const char* name : {"checkpoint-9", "checkpoint-10", "checkpoint-11x", "checkpoint-", "tmp-checkpoint-30"}) {
    make_folder(run.path / name);
    write_file_atomic(run.path / name / "config.json", "{}");
  }
  make_folder(run.path / "checkpoint-20");  // holds no model
  EXPECT_EQ(find_model(run.path), run.path / "checkpoint-10");
  EXPECT_EQ(find_model(run.path / "checkpoint-9"), run.path / "checkpoint-9");
  write_file_atomic(run.path / "config.json", "{}");
  EXPECT_EQ(find_model(run.path), run.path);
}

// ---- GGUF

std::unique_ptr<Transformer> biased_llama() {
  ModelConfig config = preset("tiny-test");
  config.attention_bias = true;
  auto model = std::make_unique<Transformer>(config, kCpu, DType::Float);
  model->init_weights(3);
  for (const WeightRow& row : model->weights()) {
    if (row.kind == WeightKind::kBias) row.tensor->normal_();
  }
  return model;
}

TEST(LoadGguf, EqualsTheModelItWasMadeFrom) {
  std::vector<std::unique_ptr<Transformer>> models;
  for (const char* name : kTiny) models.push_back(make(name, 5));
  models.push_back(biased_llama());
  for (const auto& model : models) {
    const Folder folder;
    write_file_atomic(folder.path / "m.gguf", gguf_of(*model).bytes());
    const auto back = load_model(folder.path / "m.gguf", kCpu, DType::Float);
    expect_equal(*model, *back);
    EXPECT_EQ(back->config().family, model->config().family);
    EXPECT_EQ(back->config().head_dim, model->config().head_dim);
    EXPECT_EQ(back->config().rms_norm_eps, model->config().rms_norm_eps);  // 1e-06, not 9.99999997e-07
    EXPECT_EQ(back->config().tie_word_embeddings, model->config().tie_word_embeddings);
    EXPECT_EQ(back->config().attention_bias, model->config().attention_bias);
    EXPECT_EQ(back->config().moe.num_experts_per_tok, model->config().moe.num_experts_per_tok);
    EXPECT_EQ(back->config().moe.gate, model->config().moe.gate);
    EXPECT_EQ(back->config().eos_token_id, 7);
    EXPECT_EQ(eos_token_ids(back->config()), (std::vector<int64_t>{7, 9}));
    EXPECT_EQ(back->config().torch_dtype, "float32");
    expect_equal(*model, *load_model(folder.path, kCpu, DType::Float));  // the folder's only file
    const auto half = load_model(folder.path, kCpu, DType::BFloat16);
    EXPECT_TRUE(aten::equal(*half->weights()[2].tensor, model->weights()[2].tensor->to(DType::BFloat16)));
  }
}

TEST(LoadGguf, ASplitModelIsOneByItsFirstPartOrItsFolder) {
  const auto model = make("tiny-test-qwen2", 5);
  const Folder folder;
  const size_t weights = model->weights().size();
  const auto name = [&](int part) { return folder.path / r1::str("m-0000", part, "-of-00003.gguf"); };
  for (int part = 0; part < 3; ++part) {
    GgufBuilder b = part == 0 ? gguf_header(*model) : GgufBuilder();
    b.add("split.no", uint16_t(part)).add("split.count", uint16_t{3}).add("split.tensors.count", int32_t(weights));
    add_weights(b, *model, weights * size_t(part) / 3, weights * size_t(part + 1) / 3);
    write_file_atomic(name(part + 1), b.bytes());
  }
  expect_equal(*model, *load_model(name(1), kCpu, DType::Float));
  expect_equal(*model, *load_model(folder.path, kCpu, DType::Float));
  EXPECT_SAYS(error_of([&] { load_model(name(2), kCpu, DType::Float); }), "is part 2 of 3 of a split model; name its first part");
  fs::remove(name(3));
  EXPECT_SAYS(error_of([&] { load_model(folder.path, kCpu, DType::Float); }), "part 3 is not beside it");
  EXPECT_EQ(read_model_config(folder.path).hidden_size, model->config().hidden_size);
}

TEST(LoadModel, AWholeFileGoesBeforeTheIndexOfAnotherSave) {
  const Folder folder;
  const auto old = make("tiny-test-qwen2", 1), model = make("tiny-test-qwen2", 2);
  save_model(*old, folder.path, DType::Float, 200'000);
  const Folder whole;
  save_model(*model, whole.path, DType::Float);
  fs::copy_file(whole.path / kSafetensorsSingle, folder.path / kSafetensorsSingle);
  ::testing::internal::CaptureStderr();
  expect_equal(*model, *load_model(folder.path, kCpu, DType::Float));
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_SAYS(said, "model.safetensors is read; ");
  EXPECT_SAYS(said, "model.safetensors.index.json is of another save");
  EXPECT_EQ(said.find("index.json", said.find("index.json") + 1), std::string::npos) << "said once";
}

TEST(LoadGguf, AHeadStoredTwiceIsOneHead) {
  const auto model = make("tiny-test", 5);
  const Tensor& embedding = *model->weights()[0].tensor;
  std::string bytes(static_cast<const char*>(embedding.const_data_ptr()), embedding.nbytes());
  const Folder folder;
  GgufBuilder same = gguf_of(*model);
  same.tensor("output.weight", GgmlType::kF32, {512, 64}, bytes);
  write_file_atomic(folder.path / "m.gguf", same.bytes());
  EXPECT_TRUE(read_model_config(folder.path).tie_word_embeddings);
  expect_equal(*model, *load_model(folder.path, kCpu, DType::Float));
  bytes[5] ^= 1;
  GgufBuilder other = gguf_of(*model);
  other.tensor("output.weight", GgmlType::kF32, {512, 64}, bytes);
  write_file_atomic(folder.path / "m.gguf", other.bytes());
  EXPECT_FALSE(read_model_config(folder.path).tie_word_embeddings);
  EXPECT_EQ(load_model(folder.path, kCpu, DType::Float)->weights().size(), model->weights().size() + 1);
}

TEST(LoadGguf, AFileCutShortGivesItsConfigAndNoWeights) {
  const Folder folder;
  const std::string bytes = gguf_of(*make("tiny-test")).bytes();
  write_file_atomic(folder.path / "m.gguf", bytes.substr(0, bytes.size() - 100));
  EXPECT_EQ(read_model_config(folder.path / "m.gguf").hidden_size, 64);
  EXPECT_SAYS(error_of([&] { load_model(folder.path / "m.gguf", kCpu, DType::Float); }), "tensor 'output_norm.weight': needs bytes");
}

ModelConfig config_of(const GgufBuilder& builder) {
  const std::string bytes = builder.bytes();
  return config_from_gguf(GgufFile::from_bytes(std::as_bytes(std::span(bytes)), "m.gguf", {.allow_truncated = true}));
}

TEST(ConfigFromGguf, RefusesWhatNoLayerComputes) {
  const auto model = make("tiny-test");
  const auto with = [&](auto add) {
    GgufBuilder builder = gguf_of(*model);
    add(builder);
    return error_of([&] { config_of(builder); });
  };
  EXPECT_EQ(with([](GgufBuilder&) {}), "no error");
  EXPECT_SAYS(with([](GgufBuilder& b) { b.add("llama.expert_count", uint32_t{8}); }), "key 'llama.expert_count': mixtures of experts");
  EXPECT_SAYS(with([](GgufBuilder& b) { b.add("llama.attention.sliding_window", uint32_t{128}); }), "a window of 128 tokens");
  EXPECT_SAYS(with([](GgufBuilder& b) { b.add("llama.rope.scaling.type", "yarn"); }), "'yarn' is not supported");
  EXPECT_SAYS(with([](GgufBuilder& b) { b.add("llama.rope.dimension_count", uint32_t{8}); }), "rotating 8 of 16 dimensions");
  EXPECT_SAYS(with([](GgufBuilder& b) { b.add("llama.attention.value_length", uint32_t{8}); }), "value_length");
  EXPECT_SAYS(error_of([] { config_of(GgufBuilder().add("general.architecture", "falcon")); }), "architecture 'falcon' is not supported");
  EXPECT_SAYS(error_of([] { config_of(GgufBuilder().add("general.architecture", "llama")); }), "'token_embd.weight' is missing");
  EXPECT_SAYS(error_of([] { config_of(GgufBuilder()); }), "key 'general.architecture' is missing");
  // Numbers that would divide by zero or make no sense are errors, not crashes.
  for (const uint32_t heads : {0u, 5u, 4000000000u}) {
    GgufBuilder b;
    b.add("general.architecture", "llama")
        .add("llama.block_count", 2)
        .add("llama.embedding_length", 64)
        .add("llama.feed_forward_length", 8);
    b.add("llama.attention.head_count", heads).tensor("token_embd.weight", GgmlType::kF32, {2, 64}, std::string(512, 'x'));
    EXPECT_NE(error_of([&] { config_of(b); }), "no error") << heads;
  }
}

TEST(ConfigFromGguf, RopeScaling) {
  const auto model = make("tiny-test");
  GgufBuilder linear = gguf_of(*model);
  linear.add("llama.rope.scaling.type", "linear").add("llama.rope.scaling.factor", 2.5f);
  EXPECT_EQ(config_of(linear).rope.type, "linear");
  EXPECT_EQ(config_of(linear).rope.factor, 2.5);

  // What llama.cpp's converter stores for Llama 3.1's scaling; the values come from transformers' formula (head size 16, theta 500000,
  // factor 8).
  ModelConfig config = preset("tiny-test");
  config.rope_theta = 500000;
  const Transformer longer(config, kCpu, DType::Float);
  const auto with = [&](std::vector<float> divisors) {
    GgufBuilder builder = gguf_of(longer);
    builder.tensor("rope_freqs.weight", GgmlType::kF32, {divisors.size()},
                   {reinterpret_cast<const char*>(divisors.data()), divisors.size() * sizeof(float)});
    return builder;
  };
  const RopeScaling rope = config_of(with({1, 1, 1, 1, 2.6945302486419678f, 8, 8, 8})).rope;
  EXPECT_EQ(rope.type, "llama3");
  EXPECT_EQ(rope.factor, 8);
  EXPECT_EQ(rope.low_freq_factor, 1);
  EXPECT_EQ(rope.high_freq_factor, 4);
  EXPECT_EQ(rope.original_max_position_embeddings, 8192);
  EXPECT_EQ(config_of(with({1, 1, 1, 1, 1, 1, 1, 1})).rope.type, "none");
  EXPECT_SAYS(error_of([&] { config_of(with({1, 1, 1, 2, 2.6945f, 8, 8, 8})); }), "is not llama3 scaling");
  EXPECT_SAYS(error_of([&] { config_of(with({1, 1, 1, 1, 2.69453f, 8, 8, NAN})); }), "is not llama3 scaling");
  EXPECT_SAYS(error_of([&] { config_of(with({1, 8})); }), "expected 8 fp32 values");
}

TEST(Presets, HaveThePublishedSizes) {
  const std::pair<const char*, int64_t> published[] = {{"smollm2-135m", 134515008},
                                                       {"smollm2-360m", 361821120},
                                                       {"smollm2-1.7b", 1711376384},
                                                       {"qwen2.5-0.5b", 494032768},
                                                       {"qwen2.5-1.5b", 1543714304},
                                                       {"qwen2.5-3b", 3085938688},
                                                       {"qwen2.5-7b", 7615616512},
                                                       {"qwen2.5-14b", 14770033664},
                                                       {"qwen2.5-32b", 32763876352},
                                                       {"qwen2.5-72b", 72706203648},
                                                       {"qwen3-14b", 14768307200},
                                                       {"qwen3-32b", 32762123264},
                                                       {"llama-3.1-70b", 70553706496},
                                                       {"llama-3.1-405b", 405853388800},
                                                       {"deepseek-v2-lite", 15706484224},
                                                       {"qwen3-30b-a3b", 30532122624},
                                                       {"qwen3-235b-a22b", 235093634560},
                                                       {"qwen3-0.6b", 596049920},
                                                       {"qwen3-1.7b", 1720574976},
                                                       {"qwen3-4b", 4022468096},
                                                       {"qwen3-8b", 8190735360},
                                                       {"llama-3.2-1b", 1235814400},
                                                       {"llama-3.2-3b", 3212749824},
                                                       {"llama-3.1-8b", 8030261248},
                                                       {"r1-distill-qwen-1.5b", 1777088000},
                                                       {"r1-distill-qwen-7b", 7615616512},
                                                       {"r1-distill-qwen-14b", 14770033664},
                                                       {"r1-distill-qwen-32b", 32763876352},
                                                       {"r1-distill-llama-8b", 8030261248},
                                                       {"r1-distill-llama-70b", 70553706496}};
  for (const auto& [name, count] : published) EXPECT_EQ(parameter_count(preset(name)), count) << name;
}

TEST(Presets, AreWholeAndGoThroughConfigJson) {
  for (const std::string& name : preset_names()) {
    const ModelConfig config = preset(name);
    const ModelConfig back = config_from_hf(config_to_hf(config), name);
    EXPECT_EQ(config_to_hf(back), config_to_hf(config)) << name;
  }
  EXPECT_LT(parameter_count(preset("tiny-1m")), 1'000'000);
  EXPECT_SAYS(error_of([] { preset("qwen2.5-0.5"); }), "did you mean 'qwen2.5-0.5b'");
  EXPECT_TRUE(is_preset("tiny-1m"));
  EXPECT_FALSE(is_preset("tiny"));
}

// Real files against transformers' reading of them is tests/oracles; here: the config and that everything finds its place.
TEST(LoadGguf, RealFiles) {
  const char *folder = std::getenv("R1_MODELS"), *home = std::getenv("HOME");
  const fs::path models = folder ? fs::path(folder) : fs::path(home ? home : "/") / ".cache/r1/models";
  const fs::path smol = models / "smollm2-135m-instruct-q4_1.gguf", qwen = models / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf";
  if (!fs::exists(smol) || !fs::exists(qwen)) GTEST_SKIP() << "no real GGUF files in " << models << " (set R1_MODELS)";
  const ModelConfig expected = preset("smollm2-135m"), c = read_model_config(smol);
  EXPECT_EQ(parameter_count(c), parameter_count(expected));
  EXPECT_EQ(c.rms_norm_eps, 1e-5);
  EXPECT_EQ(c.rope_theta, 1e5);
  EXPECT_TRUE(c.tie_word_embeddings);
  EXPECT_EQ(c.torch_dtype, "bfloat16");
  const ModelConfig q = read_model_config(qwen);
  EXPECT_FALSE(q.tie_word_embeddings);  // stored twice in different quantizations: the head keeps its own, as transformers has it
  EXPECT_TRUE(q.attention_bias);
  EXPECT_EQ(q.vocab_size, 151936);
  const fs::path head = models / "deepseek-r1-distill-qwen-7b.head.gguf";
  if (fs::exists(head)) {
    const ModelConfig d = read_model_config(head), p = preset("r1-distill-qwen-7b");
    EXPECT_EQ(parameter_count(d), parameter_count(p));
    EXPECT_EQ(d.rope_theta, p.rope_theta);
    EXPECT_EQ(d.max_position_embeddings, p.max_position_embeddings);
    EXPECT_EQ(d.rms_norm_eps, p.rms_norm_eps);
  }
  const auto model = load_model(smol, kCpu, DType::BFloat16);
  EXPECT_EQ(model->config().num_hidden_layers, 30);
}

}  // namespace
}  // namespace r1::model
