// Ranks that work on one thing, and what they say to each other: the collectives, on tensors and on the few numbers of a step. A group of one
// does nothing and needs nobody. Every operation is made by all ranks of the group in the same order; tensors are contiguous, of the same
// shape and dtype everywhere, on the device of the group's backend (Gloo: CPU, NCCL: the rank's GPU). Each ends when its result is there.
//
// Sums are taken in the order of the ranks, whatever the backend, unless the group was made with deterministic = false: each rank adds up its
// share of the elements (all_to_all), then the shares are gathered, which moves as many bytes as a ring. So a sum is the same bits in every
// run and on every rank.
//
// Errors: one Error that names rank, host, operation and sequence number, and the rank that is to blame as far as it can be known (pulse.h).
// The group is dead afterwards. What the rank did last stands in RUN/dist/rank_<N>.json then.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "r1/dist/flight_recorder.h"
#include "r1/dist/pulse.h"
#include "r1/dist/transport.h"

namespace r1::dist {

// What the groups of a process share.
struct World {
  std::unique_ptr<Store> store;
  std::vector<std::string> names;  // "rank 1 (host, process 71)"
  FlightRecorder recorder;
  std::unique_ptr<Pulse> pulse;  // after the recorder that it reads
  int64_t rank = 0;
  bool failed = false, left = false;
  std::filesystem::path folder;  // where a rank's last collectives are written if something goes wrong; "": nowhere
  // Of the backend that the world talks through.
  std::unique_ptr<Transport> (*connect)(const Store& store, const TransportOptions& options) = nullptr;

  ~World();  // lets the others finish with the store, if this rank holds it
  // Waits until `count` ranks have come to `where` (a key of the store), or a few seconds.
  void wait_for(int64_t count, const std::string& where, double seconds) const;
  // The backend's connection; what goes wrong is said with who is to blame.
  std::unique_ptr<Transport> connected(const TransportOptions& options, const std::vector<int64_t>& members) const;
  void write_record(const std::string& why) const;
};

class Group {
 public:
  Group() = default;  // of one
  // `members`: the world's ranks that are its own, in order; empty: all.
  Group(std::shared_ptr<World> world, std::unique_ptr<Transport> transport, TransportOptions options, bool deterministic = true,
        std::vector<int64_t> members = {});
  ~Group();  // when all ranks are done with their last operation: a connection that closes early fails it for the others
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  int64_t rank() const { return options_.rank; }
  int64_t size() const { return options_.size; }
  const std::string& name() const { return options_.name; }
  // Some of its ranks as a group of their own, this one among them: `members` in rising order, `name` one that no other group has. All of
  // them call it. A failure in one group is one in all that the rank is in.
  std::unique_ptr<Group> part(const std::string& name, const std::vector<int64_t>& members) const;

  void all_reduce(Tensor& x, Reduce reduce = Reduce::kSum);  // in place; bf16 is added up in fp32
  void broadcast(Tensor& x, int64_t root = 0);               // in place
  void all_gather(Tensor& out, const Tensor& in);            // out: size() times in's elements, in the order of the ranks
  void reduce_scatter(Tensor& out, const Tensor& in);        // in: size() times out's elements; out: this rank's part of the sum
  // `from`, `to`: elements that come from and go to each rank; both empty: equal parts.
  void all_to_all(Tensor& out, const Tensor& in, std::vector<int64_t> from = {}, std::vector<int64_t> to = {});
  void send(const Tensor& x, int64_t to);
  void receive(Tensor& x, int64_t from);
  void barrier();

  void all_reduce(std::span<double> numbers, Reduce reduce = Reduce::kSum);
  void broadcast(std::span<double> numbers, int64_t root = 0);
  std::vector<std::string> all_gather(const std::string& text);  // of any length
  std::string broadcast(const std::string& text, int64_t root = 0);

  // Rank 0 does `work`, however long it takes; the others wait as long as it gives signs of life. What it throws, all throw.
  void first(const std::string& what, const std::function<void()>& work);
  // Words of a rank that need no operation of all: said and heard in any thread, whatever the group does meanwhile. For groups of several.
  void post(const std::string& key, const std::string& words);  // once a key
  // What was posted under it; nothing yet: nothing. An error if rank `from`, who is to post it, has ended or gives no sign of life.
  std::optional<std::string> posted(const std::string& key, int64_t from);
  // This rank ends on its own: the others say so instead of guessing.
  void leave(const std::string& why);
  // From now on a record is written there if something goes wrong.
  void record_into(const std::filesystem::path& run_folder);

  // What this rank has given to others: the least that its operations can do with.
  int64_t bytes_sent() const { return bytes_sent_; }

 private:
  void run(const char* operation, int64_t bytes, int64_t sent, const std::function<void()>& work);
  void add_in_order(Tensor& x, Reduce reduce);
  int64_t world_rank(int64_t rank) const { return members_.empty() ? rank : members_[size_t(rank)]; }
  Tensor on_device(std::span<const double> numbers) const;

  std::shared_ptr<World> world_;
  std::unique_ptr<Transport> transport_;
  TransportOptions options_;
  bool deterministic_ = true;
  std::vector<int64_t> members_;  // of a part: ranks of the world
  int64_t bytes_sent_ = 0, firsts_ = 0, operations_ = 0;
};

}  // namespace r1::dist
