// Collectives between GPUs: c10d's NCCL. Its own watchdog would end the process without a word of ours, so it is told to leave errors to the
// waiting thread; a stuck collective is seen by the deadline here. The process is then ended (the launcher restarts it): a communicator that
// has failed is never used again.
#ifndef USE_C10D_NCCL
#define USE_C10D_NCCL
#endif
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "r1/base/error.h"
#include "r1/dist/transport.h"

namespace r1::dist {
namespace {

using Clock = std::chrono::steady_clock;

class Nccl : public Transport {
 public:
  Nccl(const Store& store, const TransportOptions& options) : timeout_(std::chrono::milliseconds(int64_t(options.timeout * 1000))) {
    // Read when the group is made. 0: no handling by the watchdog.
    setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0", 0);
    setenv("TORCH_NCCL_ENABLE_MONITORING", "0", 0);
    auto how = c10d::ProcessGroupNCCL::Options::create();
    how->timeout = timeout_;
    auto own = c10::make_intrusive<c10d::PrefixStore>("nccl/" + options.name, store.c10d());
    group_ = c10::make_intrusive<c10d::ProcessGroupNCCL>(own, int(options.rank), int(options.size), how);
    group_->setBoundDeviceId(options.device);
  }
  // Of a group that has failed shutdown() would wait for what never ends.
  ~Nccl() override { failed_ ? group_->abort() : group_->shutdown(); }

  void all_reduce(Tensor& x, Reduce reduce) override {
    std::vector<Tensor> list{x};
    c10d::AllreduceOptions options;
    if (reduce == Reduce::kMax) options.reduceOp = c10d::ReduceOp::MAX;
    wait(group_->allreduce(list, options));
  }
  void broadcast(Tensor& x, int64_t root) override {
    std::vector<Tensor> list{x};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    wait(group_->broadcast(list, options));
  }
  void all_gather(Tensor& out, Tensor& in) override { wait(group_->_allgather_base(out, in)); }
  void all_to_all(Tensor& out, Tensor& in, std::vector<int64_t> from, std::vector<int64_t> to) override {
    wait(group_->alltoall_base(out, in, from, to));
  }
  void send(Tensor& x, int64_t to) override {
    std::vector<Tensor> list{x};
    wait(group_->send(list, int(to), 0));
  }
  void receive(Tensor& x, int64_t from) override {
    std::vector<Tensor> list{x};
    wait(group_->recv(list, int(from), 0));
  }

 private:
  void wait(const c10::intrusive_ptr<c10d::Work>& work) {
    work->wait();  // the stream waits
    const auto end = Clock::now() + timeout_;
    for (auto pause = std::chrono::microseconds(10); !work->isCompleted(); pause = std::min(2 * pause, std::chrono::microseconds(1000))) {
      if (Clock::now() >= end) {
        failed_ = true;
        fail("Timed out waiting ", timeout_.count(), "ms for NCCL");
      }
      std::this_thread::sleep_for(pause);
    }
    if (const auto error = work->exception()) {
      failed_ = true;
      std::rethrow_exception(error);
    }
  }

  std::chrono::milliseconds timeout_;
  bool failed_ = false;
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> group_;
};

}  // namespace

std::unique_ptr<Transport> nccl_transport(const Store& store, const TransportOptions& options) {
  return std::make_unique<Nccl>(store, options);
}

}  // namespace r1::dist
