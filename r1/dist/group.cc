#include "r1/dist/group.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <thread>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/tensor/aten.h"

namespace r1::dist {
namespace {

// What is only moved is moved as bytes: a backend knows fewer dtypes than we.
Tensor bytes_of(const Tensor& x) {
  return x.view(-1).view(at::kByte);
}

int64_t size_of(const Tensor& x) {
  return x.numel() * int64_t(x.element_size());
}

void check_plain(const char* operation, const Tensor& x) {
  check(x.defined() && x.is_contiguous(), "[", operation, "] expected a contiguous tensor");
}

Tensor combined(const Tensor& parts, Reduce reduce) {
  if (reduce == Reduce::kMax) return parts.amax(0);
  const bool half = parts.scalar_type() == at::kBFloat16 || parts.scalar_type() == at::kHalf;
  Tensor sum = half ? parts[0].to(at::kFloat) : parts[0].clone();
  for (int64_t r = 1; r < parts.size(0); ++r) sum.add_(parts[r]);
  return sum.to(parts.scalar_type());
}

constexpr int64_t kFewElements = 1024;  // gathered whole: one way instead of two

}  // namespace

// ---- the world ----

void World::wait_for(int64_t count, const std::string& where, double seconds) const {
  try {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    int64_t there = store->add(where, 1);
    while (there < count && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      there = store->add(where, 0);
    }
  } catch (const Error&) {  // whoever held it has gone: there is nobody to wait for
  }
}

World::~World() {
  pulse.reset();
  if (store) wait_for(int64_t(names.size()), "gone", !store->address().serve ? 0 : failed || left ? 4 : 10);
}

std::unique_ptr<Transport> World::connected(const TransportOptions& options, const std::vector<int64_t>& members) const {
  try {
    return connect(*store, options);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    fail("[dist] ", names[size_t(rank)], " cannot connect to the others of group ", options.name, ": ", pulse->reason("connect", members),
         " [", foreign_message(error.what()), "]");
  }
}

void World::write_record(const std::string& why) const {
  try {
    if (folder.empty() || !fs::exists(folder)) return;
    make_folder(folder / "dist");
    const Json record{{"rank", rank}, {"ranks", names}, {"why", why}, {"collectives", recorder.json()}};
    write_file_atomic(folder / "dist" / str("rank_", rank, ".json"), dump_json(record, 1) + "\n");
  } catch (const std::exception&) {  // a full disk must not hide what went wrong
  }
}

// ---- the group ----

Group::Group(std::shared_ptr<World> world, std::unique_ptr<Transport> transport, TransportOptions options, bool deterministic,
             std::vector<int64_t> members)
    : world_(std::move(world)),
      transport_(std::move(transport)),
      options_(std::move(options)),
      deterministic_(deterministic),
      members_(std::move(members)) {}

std::unique_ptr<Group> Group::part(const std::string& name, const std::vector<int64_t>& members) const {
  const auto own = std::ranges::find(members, rank());
  check(own != members.end() && std::ranges::is_sorted(members) && members.front() >= 0 && members.back() < size(),
        "[dist] expected ranks below ", size(), " in rising order, ", rank(), " among them, for the group ", name);
  if (members.size() == 1) return std::make_unique<Group>();
  std::vector<int64_t> of_world;
  for (const int64_t member : members) of_world.push_back(world_rank(member));
  TransportOptions options = options_;
  options.name = name, options.rank = own - members.begin(), options.size = int64_t(members.size());
  auto transport = world_->connected(options, of_world);
  return std::make_unique<Group>(world_, std::move(transport), options, deterministic_, std::move(of_world));
}

Group::~Group() {
  if (world_ && !world_->failed && !world_->left) world_->wait_for(size(), "done/" + name(), 10);
}

void Group::run(const char* operation, int64_t bytes, int64_t sent, const std::function<void()>& work) {
  if (size() == 1) return;
  const int64_t sequence = ++operations_, entry = world_->recorder.begin(operation, name(), sequence, bytes);
  world_->pulse->note();
  const auto begun = std::chrono::steady_clock::now();
  std::string words;
  try {
    check(!world_->failed, "the group has failed before");
    work();
    bytes_sent_ += sent;
    world_->recorder.end(entry);
    return;
  } catch (const std::exception& error) {
    words = foreign_message(error.what());
  }
  world_->failed = true;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  const std::string reason = world_->pulse->reason(named_operation(operation, sequence, name()), members_);
  const std::string message =
      str("[dist] ", world_->names[size_t(world_->rank)], ": ", operation, " ", sequence, " of group ", name(), " (", bytes,
          " bytes) failed after ", std::round(seconds * 10) / 10, " s (timeout ", options_.timeout, " s): ", reason, " [", words, "]");
  world_->write_record(message);
  fail(message);
}

void Group::add_in_order(Tensor& x, Reduce reduce) {
  const int64_t n = x.numel();
  Tensor flat = x.view(-1);
  if (n <= kFewElements) {
    Tensor all = aten::empty({size() * n}, x.options()), out = bytes_of(all), in = bytes_of(flat);
    transport_->all_gather(out, in);
    flat.copy_(combined(all.view({size(), n}), reduce));
    return;
  }
  const int64_t part = (n + size() - 1) / size();
  Tensor in = flat;
  if (part * size() != n) {
    in = aten::zeros({part * size()}, x.options());
    in.narrow(0, 0, n).copy_(flat);
  }
  Tensor parts = aten::empty({part * size()}, x.options()), out = bytes_of(parts);
  Tensor bytes = bytes_of(in);
  transport_->all_to_all(out, bytes, {}, {});
  Tensor mine = combined(parts.view({size(), part}), reduce);
  Tensor all = part * size() == n ? flat : parts, all_bytes = bytes_of(all), mine_bytes = bytes_of(mine);
  transport_->all_gather(all_bytes, mine_bytes);
  if (part * size() != n) flat.copy_(all.narrow(0, 0, n));
}

void Group::all_reduce(Tensor& x, Reduce reduce) {
  check_plain("all_reduce", x);
  if (x.numel() == 0) return;
  const bool few = deterministic_ && x.numel() <= kFewElements;
  run("all_reduce", size_of(x), few ? (size() - 1) * size_of(x) : 2 * (size() - 1) * size_of(x) / size(), [&] {
    if (deterministic_) return add_in_order(x, reduce);
    Tensor flat = x.view(-1);
    transport_->all_reduce(flat, reduce);
  });
}

void Group::broadcast(Tensor& x, int64_t root) {
  check_plain("broadcast", x);
  run("broadcast", size_of(x), rank() == root ? (size() - 1) * size_of(x) : 0, [&] {
    Tensor bytes = bytes_of(x);
    transport_->broadcast(bytes, root);
  });
}

void Group::all_gather(Tensor& out, const Tensor& in) {
  check_plain("all_gather", in);
  check_plain("all_gather", out);
  check(out.numel() == in.numel() * size() && out.scalar_type() == in.scalar_type(), "[all_gather] expected room for ", in.numel() * size(),
        " elements, got ", out.numel());
  if (size() == 1) {
    out.view(-1).copy_(in.view(-1));
    return;
  }
  run("all_gather", size_of(out), (size() - 1) * size_of(in), [&] {
    Tensor out_bytes = bytes_of(out), in_bytes = bytes_of(in);
    transport_->all_gather(out_bytes, in_bytes);
  });
}

void Group::reduce_scatter(Tensor& out, const Tensor& in) {
  check_plain("reduce_scatter", in);
  check_plain("reduce_scatter", out);
  check(in.numel() == out.numel() * size() && out.scalar_type() == in.scalar_type(), "[reduce_scatter] expected ", out.numel() * size(),
        " elements, got ", in.numel());
  if (size() == 1) {
    out.view(-1).copy_(in.view(-1));
    return;
  }
  run("reduce_scatter", size_of(in), (size() - 1) * size_of(out), [&] {
    Tensor parts = aten::empty({in.numel()}, in.options()), out_bytes = bytes_of(parts), in_bytes = bytes_of(in);
    transport_->all_to_all(out_bytes, in_bytes, {}, {});
    out.view(-1).copy_(combined(parts.view({size(), out.numel()}), Reduce::kSum));
  });
}

void Group::all_to_all(Tensor& out, const Tensor& in, std::vector<int64_t> from, std::vector<int64_t> to) {
  check_plain("all_to_all", in);
  check_plain("all_to_all", out);
  check(from.size() == to.size() && (from.empty() || int64_t(from.size()) == size()), "[all_to_all] expected a count for each of the ",
        size(), " ranks, got ", from.size(), " and ", to.size());
  if (from.empty()) {
    check(in.numel() == out.numel() && in.numel() % size() == 0, "[all_to_all] expected as many elements as come in, a multiple of ",
          size(), ", got ", in.numel(), " and ", out.numel());
    from = to = std::vector<int64_t>(size_t(size()), in.numel() / size());
  }
  int64_t comes = 0, goes = 0;
  for (size_t r = 0; r < to.size(); ++r) comes += from[r], goes += to[r];
  check(comes == out.numel() && goes == in.numel(), "[all_to_all] the counts are of ", comes, " elements in and ", goes,
        " out, the tensors hold ", out.numel(), " and ", in.numel());
  if (size() == 1) {
    out.view(-1).copy_(in.view(-1));
    return;
  }
  const int64_t width = int64_t(in.element_size()), kept = to[size_t(rank())];
  for (auto& count : from) count *= width;
  for (auto& count : to) count *= width;
  run("all_to_all", size_of(in), size_of(in) - kept * width, [&] {
    Tensor out_bytes = bytes_of(out), in_bytes = bytes_of(in);
    transport_->all_to_all(out_bytes, in_bytes, from, to);
  });
}

void Group::send(const Tensor& x, int64_t to) {
  check_plain("send", x);
  check(to >= 0 && to < size() && to != rank(), "[send] expected another rank of ", size(), ", got ", to);
  run("send", size_of(x), size_of(x), [&] {
    Tensor bytes = bytes_of(x);
    transport_->send(bytes, to);
  });
}

void Group::receive(Tensor& x, int64_t from) {
  check_plain("receive", x);
  check(from >= 0 && from < size() && from != rank(), "[receive] expected another rank of ", size(), ", got ", from);
  run("receive", size_of(x), 0, [&] {
    Tensor bytes = bytes_of(x);
    transport_->receive(bytes, from);
  });
}

void Group::barrier() {
  run("barrier", 0, size() - 1, [&] {
    Tensor all = aten::zeros({size()}, at::TensorOptions().dtype(at::kByte).device(options_.device));
    Tensor one = aten::zeros({1}, all.options());
    transport_->all_gather(all, one);
    if (!all.is_cpu()) all = all.to(at::kCPU);
  });
}

// ---- numbers and texts ----

Tensor Group::on_device(std::span<const double> numbers) const {
  Tensor x = aten::empty({int64_t(numbers.size())}, at::kDouble);
  std::copy(numbers.begin(), numbers.end(), x.mutable_data_ptr<double>());
  return x.to(options_.device);
}

void Group::all_reduce(std::span<double> numbers, Reduce reduce) {
  if (size() == 1 || numbers.empty()) return;
  Tensor x = on_device(numbers);
  all_reduce(x, reduce);
  x = x.to(at::kCPU);
  std::copy_n(x.const_data_ptr<double>(), numbers.size(), numbers.begin());
}

void Group::broadcast(std::span<double> numbers, int64_t root) {
  if (size() == 1 || numbers.empty()) return;
  Tensor x = on_device(numbers);
  broadcast(x, root);
  x = x.to(at::kCPU);
  std::copy_n(x.const_data_ptr<double>(), numbers.size(), numbers.begin());
}

std::vector<std::string> Group::all_gather(const std::string& text) {
  if (size() == 1) return {text};
  std::vector<double> lengths(size_t(size()), 0.0);
  lengths[size_t(rank())] = double(text.size());
  all_reduce(lengths);
  const auto longest = int64_t(*std::max_element(lengths.begin(), lengths.end()));
  std::vector<std::string> out(static_cast<size_t>(size()));
  if (longest == 0) return out;
  Tensor in = aten::zeros({longest}, at::kByte),
         all = aten::zeros({size() * longest}, at::TensorOptions().dtype(at::kByte).device(options_.device));
  std::memcpy(in.mutable_data_ptr<uint8_t>(), text.data(), text.size());
  all_gather(all, in.to(options_.device));
  all = all.to(at::kCPU);
  for (size_t r = 0; r < out.size(); ++r)
    out[r].assign(reinterpret_cast<const char*>(all.const_data_ptr<uint8_t>()) + int64_t(r) * longest, size_t(lengths[r]));
  return out;
}

std::string Group::broadcast(const std::string& text, int64_t root) {
  return all_gather(rank() == root ? text : std::string())[size_t(root)];
}

// ---- one for all ----

void Group::first(const std::string& what, const std::function<void()>& work) {
  if (size() == 1) return work();
  const std::string key = str("first/", name(), "/", firsts_++);
  if (rank() == 0) {
    try {
      work();
    } catch (const Error& error) {
      world_->store->set(key, str(error.exit_code(), " ", error.what()), options_.timeout);
      throw;
    } catch (const std::exception& error) {
      world_->store->set(key, str(1, " ", error.what()), options_.timeout);
      throw;
    }
    world_->store->set(key, "0", options_.timeout);
    return;
  }
  std::string result;
  for (;;) {
    if (const auto found = world_->store->wait(key, 2 * kBeat, options_.timeout)) {
      result = *found;
      break;
    }
    const std::string missing = world_->pulse->missing(world_rank(0), options_.timeout);
    if (missing.empty()) continue;
    world_->failed = true;
    const std::string message = str("[dist] ", world_->names[size_t(world_->rank)], " waits for ", what, ": ", missing);
    world_->write_record(message);
    fail(message);
  }
  if (result == "0") return;
  const size_t space = result.find(' ');
  throw Error(result.substr(space + 1), static_cast<ErrorKind>(std::stoi(result.substr(0, space))));
}

void Group::post(const std::string& key, const std::string& words) {
  check(size() > 1, "[post] expected a group of several");
  world_->store->set(str("post/", name(), "/", key), words, options_.timeout);
}

std::optional<std::string> Group::posted(const std::string& key, int64_t from) {
  check(size() > 1, "[posted] expected a group of several");
  if (auto words = world_->store->get(str("post/", name(), "/", key), options_.timeout)) return words;
  const std::string missing = world_->pulse->missing(from, options_.timeout);
  if (!missing.empty()) fail("[dist] ", world_->names[size_t(world_->rank)], " waits for ", key, ": ", missing);
  return std::nullopt;
}

void Group::leave(const std::string& why) {
  if (size() == 1) return;
  world_->left = true;
  world_->pulse->leave(why);
  world_->write_record(why);
}

void Group::record_into(const std::filesystem::path& run_folder) {
  if (size() > 1) world_->folder = run_folder;
}

}  // namespace r1::dist
