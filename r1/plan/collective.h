// Bytes and seconds of the collectives. Bytes are what one rank sends; rings and pairwise exchanges send (n - 1) / n of the whole.
#pragma once

#include "r1/plan/hardware.h"

namespace r1::plan {

// A group's ranks are `stride` apart.
struct Group {
  int64_t size = 1, stride = 1;
};
// Of its ranks, those in one node.
int64_t ranks_in_node(const Cluster& cluster, const Group& group);

struct Transfer {
  double bytes = 0, seconds = 0;
};

// `bytes`: of the whole tensor, as it is after the gather or before the scatter. A ring that crosses nodes leaves each by all the cards of
// its ranks there.
Transfer gather_or_scatter(const Cluster& cluster, const Group& group, double bytes);
Transfer all_reduce(const Cluster& cluster, const Group& group, double bytes);  // a scatter and a gather
Transfer point_to_point(const Cluster& cluster, int64_t distance, double bytes);
// `rows` of `row_bytes` each leave for ranks picked evenly.
Transfer all_to_all(const Cluster& cluster, const Group& group, double rows, double row_bytes);
// The same where `tokens` have several rows each, and a token crosses to each other node that it has rows for once: to `remote_nodes` in
// the mean. Within the node the rows go on by NVLink.
Transfer node_all_to_all(const Cluster& cluster, const Group& group, double tokens, double remote_nodes, double rows, double row_bytes);

}  // namespace r1::plan
