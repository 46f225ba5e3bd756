// What packed weights bring on a GPU, beside bf16 in the same call, in turns. One JSON object a line; a ratio above 1: packed is the faster.
//   products  a layer's product, a hundred times in a CUDA graph with weights that come from memory: microseconds, the ratio over cuBLAS's bf16
//             product of the same sizes (the median of rounds, and their range), bytes of packed weights a second
//   sparse    2:4 weights through cuSPARSELt (libtorch's, its algorithm searched for each size) likewise
//   generate  a published shape with random weights, all that `r1 quantize` takes packed, in batches: tokens/s of decoding and of prefill
// bench_quantized_gpu [products,sparse,generate] [--shapes 4096x4096,11008x4096] [--rows 1,16,64,256] [--forms int4,q4_0,q4_k,int8,q8_0,fp8]
//                     [--shape qwen2.5-1.5b] [--batches 1,8,64] [--rounds 5]
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>

#include "bench/bench.h"
#include "r1/base/rng.h"
#include "r1/engine/engine.h"
#include "r1/model/presets.h"
#include "r1/nn/weight.h"
#include "r1/ops/device_matrix.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/cuda_graph.h"

namespace r1 {
namespace {

using Clock = std::chrono::steady_clock;
using Matrix = std::shared_ptr<const ops::DeviceMatrix>;
using tensor::GroupedCodes;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

const at::TensorOptions kOnGpu = at::TensorOptions().device(at::kCUDA);

// Random codes with scales that give weights of about 0.02, in the form of a file of that kind.
Matrix random_matrix(const std::string& form, int64_t rows, int64_t columns) {
  const bool four = form == "int4" || form.starts_with("q4");
  const int64_t group = form == "int4" || form == "fp8" ? 128 : form == "int8" ? columns : 32, groups = (columns + group - 1) / group;
  const auto numbers = [&](double low, double high) {
    return (aten::randint(1024, {rows, groups}, kOnGpu).to(at::kFloat) / 1024 * (high - low) + low)
        .to(at::kHalf)
        .to(at::kFloat)
        .to(at::kCPU);
  };
  GroupedCodes m;
  m.kind = four ? GroupedCodes::Kind::kInt4 : form == "fp8" ? GroupedCodes::Kind::kE4m3 : GroupedCodes::Kind::kInt8;
  m.code_OI = aten::randint(four ? 16 : form == "fp8" ? 64 : 256, {rows, columns}, kOnGpu).to(at::kByte).to(at::kCPU);
  m.group = group;
  m.scale_OG = four ? numbers(0.002, 0.006) : form == "fp8" ? numbers(0.01, 0.03) : numbers(0.0001, 0.0004);
  if (form == "int4") m.zero_OG = aten::randint(16, {rows, groups}, kOnGpu).to(at::kFloat).to(at::kCPU);
  if (form == "q4_k") m.offset_OG = numbers(-0.05, -0.02);
  m.format = form;
  const Matrix packed = ops::pack_for_device({m});
  check(packed != nullptr, "there is no product for ", form, " of ", rows, " x ", columns);
  return ops::to_device(*packed, at::kCUDA);
}

constexpr int kTimes = 100;

// A hundred calls, captured once.
class Replay {
 public:
  explicit Replay(const std::function<void(int)>& body) {
    for (int i = 0; i < 3; ++i) body(i);
    graph_.capture(at::kCUDA, memory_, [&] {
      for (int i = 0; i < kTimes; ++i) body(i);
    });
  }
  double microseconds() {
    flag_.to(at::kCPU);  // waits
    const auto start = Clock::now();
    graph_.replay();
    flag_.to(at::kCPU);
    return 1e6 * seconds_since(start) / kTimes;
  }

 private:
  tensor::GraphMemory memory_;
  tensor::CudaGraph graph_;
  Tensor flag_ = aten::zeros({1}, kOnGpu);
};

Json ratios(const std::vector<double>& ours, const std::vector<double>& theirs) {
  std::vector<double> ratio;
  for (size_t i = 0; i < ours.size(); ++i) ratio.push_back(theirs[i] / ours[i]);
  return {{"ratio", bench::median(ratio)},
          {"ratio_min", *std::min_element(ratio.begin(), ratio.end())},
          {"ratio_max", *std::max_element(ratio.begin(), ratio.end())}};
}

void products(const bench::Arguments& given) {
  for (const std::string& shape : bench::split(given.text("shapes"))) {
    const size_t cross = shape.find('x');
    if (cross == std::string::npos) fail_usage("--shapes wants OUTxIN, got ", shape);
    const int64_t out = std::stoll(shape), in = std::stoll(shape.substr(cross + 1));
    constexpr int64_t kBytes = 400'000'000;  // beyond all caches
    std::vector<Tensor> dense;
    for (int64_t i = 0; i < std::clamp<int64_t>(kBytes / (out * in * 2), 1, kTimes); ++i)
      dense.push_back(aten::randn({out, in}, kOnGpu.dtype(at::kBFloat16)) * 0.02);
    for (const std::string& form : bench::split(given.text("forms"))) {
      const Matrix one = random_matrix(form, out, in);
      std::vector<Matrix> packed{one};
      while (int64_t(packed.size()) < std::clamp<int64_t>(kBytes / one->bytes(), 1, kTimes))
        packed.push_back(std::make_shared<ops::DeviceMatrix>(one->layout(), one->codes().clone(), one->scales().clone(), Tensor(), form));
      for (const std::string& count : bench::split(given.text("rows"))) {
        const int64_t rows = std::stoll(count);
        const Tensor x = aten::randn({rows, in}, kOnGpu.dtype(at::kBFloat16));
        Replay ours([&](int i) { ops::device_linear(x, *packed[size_t(i) % packed.size()], 0, out); });
        Replay theirs([&](int i) { aten::linear(x, dense[size_t(i) % dense.size()]); });
        std::vector<double> our_us, their_us;
        for (int64_t round = 0; round <= given.number("rounds"); ++round) {
          const double mine = ours.microseconds(), peer = theirs.microseconds();
          if (round > 0) our_us.push_back(mine), their_us.push_back(peer);
        }
        Json line{{"bench", "product"},
                  {"form", form},
                  {"out", out},
                  {"in", in},
                  {"rows", rows},
                  {"us", bench::median(our_us)},
                  {"bf16_us", bench::median(their_us)}};
        line.update(ratios(our_us, their_us));
        line["tb_s"] = double(one->bytes()) / bench::median(our_us) * 1e-6;
        bench::print(line);
      }
    }
  }
}

// Nothing of r1 multiplies 2:4 weights on a GPU yet: libtorch's operators by name.
template <class Function>
auto operator_named(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Function>();
}
using Maybe = std::optional<Tensor>;
using Type = std::optional<at::ScalarType>;

void sparse(const bench::Arguments& given) {
  const auto compress = operator_named<Tensor(const Tensor&)>("aten::_cslt_compress");
  const auto search =
      operator_named<int64_t(const Tensor&, const Tensor&, const Maybe&, const Maybe&, Type, bool)>("aten::_cslt_sparse_mm_search");
  const auto multiply =
      operator_named<Tensor(const Tensor&, const Tensor&, const Maybe&, const Maybe&, Type, bool, int64_t, int64_t, int64_t)>(
          "aten::_cslt_sparse_mm");
  constexpr int64_t kDim = 4096;
  const Tensor weight = aten::randn({kDim, kDim}, kOnGpu.dtype(at::kBFloat16)) * 0.02;
  weight.view({kDim, kDim / 4, 4}).narrow(2, 2, 2).zero_();
  const Tensor packed = compress.call(weight);
  for (const int64_t rows : {64, 256, 1024, 4096, 8192}) {
    const Tensor x = aten::randn({rows, kDim}, kOnGpu.dtype(at::kBFloat16)), x_t = x.t();
    const int64_t algorithm = search.call(packed, x_t, {}, {}, {}, true);
    const auto ours_once = [&] { return multiply.call(packed, x_t, {}, {}, {}, true, algorithm, 1, -1); };
    const Tensor want = aten::linear(x, weight).to(at::kFloat), off = (ours_once().to(at::kFloat) - want).abs();
    check(off.max().item<double>() <= 0.02 * want.abs().max().item<double>(), "2:4 and dense products differ");
    Replay ours([&](int) { ours_once(); }), theirs([&](int) { aten::linear(x, weight); });
    std::vector<double> our_us, their_us;
    for (int64_t round = 0; round <= given.number("rounds"); ++round) {
      const double mine = ours.microseconds(), peer = theirs.microseconds();
      if (round > 0) our_us.push_back(mine), their_us.push_back(peer);
    }
    Json line{{"bench", "sparse"},
              {"form", "2:4"},
              {"dim", kDim},
              {"rows", rows},
              {"us", bench::median(our_us)},
              {"dense_us", bench::median(their_us)}};
    line.update(ratios(our_us, their_us));
    bench::print(line);
  }
}

struct Speed {
  double prefill_s = 0, decode_s = 0;
};

// `batch` prompts of 128 tokens, 128 tokens of each.
Speed generate(model::Transformer& model, engine::Engine& engine, int64_t batch) {
  constexpr int64_t kTokens = 128;
  Rng rng(1);
  for (int64_t i = 0; i < batch; ++i) {
    engine::Request r;
    for (int64_t k = 0; k < kTokens; ++k) r.prompt.push_back(engine::TokenId(rng.below(uint64_t(model.config().vocab_size))));
    r.sampling = {.temperature = 1, .seed = rng.bits(), .max_new_tokens = kTokens + 1};
    engine.add(std::move(r));
  }
  Speed speed;
  auto start = Clock::now();
  for (int64_t made = 0; made < batch;) made += int64_t(engine.step().size());
  speed.prefill_s = seconds_since(start);
  start = Clock::now();
  while (!engine.idle()) engine.step();
  speed.decode_s = seconds_since(start);
  return speed;
}

void generations(const bench::Arguments& given) {
  const auto model_of = [&](const std::string& form) {
    auto model = std::make_unique<model::Transformer>(model::preset(given.text("shape")), at::Device(at::kCUDA), at::kBFloat16);
    model->init_weights(1);
    if (form.empty()) return model;
    for (model::WeightRow& row : model->weights())
      if (row.weight && row.quantizable) row.weight->pack(random_matrix(form, row.tensor->numel() / row.shape.back(), row.shape.back()));
    model->arrange();
    return model;
  };
  const auto plain = model_of("");
  plain->arrange();
  for (const std::string& form : bench::split(given.text("forms"))) {
    const auto packed = model_of(form);
    for (const std::string& count : bench::split(given.text("batches"))) {
      const int64_t batch = std::stoll(count);
      engine::EngineConfig config;
      config.max_num_seqs = batch;
      config.max_model_len = 512;
      config.num_blocks = batch * 24;
      config.enable_prefix_caching = false;
      engine::Engine ours(*packed, config), theirs(*plain, config);
      std::vector<double> our_decode, their_decode, our_prefill, their_prefill;
      for (int64_t round = -1; round <= given.number("rounds"); ++round) {
        const Speed mine = generate(*packed, ours, batch), peer = generate(*plain, theirs, batch);
        if (round < 1) continue;  // graphs are captured
        our_decode.push_back(mine.decode_s), their_decode.push_back(peer.decode_s);
        our_prefill.push_back(mine.prefill_s), their_prefill.push_back(peer.prefill_s);
      }
      const double tokens = double(batch) * 128;
      Json line{{"bench", "generate"},
                {"shape", given.text("shape")},
                {"form", form},
                {"batch", batch},
                {"decode_tok_s", tokens / bench::median(our_decode)},
                {"bf16_decode_tok_s", tokens / bench::median(their_decode)}};
      line.update(ratios(our_decode, their_decode));
      const Json prefill = ratios(our_prefill, their_prefill);
      line["prefill_tok_s"] = tokens / bench::median(our_prefill);
      line["prefill_ratio"] = prefill["ratio"];
      bench::print(line);
    }
  }
}

void run(const bench::Arguments& given) {
  const at::NoGradGuard no_grad;
  for (const std::string& what : bench::split(given.words().empty() ? "products,sparse,generate" : given.words()[0])) {
    if (what == "products")
      products(given);
    else if (what == "sparse")
      sparse(given);
    else if (what == "generate")
      generations(given);
    else
      fail_usage("unknown bench '", what, "' (products, sparse, generate)");
  }
}

}  // namespace
}  // namespace r1

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] {
    r1::run({argc,
             argv,
             {{"shapes", "4096x4096,11008x4096,4096x11008,18944x3584,3584x18944"},
              {"rows", "1,16,64,256"},
              {"forms", "int4,q4_0,q4_k,int8,q8_0,fp8"},
              {"shape", "qwen2.5-1.5b"},
              {"batches", "1,8,64"},
              {"rounds", "5"}},
             1});
  });
}
