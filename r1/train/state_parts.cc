#include "r1/train/state_parts.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <numeric>
#include <utility>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/safetensors.h"

namespace r1::train {
namespace {

constexpr char kAt = '@';

int64_t elements_of(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

// "name@17" -> name, 17.
std::pair<std::string, int64_t> piece_name(const SafetensorsFile& file, const std::string& text) {
  const size_t at = text.rfind(kAt);
  int64_t begin = -1;
  const char* end = text.data() + text.size();
  if (at == std::string::npos || std::from_chars(text.data() + at + 1, end, begin).ptr != end || begin < 0)
    fail(file.name(), ": '", printable(text), "' is no piece of a tensor (name", kAt, "first element)");
  return {text.substr(0, at), begin};
}

// How many parts a folder's first one says there are; 0: there are none.
int64_t parts_in(const fs::path& checkpoint) {
  int64_t found = 0;
  for (const auto& entry : fs::directory_iterator(checkpoint)) {
    long long part = 0, parts = 0;
    const std::string name = entry.path().filename().string();
    if (std::sscanf(name.c_str(), "optimizer-%lld-of-%lld.", &part, &parts) == 2 && part > 0 && part <= parts &&
        name == optimizer_part(part - 1, parts))
      found = std::max<int64_t>(found, parts);
  }
  return found;
}

// Brought together when its turn comes, and let go with the next.
SafeSource source_of_whole(const StateSlot& slot) {
  SafeSource source = tensor::safe_source(slot.name, slot.part);
  source.shape = slot.shape;
  source.bytes = [whole = slot.whole, held = Tensor()]() mutable {
    held = whole().to(at::Device(at::kCPU)).contiguous();
    return std::span(static_cast<const std::byte*>(held.const_data_ptr()), held.nbytes());
  };
  return source;
}

}  // namespace

std::string optimizer_part(int64_t part, int64_t parts) {
  char text[80];
  std::snprintf(text, sizeof text, "optimizer-%05lld-of-%05lld.safetensors", static_cast<long long>(part + 1),
                static_cast<long long>(parts));
  return text;
}

std::vector<SafeSource> state_sources(const std::vector<StateSlot>& slots, bool shared, int64_t part, int64_t parts) {
  std::vector<SafeSource> sources;
  for (const StateSlot& slot : slots) {
    if (parts == 1) {
      sources.push_back(slot.whole ? source_of_whole(slot) : tensor::safe_source(slot.name, slot.part));
      continue;
    }
    const int64_t n = slot.own.size();
    const dist::Range piece = shared ? dist::Range{0, n} : dist::Range{n * part / parts, n * (part + 1) / parts};
    if (piece.size() == 0) continue;
    sources.push_back(
        tensor::safe_source(str(slot.name, kAt, slot.own.begin + piece.begin), slot.part.view(-1).narrow(0, piece.begin, piece.size())));
  }
  return sources;
}

std::map<std::string, std::string> part_metadata(int64_t step, int64_t part, int64_t parts) {
  return {{"step", std::to_string(step)}, {"part", std::to_string(part + 1)}, {"parts", std::to_string(parts)}};
}

StateParts::StateParts(const fs::path& checkpoint, int64_t step) {
  const int64_t parts = parts_in(checkpoint);
  files_.reserve(size_t(std::max<int64_t>(1, parts)));  // the pieces point into them
  if (parts == 0 && fs::exists(checkpoint / kOptimizerFile)) open(checkpoint / kOptimizerFile, std::nullopt);
  for (int64_t part = 0; part < parts; ++part) open(checkpoint / optimizer_part(part, parts), part_metadata(step, part, parts));
  for (auto& [name, pieces] : pieces_)
    std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.begin < b.begin; });
}

void StateParts::open(const fs::path& path, std::optional<std::map<std::string, std::string>> metadata) {
  if (!fs::exists(path)) fail(path.string(), " is missing: the optimizer's state is not whole");
  const SafetensorsFile& file = files_.emplace_back(SafetensorsFile::open(path));
  if (metadata) {
    for (const auto& [key, value] : *metadata) {
      const auto found = file.metadata().find(key);
      const std::string said = found == file.metadata().end() ? "nothing" : found->second;
      if (said != value) fail(path.string(), " belongs to another checkpoint: its ", key, " is ", printable(said), ", expected ", value);
    }
  }
  for (const SafeTensor& tensor : file.tensors()) {
    const auto [name, begin] = metadata ? piece_name(file, tensor.name) : std::pair(tensor.name, int64_t{0});
    pieces_[name].push_back({&file, &tensor, begin, begin + elements_of(tensor.shape)});
  }
}

void StateParts::fill(const std::vector<StateSlot>& slots) const {
  for (const StateSlot& slot : slots) {
    const auto found = pieces_.find(slot.name);
    check(found != pieces_.end(), "[optimizer] state lacks '", slot.name, "' (was the run trained with another optim or dtype?)");
    if (!slot.keep) {
      fill_slot(slot, found->second);
      continue;
    }
    StateSlot all = slot;
    all.part = aten::empty(slot.shape, at::kFloat);
    all.own = {0, all.part.numel()};
    fill_slot(all, found->second);
    slot.keep(all.part);
  }
  if (pieces_.size() == slots.size()) return;
  auto unknown = pieces_;
  for (const StateSlot& slot : slots) unknown.erase(slot.name);
  fail("[optimizer] state has ", unknown.size(), " tensors that this run does not know, e.g. '", unknown.begin()->first, "'");
}

void StateParts::fill_slot(const StateSlot& slot, const std::vector<Piece>& pieces) const {
  const int64_t n = elements_of(slot.shape);
  int64_t next = 0;
  for (const Piece& piece : pieces) {
    check(piece.begin == next, "[optimizer] state '", slot.name, "' is not whole: ", piece.file->name(), " goes on at element ",
          piece.begin, ", expected ", next);
    next = piece.end;
  }
  check(next == n, "[optimizer] state '", slot.name, "': expected shape ", at::IntArrayRef(slot.shape), " (", n, " elements), got ", next);
  const Tensor part = slot.part.view(-1);
  for (const Piece& piece : pieces) {
    const int64_t begin = std::max(piece.begin, slot.own.begin), end = std::min(piece.end, slot.own.end);
    if (begin >= end) continue;
    const Tensor values = tensor::read_safetensor(*piece.file, *piece.tensor, at::kFloat).view(-1);
    part.narrow(0, begin - slot.own.begin, end - begin).copy_(values.narrow(0, begin - piece.begin, end - begin));
  }
}

}  // namespace r1::train
