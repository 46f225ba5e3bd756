// How fast is a training step? Random weights of a published shape, synthetic tokens, AdamW, every token learned from; one JSON object a line.
//   bench_train_step [--shape gpt2-124m|gpt2-350m|qwen2.5-0.5b|qwen2.5-1.5b|PRESET] [--batch 64 --seq 1024 --micro-batches 1 --steps 50
//     --warmup 20 --dtype bf16|float32 --checkpointing --device cuda --threads N --profile]
//   T1  --shape gpt2-124m --batch 64 --seq 1024           T2  --shape qwen2.5-0.5b --batch 8 --seq 4096
//   T3  --shape qwen2.5-1.5b --batch 4 --seq 4096         T6  seconds_to_step_50 of T1
// A batch is of `--batch` sequences of `--seq` tokens, `--micro-batches` of them a step; GPT-2's vocabulary is padded to 50,304 (its matrix
// products are of whole tiles then), in the peer as well. Model flops of a token, forward and backward (causal attention counts half):
//   6 P + 6 L d T    P: parameters, without an embedding table that is only looked up; d: width of the queries; T: --seq
// and MFU is their share of the 780 TFLOP/s that a large bf16 product reaches on an H200. Seconds to a step are counted from the start of
// the process, weights made and libraries loaded. bench/peers/train_step.py prints the same fields of other programs.
// --profile adds one step's phases (host: from the phase's begin to its end there; device: between the same points of the stream) and the
// time of its kernels by name.
#include <ATen/DeviceAccelerator.h>
#include <ATen/Parallel.h>
#include <c10/core/Event.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include <chrono>
#include <fstream>
#include <optional>
#include <set>

#include "bench/bench.h"
#include "r1/base/rng.h"
#include "r1/model/footprint.h"
#include "r1/model/presets.h"
#include "r1/tensor/dtype.h"
#include "r1/train/trainer.h"

namespace r1 {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double kPeakFlops = 780e12;
constexpr int64_t kPaddedVocabulary = 50304;
constexpr size_t kBatches = 4, kKernels = 40;

// Since the process was started, to a hundredth.
double process_seconds() {
  std::ifstream stat("/proc/self/stat"), uptime("/proc/uptime");
  std::string text((std::istreambuf_iterator<char>(stat)), {});
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string skipped;
  for (int i = 3; i < 22; ++i) fields >> skipped;
  double ticks = 0, up = 0;
  fields >> ticks;
  uptime >> up;
  return up - ticks / double(sysconf(_SC_CLK_TCK));
}

model::ModelConfig config_of(const std::string& shape, int64_t length) {
  const std::map<std::string, std::string> names{{"gpt2-124m", "gpt2"}, {"gpt2-350m", "gpt2-medium"}};
  const auto known = names.find(shape);
  model::ModelConfig c = model::preset(known == names.end() ? shape : known->second);
  if (c.family == "gpt2") c.vocab_size = kPaddedVocabulary;
  c.max_position_embeddings = std::max(c.max_position_embeddings, length);
  model::finish_config(c);
  return c;
}

data::Batch random_batch(int64_t sequences, int64_t length, int64_t vocabulary, Rng& rng) {
  data::Batch b;
  b.cu_seqlens = {0};
  for (int64_t s = 0; s < sequences; ++s) {
    int32_t next = int32_t(rng.below(uint64_t(vocabulary)));
    for (int64_t t = 0; t < length; ++t) {
      b.ids.push_back(next);
      next = int32_t(rng.below(uint64_t(vocabulary)));
      b.targets.push_back(next);
      b.positions.push_back(int32_t(t));
    }
    b.cu_seqlens.push_back(int32_t(b.ids.size()));
  }
  b.loss_weight.assign(b.ids.size(), 1.0f);
  return b;
}

// The phases of a step, on the host and on the device.
class Phases {
 public:
  explicit Phases(tensor::Device device) : device_(device) {}
  void begin(const char* name) {
    points_.push_back({name, Clock::now(), std::nullopt});
    if (!device_.is_cuda()) return;
    points_.back().event.emplace(device_.type(), c10::EventFlag::BACKEND_DEFAULT);
    points_.back().event->record(at::accelerator::getCurrentStream(std::max<c10::DeviceIndex>(0, device_.index())));
  }
  void print() const {
    std::map<std::string, std::pair<double, double>> ms;
    for (size_t i = 0; i + 1 < points_.size(); ++i) {
      auto& [host, device] = ms[points_[i].name];
      host += std::chrono::duration<double, std::milli>(points_[i + 1].at - points_[i].at).count();
      if (points_[i].event) device += points_[i].event->elapsedTime(*points_[i + 1].event);
    }
    for (const auto& [name, times] : ms)
      bench::print({{"phase", name}, {"host_ms", times.first}, {"device_ms", device_.is_cuda() ? Json(times.second) : Json()}});
  }

 private:
  struct Point {
    const char* name;
    Clock::time_point at;
    std::optional<c10::Event> event;
  };
  tensor::Device device_;
  std::vector<Point> points_;
};

void print_kernels(const std::function<void()>& step) {
  namespace profiler = torch::autograd::profiler;
  const profiler::ProfilerConfig config(torch::profiler::impl::ProfilerState::KINETO);
  const std::set<torch::profiler::impl::ActivityType> activities{torch::profiler::impl::ActivityType::CUDA};
  profiler::prepareProfiler(config, activities);
  profiler::enableProfiler(config, activities);
  step();
  const auto result = profiler::disableProfiler();
  std::map<std::string, std::pair<int64_t, double>> kernels;  // count, ms
  double total = 0;
  for (const auto& event : result->events()) {
    if (event.deviceType() != c10::kCUDA) continue;
    auto& [count, ms] = kernels[event.name()];
    ++count;
    ms += double(event.durationNs()) / 1e6;
    total += double(event.durationNs()) / 1e6;
  }
  std::vector<std::pair<std::string, std::pair<int64_t, double>>> sorted(kernels.begin(), kernels.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second.second > b.second.second; });
  bench::print({{"kernels_ms", total}, {"kernels", sorted.size()}});
  for (size_t i = 0; i < std::min(kKernels, sorted.size()); ++i)
    bench::print({{"ms", sorted[i].second.second}, {"count", sorted[i].second.first}, {"kernel", sorted[i].first.substr(0, 150)}});
}

double peak_gib(tensor::Device device, bool reserved) {
  if (!device.is_cuda()) return bench::peak_mb() / 1024;
  const auto stats = at::accelerator::getDeviceStats(std::max<c10::DeviceIndex>(0, device.index()));
  return double((reserved ? stats.reserved_bytes : stats.allocated_bytes)[0].peak) / double(int64_t{1} << 30);
}

void run(const bench::Arguments& a) {
  const tensor::Device device = tensor::parse_device(a.text("device"));
  const tensor::DType dtype = tensor::parse_dtype(a.text("dtype"));
  if (a.number("threads") > 0) at::set_num_threads(int(a.number("threads")));
  const int64_t batch = a.number("batch"), length = a.number("seq"), micro = a.number("micro-batches"), warmup = a.number("warmup"),
                steps = a.number("steps");
  const model::ModelConfig shape = config_of(a.text("shape"), length);
  model::Transformer model(shape, device, dtype);
  model.init_weights(1);
  train::TrainerConfig config;
  config.learning_rate = 1e-4;
  config.weight_decay = 0.1;
  config.lr_scheduler_type = "constant";
  config.bf16 = dtype == at::kBFloat16;
  config.gradient_checkpointing = a.is_on("checkpointing");
  train::Trainer trainer(model, config, warmup + steps + 2, 1);
  const double made = process_seconds();

  Rng rng(1);
  std::vector<std::vector<data::Batch>> batches(kBatches);
  for (auto& step : batches) {
    for (int64_t i = 0; i < micro; ++i) step.push_back(random_batch(batch, length, shape.vocab_size, rng));
  }
  int64_t done = 0;
  std::map<int64_t, double> reached;
  const auto step = [&] {
    const train::StepResult r = trainer.step(batches[size_t(done) % kBatches], train::cross_entropy_loss());
    check(!r.skipped, "step ", done, " was skipped: ", r.skip_reason);
    reached[++done] = process_seconds();
    return r.loss;
  };
  double first = 0, last = 0;
  for (int64_t i = 0; i < warmup; ++i) {
    const double loss = step();
    if (i == 0) first = loss;
  }
  std::vector<double> ms;
  const auto start = Clock::now();
  auto before = start;
  for (int64_t i = 0; i < steps; ++i) {
    last = step();
    const auto now = Clock::now();
    ms.push_back(std::chrono::duration<double, std::milli>(now - before).count());
    before = now;
  }
  const double seconds = std::chrono::duration<double>(before - start).count();
  const double tokens = double(batch * length * micro), per_second = tokens * double(steps) / seconds;
  const double parameters = double(model::parameter_count(shape) - (shape.tie_word_embeddings ? 0 : shape.vocab_size * shape.hidden_size));
  const double flops = 6 * parameters + 6 * double(shape.num_hidden_layers * shape.num_attention_heads * shape.head_dim * length);
  Json line = {{"what", "train_step"},
               {"program", "r1"},
               {"shape", a.text("shape")},
               {"batch", batch},
               {"seq", length},
               {"micro_batches", micro},
               {"dtype", a.text("dtype")},
               {"parameters", parameters},
               {"tokens_per_second", per_second},
               {"ms", seconds * 1e3 / double(steps)},
               {"median_ms", bench::median(ms)},
               {"tflops", per_second * flops / 1e12},
               {"mfu", per_second * flops / kPeakFlops},
               {"peak_allocated_gib", peak_gib(device, false)},
               {"peak_reserved_gib", peak_gib(device, true)},
               {"seconds_to_weights", made},
               {"first_loss", first},
               {"last_loss", last}};
  for (const int64_t n : {5, 50}) line[str("seconds_to_step_", n)] = reached.contains(n) ? Json(reached[n]) : Json();
  bench::print(line);
  if (!a.is_on("profile")) return;
  Phases phases(device);
  trainer.on_phase([&](const char* phase) { phases.begin(phase); });
  step();
  trainer.on_phase({});
  phases.print();
  if (device.is_cuda()) print_kernels(step);
}

}  // namespace
}  // namespace r1

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] {
    r1::run({argc,
             argv,
             {{"shape", "gpt2-124m"},
              {"batch", "64"},
              {"seq", "1024"},
              {"micro-batches", "1"},
              {"steps", "50"},
              {"warmup", "20"},
              {"dtype", "bf16"},
              {"checkpointing", "no"},
              {"device", "cuda"},
              {"threads", "0"},
              {"profile", "no"},
              {"json", "no"}}});  // always
  });
}
