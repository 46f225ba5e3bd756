#include "r1/eval/statistics.h"

#include <algorithm>
#include <cmath>

#include "r1/base/error.h"

namespace r1::eval {

double pass_at_k(int64_t n, int64_t c, int64_t k) {
  check(k >= 1 && k <= n && c >= 0 && c <= n, "[pass_at_k] expected 1 <= k <= n and 0 <= c <= n, got n=", n, " c=", c, " k=", k);
  if (n - c < k) return 1.0;
  double none = 1.0;  // C(n-c, k) / C(n, k) as a product that can't overflow
  for (int64_t i = n - c + 1; i <= n; ++i) none *= 1.0 - double(k) / double(i);
  return 1.0 - none;
}

std::pair<double, double> wilson_interval(double right, double n) {
  if (n <= 0) return {0.0, 1.0};
  const double z = 1.959963984540054, p = right / n, z2 = z * z;
  const double middle = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half = z / (1 + z2 / n) * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  // Ends that are exactly 0 and 1 by the formula stay so after rounding.
  return {right <= 0 ? 0.0 : std::max(0.0, middle - half), right >= n ? 1.0 : std::min(1.0, middle + half)};
}

std::pair<double, double> mean_interval(const std::vector<double>& per_problem) {
  const double n = double(per_problem.size());
  if (n < 2) return {0.0, 1.0};
  double mean = 0, square = 0;
  for (double x : per_problem) mean += x;
  mean /= n;
  for (double x : per_problem) square += (x - mean) * (x - mean);
  const double half = 1.959963984540054 * std::sqrt(square / (n - 1) / n);
  return {std::max(0.0, mean - half), std::min(1.0, mean + half)};
}

std::string majority(const std::vector<std::string>& answers) {
  std::string best;
  int64_t most = 0;
  for (const auto& answer : answers) {
    const int64_t votes = answer.empty() ? 0 : std::count(answers.begin(), answers.end(), answer);
    if (votes > most) most = votes, best = answer;
  }
  return best;
}

}  // namespace r1::eval
