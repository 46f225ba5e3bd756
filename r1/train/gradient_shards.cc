#include "r1/train/gradient_shards.h"

#include <ATen/core/grad_mode.h>

#include <utility>

#include "r1/base/error.h"
#include "r1/ops/gradient_hook.h"
#include "r1/train/background.h"

namespace r1::train {

GradientShards::GradientShards(dist::ShardExchange& exchange, std::vector<Tensor*> slots)
    : exchange_(exchange),
      slots_(std::move(slots)),
      had_(slots_.size()),
      sums_(exchange.shares().buckets().size()),
      on_way_(slots_.size()),
      awaited_(sums_.size()) {
  check(slots_.size() == exchange.shares().rows(), "[gradient_shards] expected ", exchange.shares().rows(), " rows, got ", slots_.size());
  beside_the_backward_ = !slots_.empty() && slots_[0]->is_cpu();
  if (beside_the_backward_) thread_ = std::thread([this] { work(); });
}

GradientShards::~GradientShards() {
  unhook();
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void GradientShards::begin() {
  for (size_t b = 0; b < awaited_.size(); ++b) awaited_[b] = exchange_.shares().buckets()[b].rows.size();
  next_ = 0;
  if (beside_the_backward_) hook();
}

void GradientShards::hook() {
  for (size_t i = 0; i < slots_.size(); ++i) ops::on_gradient(*slots_[i], [this, i] { row_is_ready(i); });
  hooked_ = true;
}

void GradientShards::unhook() {
  if (std::exchange(hooked_, false))
    for (Tensor* slot : slots_) ops::on_gradient(*slot, {});
}

void GradientShards::row_is_ready(size_t row) {
  const size_t bucket = exchange_.shares().bucket_of(row);
  check(bucket >= next_ && awaited_[bucket] > 0, "[gradient_shards] a row has got a second gradient in one backward pass");
  --awaited_[bucket];
  while (next_ < awaited_.size() && awaited_[next_] == 0) send(next_++);
}

void GradientShards::send(size_t bucket) {
  const at::NoGradGuard no_grad;
  const auto& rows = exchange_.shares().buckets()[bucket].rows;
  for (const size_t row : rows) {
    Tensor& gradient = slots_[row]->mutable_grad();
    if (!gradient.defined()) continue;
    had_[row] = true;
    on_way_[row] = gradient.contiguous();
    gradient.reset();
  }
  Sent sent{bucket, exchange_.lay(bucket, on_way_, slots_[0]->device())};
  for (const size_t row : rows) on_way_[row].reset();
  if (!beside_the_backward_) return add(sent);
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(sent));
  }
  changed_.notify_all();
}

void GradientShards::add(const Sent& sent) {
  const Tensor part = exchange_.reduce(sent.bucket, sent.laid);
  Tensor& sum = sums_[sent.bucket];
  sum = sum.defined() ? sum.add_(part) : part;
}

void GradientShards::work() {
  keep_to_one_thread();
  const at::NoGradGuard no_grad;
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return done_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const Sent sent = std::move(queue_.front());
    queue_.pop_front();
    busy_ = true;
    lock.unlock();
    std::exception_ptr error;
    try {
      add(sent);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    busy_ = false;
    if (error) {
      if (!error_) error_ = error;
      queue_.clear();
    }
    changed_.notify_all();
  }
}

void GradientShards::end() {
  unhook();
  while (next_ < awaited_.size()) send(next_++);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return queue_.empty() && !busy_; });
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void GradientShards::abandon() {
  unhook();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return queue_.empty() && !busy_; });
  error_ = nullptr;
}

void GradientShards::drop() {
  for (Tensor& sum : sums_) sum.reset();
  had_.assign(had_.size(), false);
}

void GradientShards::take(std::span<Tensor> gradients) const {
  for (Tensor& gradient : gradients) gradient.reset();
  for (size_t b = 0; b < sums_.size(); ++b)
    if (sums_[b].defined()) exchange_.part_by_rows(b, sums_[b], gradients);
}

}  // namespace r1::train
