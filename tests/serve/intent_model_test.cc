#include "r1/serve/intent_model.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>

#include "r1/base/file.h"
#include "r1/base/rng.h"
#include "r1/model/weights_io.h"
#include "r1/serve/intent_train.h"
#include "r1/tensor/aten.h"
#include "tests/engine/scripted.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace r1::serve {
namespace {

model::ModelConfig tiny_config() {
  model::ModelConfig c;
  c.vocab_size = 257;
  c.hidden_size = 32;
  c.intermediate_size = 48;
  c.num_hidden_layers = 3;
  c.num_attention_heads = 4;
  c.num_key_value_heads = 2;
  c.head_dim = 8;
  c.max_position_embeddings = 128;
  c.initializer_range = 0.2;
  c.tie_word_embeddings = true;
  return c;
}

std::unique_ptr<model::Transformer> tiny_model(const model::ModelConfig& config = tiny_config()) {
  auto m = std::make_unique<model::Transformer>(config, at::kCPU, at::kFloat);
  m->init_weights(5);
  return m;
}

void write_model(const fs::path& folder, const model::ModelConfig& config = tiny_config()) {
  model::save_model(*tiny_model(config), folder, at::kFloat);
  engine::byte_tokenizer().save(folder);
}

// ---- the encoder by its definition, in loops and doubles

using Row = std::vector<double>;

struct Definition {
  const model::Transformer& m;

  Row weight(const std::string& name) const {
    const Tensor t = model::find_weight(m.weights(), name).tensor->detach().contiguous();
    return {t.const_data_ptr<float>(), t.const_data_ptr<float>() + t.numel()};
  }
  static Row times(const Row& w, const Row& x) {  // w [O, I]
    Row y(w.size() / x.size());
    for (size_t o = 0; o < y.size(); ++o) {
      for (size_t i = 0; i < x.size(); ++i) y[o] += w[o * x.size() + i] * x[i];
    }
    return y;
  }
  Row normed(const Row& x, const Row& w) const {
    double squares = 0;
    for (double v : x) squares += v * v;
    Row y(x.size());
    for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] / std::sqrt(squares / double(x.size()) + m.config().rms_norm_eps) * w[i];
    return y;
  }
  void turn(Row& x, size_t head_dim, size_t position) const {
    for (size_t h = 0; h < x.size(); h += head_dim) {
      for (size_t i = 0; i < head_dim / 2; ++i) {
        const double angle = double(position) * std::pow(m.config().rope_theta, -2 * double(i) / double(head_dim));
        const double a = x[h + i], b = x[h + i + head_dim / 2];
        x[h + i] = a * std::cos(angle) - b * std::sin(angle);
        x[h + i + head_dim / 2] = b * std::cos(angle) + a * std::sin(angle);
      }
    }
  }
  static void add(Row& to, const Row& x) {
    for (size_t i = 0; i < to.size(); ++i) to[i] += x[i];
  }
  std::vector<Row> attention(const std::vector<Row>& h, const std::string& at) const {
    const size_t dim = size_t(m.config().head_dim), n = size_t(m.config().num_attention_heads),
                 group = n / size_t(m.config().num_key_value_heads);
    std::vector<Row> q, k, v, out;
    for (size_t t = 0; t < h.size(); ++t) {
      q.push_back(times(weight(at + "attention.q"), h[t])), k.push_back(times(weight(at + "attention.k"), h[t]));
      v.push_back(times(weight(at + "attention.v"), h[t]));
      turn(q[t], dim, t), turn(k[t], dim, t);
    }
    for (size_t t = 0; t < h.size(); ++t) {
      Row mixed(n * dim);
      for (size_t head = 0; head < n; ++head) {
        Row p(h.size());
        double sum = 0;
        for (size_t s = 0; s < h.size(); ++s) {
          for (size_t i = 0; i < dim; ++i) p[s] += q[t][head * dim + i] * k[s][head / group * dim + i];
          sum += p[s] = std::exp(p[s] / std::sqrt(double(dim)));
        }
        for (size_t s = 0; s < h.size(); ++s) {
          for (size_t i = 0; i < dim; ++i) mixed[head * dim + i] += p[s] / sum * v[s][head / group * dim + i];
        }
      }
      out.push_back(times(weight(at + "attention.o"), mixed));
    }
    return out;
  }
  Row mean(const std::vector<text::TokenId>& ids) const {
    const size_t d = size_t(m.config().hidden_size);
    const Row table = weight("embedding");
    std::vector<Row> x;
    for (text::TokenId id : ids)
      x.emplace_back(table.begin() + std::ptrdiff_t(size_t(id) * d), table.begin() + std::ptrdiff_t((size_t(id) + 1) * d));
    for (int64_t l = 0; l < m.config().num_hidden_layers; ++l) {
      const std::string at = "layers." + std::to_string(l) + ".";
      std::vector<Row> h;
      for (const Row& r : x) h.push_back(normed(r, weight(at + "attention_norm")));
      const std::vector<Row> a = attention(h, at);
      for (size_t t = 0; t < x.size(); ++t) {
        add(x[t], a[t]);
        const Row n = normed(x[t], weight(at + "mlp_norm"));
        Row gate = times(weight(at + "mlp.gate"), n);
        const Row up = times(weight(at + "mlp.up"), n);
        for (size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
        add(x[t], times(weight(at + "mlp.down"), gate));
      }
    }
    Row mean(d);
    for (const Row& r : x) add(mean, normed(r, weight("norm")));
    for (double& v : mean) v /= double(x.size());
    return mean;
  }
};

TEST(IntentEncoder, IsItsDefinitionAndPaddingChangesNothing) {
  const at::NoGradGuard no_grad;
  const IntentEncoder encoder(tiny_model());
  const Definition definition{encoder.model()};
  const std::vector<std::vector<text::TokenId>> messages = {{1, 2, 3, 4, 5, 6, 7}, {200}, {7, 7, 9}, {250, 1, 0, 33}};
  const Tensor together = encoder(message_batch(messages, at::kCPU));
  for (size_t b = 0; b < messages.size(); ++b) {
    const Row expected = definition.mean(messages[b]);
    const Tensor alone = encoder(message_batch({messages[b]}, at::kCPU))[0];
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(alone[int64_t(i)].item<float>(), expected[i], 1e-4) << b;
      EXPECT_NEAR(together[int64_t(b)][int64_t(i)].item<float>(), expected[i], 1e-4) << b;
    }
  }
}

TEST(IntentEncoder, RefusesModelsItCannotRun) {
  model::ModelConfig c = tiny_config();
  c.qk_norm = true;
  c.family = "qwen3";
  EXPECT_NE(message_of([&] { IntentEncoder encoder(tiny_model(c)); }).find("norms of queries"), std::string::npos);
  EXPECT_NE(message_of([] { message_batch({{1}, {}}, at::kCPU); }).find("at least one token"), std::string::npos);
  const IntentEncoder encoder(tiny_model());
  EXPECT_NE(message_of([&] { encoder(message_batch({std::vector<text::TokenId>(200, 1)}, at::kCPU)); }).find("at most 128"),
            std::string::npos);
}

TEST(IntentEncoder, TakesTheFirstLayersOfAModel) {
  TemporaryFolder folder("intent_layers");
  write_model(folder.path());
  const auto two = IntentEncoder::first_layers(folder.path(), 2, at::kCPU);
  EXPECT_EQ(two->config().num_hidden_layers, 2);
  const auto whole = tiny_model();
  const auto same = [&](const std::string& name) {
    return aten::equal(*model::find_weight(two->weights(), name).tensor, *model::find_weight(whole->weights(), name).tensor);
  };
  EXPECT_TRUE(same("layers.1.mlp.up"));
  EXPECT_TRUE(same("embedding"));
  EXPECT_EQ(IntentEncoder::first_layers(folder.path(), 0, at::kCPU)->config().num_hidden_layers, 3);
}

// ---- training

api::IntentExamples examples() {
  api::IntentExamples e{.labels = {"arrival", "pin", "rate"}, .text = {}, .label = {}};
  const std::vector<std::string> start = {"hi ", "please ", "", "so ", "hello, "}, end = {"", "?", " now", " today", " thanks"};
  const std::vector<std::vector<std::string>> core = {
      {"where is my card", "card has not come"}, {"change my pin", "pin is blocked"}, {"what is the rate", "rate for euros"}};
  for (const std::string& a : start) {
    for (const std::string& b : end) {
      for (size_t c = 0; c < core.size(); ++c) {
        for (const std::string& text : core[c]) e.text.push_back(a + text + b), e.label.push_back(int32_t(c));
      }
    }
  }
  return e;
}

IntentTrainConfig small_training(const fs::path& model) {
  IntentTrainConfig c;
  c.model_name_or_path = model.string();
  c.layers = 2, c.epochs = 3, c.fold_epochs = 2, c.folds = 2, c.batch_size = 16, c.learning_rate = 2e-3;
  c.linear.max_iterations = 40;
  return c;
}

double accuracy(const IntentModel& model, const api::IntentExamples& e) {
  int64_t right = 0;
  for (size_t i = 0; i < e.size(); ++i) right += model.rank(e.text[i]).front().name == e.labels[size_t(e.label[i])];
  return double(right) / double(e.size());
}

TEST(IntentTraining, LearnsAndTellsWhatItDoes) {
  TemporaryFolder folder("intent_train");
  write_model(folder.path());
  std::vector<std::string> parts;
  std::map<std::string, std::vector<double>> losses;
  const auto model = train_intents(small_training(folder.path()), examples(), at::kCPU, [&](const IntentTrainEvent& e) {
    if (parts.empty() || parts.back() != e.what) parts.push_back(e.what);
    losses[e.what].push_back(e.loss);
  });
  EXPECT_EQ(parts, (std::vector<std::string>{"ngrams", "fold 1 of 2", "fold 2 of 2", "encoder"}));
  EXPECT_GE(accuracy(*model, examples()), 0.95);
  EXPECT_GE(model->training()["folds_accuracy"]["blend"].get<double>(), model->training()["folds_accuracy"]["encoder"].get<double>());
  for (const auto& p : model->probabilities(examples().text)) {
    double sum = 0;
    for (float v : p) sum += v;
    EXPECT_NEAR(sum, 1, 1e-4);
  }
}

TEST(IntentTraining, TheEncoderAloneLearnsToo) {
  TemporaryFolder folder("intent_encoder_alone");
  write_model(folder.path());
  IntentTrainConfig c = small_training(folder.path());
  c.folds = 0, c.epochs = 6;
  const auto model = train_intents(c, examples(), at::kCPU);
  EXPECT_EQ(model->settings().ngram_share, 0);
  EXPECT_GE(accuracy(*model, examples()), 0.9);
}

TEST(IntentTraining, OneSeedOneModel) {
  TemporaryFolder folder("intent_seed");
  write_model(folder.path());
  IntentTrainConfig c = small_training(folder.path());
  c.folds = 0, c.epochs = 1;
  const auto p = [&](int64_t seed) {
    c.seed = seed;
    return train_intents(c, examples(), at::kCPU)->probabilities(examples().text);
  };
  const auto first = p(1);
  EXPECT_EQ(first, p(1));
  EXPECT_NE(first, p(2));
}

TEST(IntentTraining, NgramsAloneNeedNoModel) {
  const auto model = train_intents({}, examples(), at::kCPU);
  EXPECT_FALSE(model->has_encoder());
  EXPECT_EQ(accuracy(*model, examples()), 1);
  EXPECT_NE(message_of([&] { model->encoder_probabilities({}); }).find("no encoder"), std::string::npos);
  IntentTrainConfig c;
  c.folds = 1;
  EXPECT_NE(message_of([&] { train_intents(c, examples(), at::kCPU); }).find("at least 2"), std::string::npos);
}

// ---- files

class SavedIntentModel : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    base_ = std::make_unique<TemporaryFolder>("intent_saved");
    write_model(base_->path() / "model");
    IntentTrainConfig c = small_training(base_->path() / "model");
    c.folds = 2, c.epochs = 1, c.fold_epochs = 1;
    model_ = train_intents(c, examples(), at::kCPU);
    model_->save(base_->path() / "intents", at::kFloat);
  }
  static void TearDownTestSuite() {
    model_.reset();
    base_.reset();
  }
  void SetUp() override {
    folder_ = base_->path() / "copy";
    fs::remove_all(folder_);
    fs::copy(base_->path() / "intents", folder_, fs::copy_options::recursive);
  }
  std::string load_error() const {
    return message_of([&] { IntentModel::load(folder_, at::kCPU); });
  }

  static std::unique_ptr<TemporaryFolder> base_;
  static std::unique_ptr<IntentModel> model_;
  fs::path folder_;
};
std::unique_ptr<TemporaryFolder> SavedIntentModel::base_;
std::unique_ptr<IntentModel> SavedIntentModel::model_;

TEST_F(SavedIntentModel, ComesBackAsItWas) {
  const auto loaded = IntentModel::load(folder_, at::kCPU);
  EXPECT_EQ(loaded->labels(), model_->labels());
  EXPECT_EQ(loaded->version(), model_->version());
  EXPECT_EQ(loaded->version().size(), 16u);
  EXPECT_EQ(loaded->training(), model_->training());
  const auto a = model_->probabilities(examples().text), b = loaded->probabilities(examples().text);
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t c = 0; c < a[i].size(); ++c) EXPECT_NEAR(a[i][c], b[i][c], 1e-5);
  }
}

TEST_F(SavedIntentModel, AWholeFolderOrNone) {
  fs::remove(folder_ / "encoder" / "config.json");
  EXPECT_NE(load_error().find("encoder/config.json is missing"), std::string::npos);
  SetUp();
  write_file_atomic(folder_ / "encoder" / "more.json", "{}");
  EXPECT_NE(load_error().find("does not speak of it"), std::string::npos);
  SetUp();
  fs::remove(folder_ / "intent.json");
  EXPECT_NE(load_error().find("is no intent model"), std::string::npos);
  SetUp();
  Json description = parse_json_file(folder_ / "intent.json");
  description["labels"][0] = "another";
  write_file_atomic(folder_ / "intent.json", dump_json(description));
  EXPECT_NE(load_error().find("changed after it was written"), std::string::npos);
  description["format_version"] = 2;
  write_file_atomic(folder_ / "intent.json", dump_json(description));
  EXPECT_NE(load_error().find("format version 2"), std::string::npos);
}

TEST_F(SavedIntentModel, EveryChangedBitIsFound) {
  Rng rng(4);
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  ASSERT_GE(files.size(), 4u);
  for (int round = 0; round < 60; ++round) {
    const fs::path& file = files[rng.below(files.size())];
    const std::string whole = read_file(file);
    std::string changed = whole;
    if (rng.below(3) == 0)
      changed.resize(rng.below(changed.size()));
    else
      changed[rng.below(changed.size())] ^= char(1 << rng.below(8));
    write_file_atomic(file, changed);
    // White space between the tokens of intent.json is no change of what it says.
    if (file.filename() != "intent.json" || load_error() != "no error") {
      EXPECT_NE(load_error(), "no error") << file << " round " << round;
    } else {
      EXPECT_EQ(IntentModel::load(folder_, at::kCPU)->version(), model_->version());
    }
    write_file_atomic(file, whole);
  }
  EXPECT_EQ(load_error(), "no error");
}

TEST_F(SavedIntentModel, AnotherModelTakesItsPlace) {
  const auto ngrams = train_intents({}, examples(), at::kCPU);
  ngrams->save(folder_, at::kFloat);
  EXPECT_FALSE(fs::exists(folder_ / "encoder"));
  const auto loaded = IntentModel::load(folder_, at::kCPU);
  EXPECT_FALSE(loaded->has_encoder());
  EXPECT_EQ(loaded->version(), ngrams->version());
  EXPECT_NE(loaded->version(), model_->version());
}

TEST_F(SavedIntentModel, AnyMessageHasARanking) {
  const auto loaded = IntentModel::load(folder_, at::kCPU);
  Rng rng(2);
  for (int round = 0; round < 60; ++round) {
    std::string message(rng.below(300), 'a');
    for (char& c : message) c = char(rng.below(256));
    const api::IntentRanking r = loaded->rank(message);
    ASSERT_EQ(r.size(), 3u);
    EXPECT_GE(r[0].confidence, r[1].confidence);
    EXPECT_NEAR(r[0].confidence + r[1].confidence + r[2].confidence, 1, 1e-4);
  }
  loaded->rank("");
  loaded->rank(std::string(100'000, 'x'));
}

}  // namespace
}  // namespace r1::serve
