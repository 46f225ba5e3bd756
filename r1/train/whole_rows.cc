#include "r1/train/whole_rows.h"

#include "r1/base/error.h"
#include "r1/model/shard.h"
#include "r1/tensor/aten.h"

namespace r1::train {
namespace {

// What the first rank says beside the number of a part.
constexpr double kDone = -1, kFault = -2;

}  // namespace

void WholeRows::together(std::vector<Part> parts, std::function<std::string()> fault, const std::function<void()>& work) {
  parts_ = std::move(parts);
  own_fault_ = std::move(fault);
  if (!ranks_) return work();
  if (ranks_->rank() > 0) return answer();
  under_way_ = true;
  const auto end = [&] {
    under_way_ = false;
    ask(kDone);
  };
  try {
    work();
  } catch (...) {
    try {
      end();
    } catch (const std::exception&) {  // the group itself has failed: the first word counts
    }
    throw;
  }
  end();
}

void WholeRows::ask(double what) {
  double said[1] = {what};
  ranks_->broadcast(said);
}

void WholeRows::answer() {
  for (;;) {
    double said[1] = {0};
    ranks_->broadcast(said);
    if (said[0] == kDone) return;
    if (said[0] == kFault)
      gather_faults();
    else
      collect(parts_.at(size_t(said[0])));
  }
}

Tensor WholeRows::whole(size_t i) {
  const Part& part = parts_.at(i);
  if (!ranks_ || !model::is_split(*part.row)) return part.tensor.detach();
  check(under_way_, "[trainer] ", part.row->name, " lies in parts on ", ranks_->size(), " ranks, which save it together (with_whole_rows)");
  ask(double(i));
  return collect(part);
}

std::string WholeRows::fault() {
  if (!ranks_) return own_fault_ ? own_fault_() : "";
  check(under_way_, "[trainer] ranks that share a model look at it together (with_whole_rows)");
  ask(kFault);
  return gather_faults();
}

std::string WholeRows::gather_faults() {
  for (const std::string& said : ranks_->all_gather(own_fault_()))
    if (!said.empty()) return said;
  return "";
}

Tensor WholeRows::collect(const Part& part) {
  const Tensor own = part.tensor.detach().contiguous();
  if (ranks_->rank() > 0) {
    ranks_->send(own, 0);
    return {};
  }
  const Tensor whole = aten::empty(part.row->whole_shape, own.options());
  Tensor other = aten::empty(own.sizes(), own.options());
  for (int64_t rank = 0; rank < ranks_->size(); ++rank) {
    if (rank > 0) ranks_->receive(other, rank);
    model::place_shard(*part.row, whole, rank > 0 ? other : own, {rank, ranks_->size()});
  }
  return whole;
}

}  // namespace r1::train
