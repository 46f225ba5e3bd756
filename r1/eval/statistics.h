// Estimators that evaluation reports. Sources: Chen et al. 2021, "Evaluating Large Language Models Trained on Code", eq. 1 (pass@k);
// Wilson 1927 (interval of a proportion); Miller 2024, "Adding Error Bars to Evals" (problems are the clusters when there are several
// samples each).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace r1::eval {

// Unbiased estimate that at least one of k samples is right, from n samples with c right: 1 - C(n-c, k) / C(n, k).
double pass_at_k(int64_t n, int64_t c, int64_t k);

// 95 % interval of a proportion: `right` of `n`.
std::pair<double, double> wilson_interval(double right, double n);

// 95 % interval of the mean of per-problem scores (each the mean of its samples), clipped to [0, 1].
std::pair<double, double> mean_interval(const std::vector<double>& per_problem);

// The most frequent answer (first seen wins a tie); empty answers don't vote.
std::string majority(const std::vector<std::string>& answers);

}  // namespace r1::eval
