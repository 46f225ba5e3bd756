#include "r1/plan/stages.h"

#include <algorithm>
#include <numeric>

namespace r1::plan {

double product_flops(const Layer& layer) {
  double flops = 0;
  for (const Product& p : layer.products) flops += 2 * p.in * p.out * (p.expert ? layer.experts_per_token : 1);
  return flops;
}

double attention_flops(const Layer& layer, double length) {
  // Tokens that one looks back to, in the mean; at the text's beginning there are fewer than the window has room for.
  const double window = layer.window > 0 ? std::min(layer.window, length) : length, seen = window - window * window / (2 * length);
  return 2 * layer.heads * (layer.qk_dim + layer.v_dim) * seen;
}

double Network::parameters() const {
  double sum = embedding + head + final_whole;
  for (const int kind : layers) sum += kinds[size_t(kind)].whole + kinds[size_t(kind)].split + kinds[size_t(kind)].expert;
  return sum;
}

double Network::active_parameters() const {
  double flops = 0;
  for (const int kind : layers) flops += product_flops(kinds[size_t(kind)]);
  return flops / 2 + double(1 + mtp_layers) * hidden * vocab;
}

double Network::model_flops_per_token(double length) const {
  double flops = 2 * double(1 + mtp_layers) * hidden * vocab;
  for (const int kind : layers) flops += product_flops(kinds[size_t(kind)]) + attention_flops(kinds[size_t(kind)], length);
  return 3 * flops;
}

Stages::Stages(const Network& network, const Job& job) : network_(network) {
  for (const int kind : network.layers) {
    const Layer& layer = network.kinds[size_t(kind)];
    costs_.push_back(product_flops(layer) + attention_flops(layer, double(job.sequence_length)));
  }
  costs_.push_back(2 * double(1 + network.mtp_layers) * network.hidden * network.vocab);
}

// Whether `parts` parts of at most `most` take all from `begin` on, filled one after the other; each takes a layer, and the last layer has
// the head beside it.
bool Stages::enough(size_t begin, int64_t parts, double most) const {
  const size_t layers = costs_.size() - 1;
  if (begin > layers || layers - begin < size_t(parts)) return parts == 0 && begin == layers;
  double filled = 0;
  int64_t used = 1;
  for (size_t i = begin; i < layers; ++i) {
    const double cost = costs_[i] + (i + 1 == layers ? costs_[layers] : 0);
    if (cost > most) return false;
    if (filled + cost > most) ++used, filled = 0;
    filled += cost;
  }
  return used <= parts;
}

const std::vector<int64_t>& Stages::ends(int64_t parts) const {
  const auto known = ends_.find(parts);
  if (known != ends_.end()) return known->second;
  const size_t layers = costs_.size() - 1;
  double low = *std::max_element(costs_.begin(), costs_.end()), high = std::accumulate(costs_.begin(), costs_.end(), 0.0);
  low = std::min(low, high);
  for (int i = 0; i < 40; ++i) {
    const double middle = (low + high) / 2;
    (enough(0, parts, middle) ? high : low) = middle;
  }
  const double most = high * (1 + 1e-9);
  std::vector<int64_t> ends;
  size_t at = 0;
  double left = std::accumulate(costs_.begin(), costs_.end(), 0.0);
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t after = parts - part - 1;
    const double mean = left / double(after + 1);
    double filled = 0;
    // On to the mean of what is left, and further where the parts after this one could not take the rest.
    while (at < layers && layers - at > size_t(after)) {
      const double next = costs_[at];
      if (filled > 0 && (filled + next > most || filled + next / 2 > mean) && enough(at, after, most)) break;
      filled += next;
      ++at;
    }
    left -= filled;
    ends.push_back(int64_t(at));
  }
  ends.back() = int64_t(layers);
  return ends_[parts] = ends;
}

std::vector<Share> Stages::shares(const Layout& l) const {
  const std::vector<int64_t>& all = ends(l.pp * l.virtual_stages);
  std::vector<Share> out(size_t(l.pp), Share{std::vector<double>(network_.kinds.size()), 0, 0});
  for (size_t part = 0; part < all.size(); ++part) {
    Share& share = out[part % size_t(l.pp)];
    for (int64_t layer = part ? all[part - 1] : 0; layer < all[part]; ++layer) ++share.layers[size_t(network_.layers[size_t(layer)])];
  }
  ++out.front().embeddings;
  ++out.back().heads;
  if (l.schedule != Schedule::kDualPipe) return out;
  std::vector<Share> both = out;
  for (size_t r = 0; r < out.size(); ++r) {
    const Share& other = out[out.size() - 1 - r];
    for (size_t k = 0; k < other.layers.size(); ++k) both[r].layers[k] += other.layers[k];
    both[r].embeddings += other.embeddings;
    both[r].heads += other.heads;
  }
  return both;
}

}  // namespace r1::plan
