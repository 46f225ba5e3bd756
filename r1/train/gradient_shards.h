// The gradients of a step where each rank keeps only its own part of them (ZeRO-2): each micro-batch's are summed over ranks bucket by bucket,
// while its backward still runs, and a row's whole gradient is let go as soon as it is on its way. So whole gradients are there for as many
// rows as the network has not taken yet, and the parts (fp32) are added up over micro-batches.
//
// CPU: a thread of this object exchanges, and nobody else uses the group between begin() and end(). On a device the exchange begins when the
// backward is done.
//
// The order of sums: of each micro-batch over ranks, then over micro-batches. The same bits in every run on as many ranks.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "r1/dist/shard_exchange.h"

namespace r1::train {

class GradientShards {
 public:
  // `slots`: of each of the shares' rows, where its weight is; asked for the tensor anew in each round.
  GradientShards(dist::ShardExchange& exchange, std::vector<Tensor*> slots);
  ~GradientShards();
  GradientShards(const GradientShards&) = delete;
  GradientShards& operator=(const GradientShards&) = delete;

  // Around a micro-batch's forward and backward; a rank without one calls them with nothing between. All ranks the same number of times.
  void begin();
  void end();      // when all of the round's gradients are where they belong; throws what the exchange threw
  void abandon();  // in the place of end(), where something was thrown: sends nothing more
  void drop();     // the sums, for the next step

  // Whether this rank had a gradient of the row since drop().
  bool had(size_t row) const { return had_[row]; }
  // This rank's part of each row, flat fp32, or undefined where it has none of the row.
  void take(std::span<Tensor> gradients) const;

 private:
  struct Sent {
    size_t bucket;
    Tensor laid;
  };
  void hook();
  void unhook();
  void row_is_ready(size_t row);
  void send(size_t bucket);
  void work();  // the thread
  void add(const Sent& sent);

  dist::ShardExchange& exchange_;
  std::vector<Tensor*> slots_;
  std::vector<bool> had_;
  std::vector<Tensor> sums_;     // [buckets] this rank's parts
  std::vector<Tensor> on_way_;   // [rows] gradients of the bucket that is being laid
  std::vector<size_t> awaited_;  // [buckets] rows without a gradient yet, in this round
  size_t next_ = 0;              // bucket to be sent: the order is the same on all ranks
  bool beside_the_backward_ = false, hooked_ = false;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Sent> queue_;
  bool busy_ = false, done_ = false;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace r1::train
