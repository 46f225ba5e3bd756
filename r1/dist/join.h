// From a started process to a group: the ranks meet at the store, find out that they are all there, once each, and were started alike, and
// connect. Whatever is wrong is one error on every rank that is there, within the timeout.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "r1/dist/group.h"
#include "r1/dist/ranks.h"

namespace r1::dist {

struct JoinOptions {
  double timeout = 600;          // seconds for each operation
  double start_timeout = 600;    // seconds for all ranks to come
  std::string backend = "auto";  // auto: nccl on GPUs, else gloo
  tensor::Device device = at::kCPU;
  bool deterministic = true;
  // What must be the same everywhere, by name ("program", "config"); long values are compared and not shown.
  std::map<std::string, std::string> same = {};
};

// A group of one, with no store, where ranks.size is 1.
std::unique_ptr<Group> join(const Ranks& ranks, const JoinOptions& options);

}  // namespace r1::dist
