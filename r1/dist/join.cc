#include "r1/dist/join.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "r1/base/error.h"
#include "r1/base/json.h"
#include "r1/dist/waiting.h"

namespace r1::dist {
namespace {

std::string here_key(int64_t rank) {
  return str("here/", rank);
}

Json own_words(const Ranks& ranks, const JoinOptions& options) {
  return {{"host", own_host()},
          {"process", int64_t(getpid())},
          {"size", ranks.size},
          {"same", options.same},
          {"address_of_rank_0", address_of(ranks.address)}};
}

std::string name_of(int64_t rank, const Json& words) {
  return str("rank ", rank, " (", words.at("host").get<std::string>(), ", process ", words.at("process").get<int64_t>(), ")");
}

// "": alike.
std::string difference(int64_t rank, const Json& words, const Json& zero) {
  const auto differs = [&](const std::string& name, const std::string& own, const std::string& other) {
    const bool shown = own.size() + other.size() < 300;
    return str(name_of(rank, words), " was started with another ", name, " than ", name_of(0, zero), shown ? ": " : "", shown ? own : "",
               shown ? " instead of " : "", shown ? other : "");
  };
  if (words.at("size") != zero.at("size"))
    return differs("world size", std::to_string(words.at("size").get<int64_t>()), std::to_string(zero.at("size").get<int64_t>()));
  Json names = zero.at("same");  // a setting may be given to one of the two alone
  names.update(words.at("same"));
  for (const auto& [name, ignored] : names.items()) {
    const std::string own = words.at("same").value(name, "nothing"), other = zero.at("same").value(name, "nothing");
    if (own != other) return differs(name, own, other);
  }
  return "";
}

// Under a launcher that holds the store its keys outlive a group, so each meeting of a process has keys of its own. All ranks have the same
// meetings in the same order.
std::string meeting_prefix(const Ranks& ranks) {
  static std::atomic<int64_t> meetings{0};
  return str("r1/", ranks.attempt, "/", ++meetings);
}

std::optional<std::string> wait_for(Store& store, const std::string& key, Waiting& waiting, const std::function<std::string()>& for_what) {
  for (;;) {
    const double left = waiting.left();
    if (auto text = store.wait(key, std::min(left, Waiting::kSlice))) return text;
    if (left <= 0) return std::nullopt;
    waiting.look(for_what);
  }
}

std::string missing_ranks(Store& store, int64_t size) {
  std::string out;
  for (int64_t r = 0; r < size; ++r)
    if (!store.get(here_key(r))) out += str(out.empty() ? "" : ", ", r);
  return out;
}

// Rank 0: waits for all, compares. The verdict is the list of names, or what is wrong.
Json meet(Store& store, const Ranks& ranks, const JoinOptions& options, const Json& own) {
  Waiting waiting(options.start_timeout);
  Json names = Json::array();
  std::string missing, wrong, address;
  int64_t absent = 0;
  for (int64_t r = 0; r < ranks.size; ++r) {
    const auto text = r == 0 ? own.dump() : wait_for(store, here_key(r), waiting, [&] {
      return str("ranks ", missing_ranks(store, ranks.size), " of ", ranks.size, " at ", store.name());
    });
    if (!text) {
      ++absent;
      missing += str(missing.empty() ? "" : ", ", r);
      continue;
    }
    const Json words = Json::parse(*text);
    names.push_back(name_of(r, words));
    if (wrong.empty()) wrong = difference(r, words, own);
    const auto seen = words.at("address_of_rank_0").get<std::string>();
    if (address.empty() && !is_loopback(seen)) address = seen;
  }
  if (!wrong.empty()) return {{"wrong", wrong}};
  if (absent > 0)
    return {{"wrong", str(absent == 1 ? "rank " : "ranks ", missing, " of ", ranks.size, " (by ", ranks.source, ") did not come to ",
                          store.name(), " within ", options.start_timeout, " s; the others wait there")},
            {"there", ranks.size - absent}};
  return {{"names", names}, {"size", ranks.size}, {"address_of_rank_0", address}};
}

}  // namespace

std::unique_ptr<Group> join(const Ranks& ranks, const JoinOptions& options) {
  if (ranks.size == 1) return std::make_unique<Group>();
  const bool gpu = options.device.is_cuda();
  const std::string backend = options.backend == "auto" ? (gpu ? "nccl" : "gloo") : options.backend;
  if (backend == "nccl" && !gpu) fail_usage("parallel.backend nccl: the device is ", options.device, "; NCCL is between GPUs, take gloo");
  if (backend == "gloo" && gpu) fail_usage("parallel.backend gloo: the device is ", options.device, "; Gloo is between CPUs, take nccl");
  auto world = std::make_shared<World>();
  world->rank = ranks.rank;
  world->store = std::make_unique<Store>(StoreAddress{.host = ranks.address,
                                                      .port = ranks.port,
                                                      .serve = ranks.rank == 0 && !ranks.held_by_launcher,
                                                      .timeout = options.start_timeout,
                                                      .prefix = meeting_prefix(ranks)});
  Store& store = *world->store;
  const Json own = own_words(ranks, options);
  if (store.add(str("taken/", ranks.rank), 1) > 1) {
    const auto other = store.wait(here_key(ranks.rank), 2);
    fail_usage("rank ", ranks.rank, " is there twice: ", name_of(ranks.rank, own), " and ",
               other ? name_of(ranks.rank, Json::parse(*other)) : "another", "; each process needs a number of its own (", ranks.source,
               "), and one that is started again needs all others started again");
  }
  store.set(here_key(ranks.rank), own.dump());
  Json verdict;
  if (ranks.rank == 0) {
    verdict = meet(store, ranks, options, own);
    store.set("verdict", verdict.dump());
  } else {
    Waiting waiting(options.start_timeout + 2);
    const auto text = wait_for(store, "verdict", waiting, [&] {
      const bool there = store.get(here_key(0)).has_value();
      return str(there ? "all others" : "rank 0", " at ", store.name());
    });
    if (!text)
      fail("rank 0 did not come to ", store.name(), " within ", options.start_timeout, " s (", name_of(ranks.rank, own), " waits there)");
    verdict = Json::parse(*text);
  }
  for (const auto& name : verdict.value("names", Json::array())) world->names.push_back(name.get<std::string>());
  if (const auto wrong = verdict.value("wrong", std::string()); !wrong.empty()) {
    world->names.resize(size_t(verdict.value("there", ranks.size)));  // who is to say good-bye
    fail_usage("the ranks do not fit together: ", wrong);
  }
  if (verdict.at("size").get<int64_t>() != ranks.size)
    fail_usage("the ranks do not fit together: ", name_of(ranks.rank, own), " was started with world size ", ranks.size, ", rank 0 with ",
               verdict.at("size").get<int64_t>());
  world->pulse = std::make_unique<Pulse>(store.clone(), ranks.rank, world->names, [w = world.get()] { return w->recorder.last(); });
  const TransportOptions how{.name = kWorld,
                             .rank = ranks.rank,
                             .size = ranks.size,
                             .timeout = options.timeout,
                             .device = options.device,
                             .address_of_rank_0 = verdict.value("address_of_rank_0", "")};
  world->connect = backend == "nccl" ? nccl_transport : gloo_transport;
  auto transport = world->connected(how, {});
  return std::make_unique<Group>(std::move(world), std::move(transport), how, options.deterministic);
}

}  // namespace r1::dist
