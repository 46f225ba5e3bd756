#include "r1/api/runs_times.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>

namespace r1::api {
namespace {

constexpr uint64_t kMaxRecord = 64 << 20;

// The leading fields of an Event: 1 is the wall time (double), 2 the step (varint). Others end the search.
bool read_head(std::string_view payload, double& time, double& step) {
  bool has_time = false, has_step = false;
  while (!payload.empty() && !(has_time && has_step)) {
    const char key = payload[0];
    payload.remove_prefix(1);
    if (key == 0x09 && payload.size() >= 8) {
      std::memcpy(&time, payload.data(), 8);
      payload.remove_prefix(8);
      has_time = true;
    } else if (key == 0x10) {
      uint64_t value = 0;
      int shift = 0;
      while (!payload.empty() && shift < 64) {
        const auto byte = uint8_t(payload[0]);
        payload.remove_prefix(1);
        value |= uint64_t(byte & 0x7F) << shift;
        shift += 7;
        if (byte < 0x80) break;
      }
      step = double(int64_t(value));
      has_step = true;
    } else {
      break;
    }
  }
  return has_time && has_step && std::isfinite(time) && time > 0;
}

}  // namespace

bool StepTimes::refresh(const OpenFile& file, int64_t most) {
  const FileStatus status = file.status();
  if (status.device != device_ || status.inode != inode_ || status.size < offset_) {
    device_ = status.device;
    inode_ = status.inode;
    offset_ = 0;
    steps_.clear();
  }
  constexpr int64_t kPiece = 1 << 20;
  while (most > 0) {
    const std::string piece = file.read(offset_, kPiece);
    std::string_view rest = piece;
    while (rest.size() >= 16) {
      uint64_t size = 0;
      std::memcpy(&size, rest.data(), 8);
      if (size > kMaxRecord) return false;  // damaged: what comes after has no beginning
      double time = 0, step = 0;
      if (rest.size() < std::min<uint64_t>(size + 16, 12 + 64)) break;  // the head is not there yet
      if (read_head(rest.substr(12, std::min<uint64_t>(size, 64)), time, step)) take(step, time);
      offset_ += int64_t(size) + 16;
      if (size + 16 > rest.size()) {
        rest = {};
        break;
      }
      rest.remove_prefix(size + 16);
    }
    const auto moved = int64_t(piece.size() - rest.size());
    most -= std::max<int64_t>(moved, 1);
    if (moved == 0 || int64_t(piece.size()) < kPiece) return false;
  }
  return true;
}

void StepTimes::take(double step, double time) {
  if (!steps_.empty() && steps_.back().first == step) return;
  while (!steps_.empty() && steps_.back().first >= step) steps_.pop_back();
  if (steps_.size() < kMaxSteps) steps_.emplace_back(step, time);
}

std::optional<double> StepTimes::at(double step) const {
  const auto after = std::lower_bound(steps_.begin(), steps_.end(), std::make_pair(step, -1.0));
  if (after == steps_.end()) return {};
  if (after->first == step) return after->second;
  if (after == steps_.begin()) return {};
  const auto& [s0, t0] = *(after - 1);
  return t0 + (after->second - t0) * (step - s0) / (after->first - s0);
}

}  // namespace r1::api
