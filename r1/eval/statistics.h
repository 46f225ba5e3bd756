// Estimators that evaluation reports. Sources: Chen et al. 2021, "Evaluating Large Language Models Trained on Code", eq. 1 (pass@k);
// Wilson 1927 (interval of a proportion); Korn and Graubard 1998 (effective sample size); McNemar 1947; Miller 2024, "Adding Error Bars to Evals" (problems are the clusters when there are several
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

// 95 % interval of the mean of per-problem scores in [0, 1], each the mean of its problem's samples (`samples` in all). Problems are the
// clusters: Wilson's interval for as many independent samples as the spread between problems speaks for. One sample of 0 or 1 a problem:
// Wilson's interval itself.
std::pair<double, double> clustered_interval(const std::vector<double>& per_problem, size_t samples);

// Two models on the same problems. McNemar's exact test: of the problems that one of them alone solves, `only_a` and `only_b`, the
// probability of so uneven a share (two-sided) if neither is better.
double mcnemar_exact(int64_t only_a, int64_t only_b);
// Mean of per-problem differences, its 95 % interval and two-sided p by resampling problems (10,000 times, from a fixed seed).
struct PairedBootstrap {
  double mean = 0, low = 0, high = 0, p = 1;
};
PairedBootstrap paired_bootstrap(const std::vector<double>& differences);

// "0.345", "1.00", "12.3", "123", "1234": three digits, and what stands before the point whole.
std::string three_digits(double x);

// The most frequent answer (first seen wins a tie); empty answers don't vote.
std::string majority(const std::vector<std::string>& answers);

}  // namespace r1::eval
