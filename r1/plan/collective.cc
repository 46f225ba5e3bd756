#include "r1/plan/collective.h"

#include <algorithm>

namespace r1::plan {

int64_t ranks_in_node(const Cluster& cluster, const Group& group) {
  return std::clamp<int64_t>(cluster.gpus_per_node / group.stride, 1, group.size);
}

namespace {

double nvlink(const Cluster& c) {
  return c.gpu.nvlink_bandwidth * kEfficiency.nvlink;
}
double network(const Cluster& c) {
  return c.gpu.network_bandwidth * kEfficiency.network;
}

// Bytes a second that a rank of a ring sends on, and how long its steps take to begin: within nodes one step a rank, between them as many
// as there are nodes (NCCL's trees have fewer).
struct Ring {
  double bandwidth, latency;
};

Ring ring_of(const Cluster& c, const Group& group) {
  const int64_t here = ranks_in_node(c, group);
  const double inside = double(here - 1) * c.gpu.nvlink_latency_seconds;
  if (here == group.size) return {nvlink(c), inside};
  const double cards = double(here) * network(c);
  const int64_t nodes = group.size / here;
  return {here > 1 ? std::min(nvlink(c), cards) : cards, inside + double(nodes - 1) * c.gpu.network_latency_seconds};
}

}  // namespace

Transfer gather_or_scatter(const Cluster& c, const Group& group, double bytes) {
  if (group.size <= 1 || bytes <= 0) return {};
  const Ring ring = ring_of(c, group);
  const double sent = bytes * double(group.size - 1) / double(group.size);
  return {sent, sent / ring.bandwidth + ring.latency};
}

Transfer all_reduce(const Cluster& c, const Group& group, double bytes) {
  const Transfer one = gather_or_scatter(c, group, bytes);
  return {2 * one.bytes, 2 * one.seconds};
}

Transfer point_to_point(const Cluster& c, int64_t distance, double bytes) {
  if (bytes <= 0) return {};
  const bool inside = distance < c.gpus_per_node;
  return {bytes, inside ? bytes / nvlink(c) + c.gpu.nvlink_latency_seconds : bytes / network(c) + c.gpu.network_latency_seconds};
}

Transfer all_to_all(const Cluster& c, const Group& group, double rows, double row_bytes) {
  if (group.size <= 1) return {};
  const double here = double(ranks_in_node(c, group)), n = double(group.size), bytes = rows * row_bytes;
  const double inside = bytes * (here - 1) / n, outside = bytes * (n - here) / n;
  const double latency = outside > 0 ? c.gpu.network_latency_seconds : c.gpu.nvlink_latency_seconds;
  return {inside + outside, std::max(inside / nvlink(c), outside / network(c)) + latency};
}

Transfer node_all_to_all(const Cluster& c, const Group& group, double tokens, double remote_nodes, double rows, double row_bytes) {
  const double here = double(ranks_in_node(c, group)), n = double(group.size);
  if (group.size <= 1 || here == n) return all_to_all(c, group, rows, row_bytes);
  const double outside = tokens * remote_nodes * row_bytes, inside = rows * row_bytes * (here - 1) / here;
  return {outside + inside,
          std::max(inside / nvlink(c), outside / network(c)) + c.gpu.network_latency_seconds + c.gpu.nvlink_latency_seconds};
}

}  // namespace r1::plan
