// What a layer whose work is shared out among ranks has to do so that nobody outside notices (tensor parallelism; Shoeybi et al., Megatron-LM,
// arXiv 1909.08053, section 3, where the two are f and g). A layer's first matrices are cut along their outputs, its last one along its inputs:
//
//   y = sum over ranks r of  W_out[r] act(W_in[r] x)  + b
//
//   shared(x)   x itself; its gradient is the sum of the ranks'. What all ranks have alike passes it on the way into their shares: x, and
//               whatever else meets them there (gates, norms of heads, latents).
//   summed(y)   the sum over the ranks; its gradient is each rank's.
//
// Then all that lies outside of the two is the same on every rank, values and gradients, bit for bit: residual stream, norms, routers, latents'
// projections; their rows of the weight table have no shard axis and need no exchange. A bias of the sum is added behind it, so it counts once.
// Sums are taken in the order of the ranks (dist/group.h). With `ranks` null or of one nothing happens and nothing is paid.
#pragma once

#include "r1/nn/linear.h"

namespace r1::dist {
class Group;
}
namespace r1::ops {
struct HeadShare;
}

namespace r1::nn {

bool is_shared_out(const dist::Group* ranks);

Tensor shared(const Tensor& x, dist::Group* ranks);
Tensor summed(const Tensor& y, dist::Group* ranks);
// map(x) of a map that is cut along its inputs; its bias is whole on every rank.
Tensor summed(const Linear& map, const Tensor& x_TI, dist::Group* ranks);

// A weight (or bias) of which there are fewer parts than ranks, so that each `copies` ranks in a row hold the same one (heads of keys and
// values): w itself; its gradient is the sum over the ranks that hold it.
Tensor shared_by_neighbours(const Tensor& w, int64_t copies, dist::Group* ranks);

// A matrix [V, D] of rows by token, of which each rank has an equal part in order: the first token of this one's.
int64_t first_token(int64_t rows, const dist::Group* ranks);
// Rows of such a matrix by token; what a rank lacks comes from the one that has it.
Tensor shared_lookup(const Weight& weight_VD, const Tensor& ids_T, dist::Group* ranks);
// As a head: for ops::linear_logprob of shared(x).
ops::HeadShare head_share(int64_t rows, dist::Group* ranks);
// Its logits [R, V / ranks] -> those of all tokens [R, V], on every rank. No gradient.
Tensor gathered_logits(const Tensor& logits_RV, dist::Group* ranks);

}  // namespace r1::nn
