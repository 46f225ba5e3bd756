// How long does training wait for a checkpoint? The same weights and optimizer state are saved in the foreground and beside the training in
// turn, in one process; one JSON object a line.
//   bench_checkpoint [--shape gpt2|PRESET] [--rounds 5 --folder FOLDER --threads N --keep]
// stall_ms: until CheckpointWriter::start() returns, medians over the rounds after the first (whose copy must get its memory from the system:
// first_stall_ms); save_ms: CheckpointWriter::save(); beside_ms: from start() to a whole checkpoint. ratio = stall_ms / save_ms, which is to be
// at most 0.25. bench/peers/checkpoint.py prints the same fields of torch.distributed.checkpoint for the tensors of the checkpoint that --keep
// leaves in the folder.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <chrono>

#include "bench/bench.h"
#include "r1/base/file.h"
#include "r1/model/footprint.h"
#include "r1/model/presets.h"
#include "r1/tensor/dtype.h"
#include "r1/train/checkpoint.h"

namespace r1 {
namespace {

double ms_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

uint64_t bytes_below(const fs::path& folder) {
  uint64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(folder)) bytes += entry.file_size();
  return bytes;
}

void run(const bench::Arguments& a) {
  if (a.number("threads") > 0) at::set_num_threads(int(a.number("threads")));
  model::ModelConfig shape = model::preset(a.text("shape"));
  model::finish_config(shape);
  model::Transformer model(shape, at::kCPU, at::kFloat);
  model.init_weights(1);
  train::Trainer trainer(model, {}, 100, 1);
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor] : trainer.state_tensors()) tensor.uniform_(0, 1e-3);

  const fs::path folder = a.text("folder");
  check(!fs::exists(folder), folder.string(), " exists already: name a folder that the measurement may make");
  std::vector<double> save, stall, beside;
  {
    train::CheckpointWriter writer(folder);
    for (int64_t round = 0; round <= a.number("rounds"); ++round) {
      save.push_back(ms_of([&] { writer.save(trainer, {}, {}); }));
      beside.push_back(ms_of([&] {
        stall.push_back(ms_of([&] { writer.start(trainer, {}, {}); }));
        writer.wait();
      }));
    }
  }
  const double first = stall[0];
  for (auto* times : {&save, &stall, &beside}) times->erase(times->begin());
  bench::print({{"what", "checkpoint"},
                {"program", "r1"},
                {"shape", a.text("shape")},
                {"parameters", model::parameter_count(shape)},
                {"bytes", bytes_below(folder / "checkpoint-0")},
                {"threads", at::get_num_threads()},
                {"save_ms", bench::median(save)},
                {"stall_ms", bench::median(stall)},
                {"first_stall_ms", first},
                {"beside_ms", bench::median(beside)},
                {"ratio", bench::median(stall) / bench::median(save)}});
  if (!a.is_on("keep")) fs::remove_all(folder);
}

}  // namespace
}  // namespace r1

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] {
    r1::run(r1::bench::Arguments(argc, argv,
                                 {{"shape", "gpt2"}, {"rounds", "5"}, {"folder", "bench_checkpoint"}, {"threads", "0"}, {"keep", "no"}}));
  });
}
