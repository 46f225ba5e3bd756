// What an optimizer does to all tensors of a model, a launch each: the table of tensors lies in memory of the device, so its size is no
// limit, and whoever makes it sends it in one copy. Elementwise, or sums in a fixed order: results depend on nothing but the numbers.
#pragma once

#include <cstdint>

#include "r1/kernels/cpu/rows.h"
#include "r1/kernels/cuda/device.h"

namespace r1::kernels::cuda {

// A tensor's share of a step: n numbers each. Null where an operation has no use for it.
struct StepRow {
  const void* gradient = nullptr;
  float *master = nullptr, *m = nullptr, *v = nullptr;
  void* weight = nullptr;  // bf16, receives the rounded master
  int64_t n = 0;
  float decay = 1;            // the master's factor of this step: 1 - lr weight_decay
  int32_t bf16_gradient = 0;  // else fp32
  int32_t fresh = 0;          // add_gradients: the sum starts here
  int32_t wide = 0;           // every address takes 16-byte loads (8 for bf16): takes_wide_loads()
};

// The numbers of a row are worked on in parts of kStepPart, a block each; part p of the launch is in the last row whose first part is at
// most p.
constexpr int64_t kStepPart = 8192;

// All on the device; rows_host and first_part_host are read by nobody: tables are made by ops/optimizer_step.
struct StepTable {
  const StepRow* rows = nullptr;
  const int32_t* first_part = nullptr;  // [count + 1], first_part[count]: parts in all
  int64_t count = 0;                    // rows that take part: the first of the table
  int64_t parts = 0;                    // first_part[count]
};

// Whether a row's addresses allow the loads of whole vectors.
bool takes_wide_loads(const StepRow& row);

// master = (fresh ? 0 : master) + gradient: fp32 sums of several micro-batches' gradients.
void add_gradients(const StepTable& table, Stream stream);

// What is to be known of a step before its update, on the device: doubles.
enum Verdict : int { kLoss, kNorm, kScale, kGood, kVerdictSize };

// The norm of all gradients together (squares summed in fp32 a few at a time, in double where that overflows, then in double, ascending).
// Writes `verdict` [kVerdictSize]: the loss as given (double, null: 0), the norm, the factor that clips it to max_norm (0: none), and 1
// if loss and norm are finite, else 0. `partial`: double [parts].
void judge_gradients(const StepTable& table, double* partial, const double* loss, double max_norm, double* verdict, Stream stream);

// AdamW as in kernels/cpu/optimizer.h with g = verdict[kScale] * gradient; leaves everything as it is where verdict[kGood] is 0. `step`
// counts from 1. Reads and writes 28 bytes a bf16 weight.
struct AdamWStep {
  double lr, beta1, beta2, eps;
  int64_t step;
};
void adamw(const StepTable& table, const AdamWStep& options, const double* verdict, Stream stream);

}  // namespace r1::kernels::cuda
