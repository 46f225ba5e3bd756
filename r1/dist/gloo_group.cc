// Collectives between CPUs: c10d's Gloo over TCP.
#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <cstdlib>

#include "r1/base/error.h"
#include "r1/dist/transport.h"

namespace r1::dist {
namespace {

class Gloo : public Transport {
 public:
  Gloo(const Store& store, const TransportOptions& options) {
    const auto timeout = std::chrono::milliseconds(int64_t(options.timeout * 1000));
    auto how = c10d::ProcessGroupGloo::Options::create(timeout);
    // What others reach this machine by is its address on the way to the store. On rank 0's machine that may be 127.0.1.1 (Debian's address of
    // a machine's own name); the others know better.
    std::string own_address = own_address_towards(store.address().host);
    if (is_loopback(own_address) && !options.address_of_rank_0.empty()) own_address = options.address_of_rank_0;
    const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
    how->devices.push_back(interface && *interface ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                                                   : c10d::ProcessGroupGloo::createDeviceForHostname(own_address));
    auto own = c10::make_intrusive<c10d::PrefixStore>("gloo/" + options.name, store.c10d());
    group_ = c10::make_intrusive<c10d::ProcessGroupGloo>(own, int(options.rank), int(options.size), how);
  }

  void all_reduce(Tensor& x, Reduce reduce) override {
    std::vector<Tensor> list{x};
    c10d::AllreduceOptions options;
    if (reduce == Reduce::kMax) options.reduceOp = c10d::ReduceOp::MAX;
    group_->allreduce(list, options)->wait();
  }
  void broadcast(Tensor& x, int64_t root) override {
    std::vector<Tensor> list{x};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    group_->broadcast(list, options)->wait();
  }
  void all_gather(Tensor& out, Tensor& in) override { group_->_allgather_base(out, in)->wait(); }
  void all_to_all(Tensor& out, Tensor& in, std::vector<int64_t> from, std::vector<int64_t> to) override {
    group_->alltoall_base(out, in, from, to)->wait();
  }
  void send(Tensor& x, int64_t to) override {
    std::vector<Tensor> list{x};
    group_->send(list, int(to), 0)->wait();
  }
  void receive(Tensor& x, int64_t from) override {
    std::vector<Tensor> list{x};
    group_->recv(list, int(from), 0)->wait();
  }

 private:
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
};

}  // namespace

std::unique_ptr<Transport> gloo_transport(const Store& store, const TransportOptions& options) {
  return std::make_unique<Gloo>(store, options);
}

}  // namespace r1::dist
