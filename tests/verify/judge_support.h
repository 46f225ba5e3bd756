// What the judge's test files share: one problem in every kind of Python suite, and checks run a few at a time.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "r1/verify/judge/judge.h"

namespace r1::verify::judge {

// body(i) for i < n on two threads; failures are reported through gtest, which is thread-safe.
inline void two_at_a_time(size_t n, const std::function<void(size_t)>& body) {
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i; (i = next++) < n;) body(i);
  };
  std::thread other(work);
  work();
  other.join();
}

struct NamedSuite {
  const char* name;
  Suite suite;
};

// The problem: f(x) is x + 1 for ints and the reversed text for texts. Tests that a constant, a copy of the argument or an object of the
// program's own making cannot pass.
inline std::vector<NamedSuite> suites_of_f() {
  const std::string body =
      "    assert f(1) == 2\n    assert f(41) == 42\n    assert f('ab') == 'ba'\n    assert abs(f(2) - 3) < 1e-6\n    assert f(5) > 5\n"
      "    assert f('xy').startswith('y')\n    assert 'q' in f('qr')\n    assert f(7) in (8, 9)\n    assert not f(-1)\n    assert "
      "len(f('abc')) == 3\n";
  std::vector<NamedSuite> out;
  out.push_back(
      {"calls",
       {.kind = Suite::Kind::kCalls,
        .tests = {{.input = "[1]", .expected = "2"}, {.input = "[41]", .expected = "42"}, {.input = "[\"ab\"]", .expected = "\"ba\""}},
        .entry = "f"}});
  std::string check = "def check(candidate):\n    f = candidate\n" + body;
  out.push_back({"check", {.kind = Suite::Kind::kCheck, .entry = "f", .code = check}});
  Suite asserts{.kind = Suite::Kind::kAsserts};
  for (const char* statement : {"assert f(1) == 2", "assert abs(f(2) - 3) < 1e-6", "assert f(5) > 5", "assert f('xy').startswith('y')",
                                "assert 'q' in f('qr') and f('qr') != 'qr'", "assert not f(-1) and f(-2)",
                                "assert sorted(f('cba')) == ['a', 'b', 'c'] and f('ab') == 'ba'"})
    asserts.tests.push_back({.input = statement});
  out.push_back({"asserts", asserts});
  out.push_back({"pytest",
                 {.kind = Suite::Kind::kUnit,
                  .files = {{"test_f.py", "import pytest\nfrom solution import f\n\ndef test_all():\n" + body +
                                              "\n@pytest.mark.parametrize('x, y', [(1, 2), (3, 4), ('uv', 'vu')])\ndef test_pairs(x, y):\n"
                                              "    assert f(x) == y\n\ndef test_close():\n    assert f(1.5) == pytest.approx(2.5)\n"}}}});
  out.push_back(
      {"star import",
       {.kind = Suite::Kind::kUnit,
        .files = {{"test_f.py", "import pytest\nfrom solution import *\n\ndef test_all():\n" + body +
                                    "\ndef test_raises():\n    assert f(1) == 2\n    with pytest.raises((TypeError, AttributeError)):\n"
                                    "        f(None)\n"}}}});
  out.push_back(
      {"unittest",
       {.kind = Suite::Kind::kUnit,
        .files = {{"test_f.py",
                   "import unittest\nimport solution\n\nclass TestF(unittest.TestCase):\n    def test_equal(self):\n"
                   "        self.assertEqual(solution.f(1), 2)\n    def test_close(self):\n"
                   "        self.assertAlmostEqual(solution.f(2), 3)\n    def test_greater(self):\n"
                   "        self.assertGreater(solution.f(5), 5)\n    def test_in(self):\n        self.assertIn('q', solution.f('qr'))\n   "
                   "     self.assertNotEqual(solution.f('qr'), 'qr')\n"
                   "    def test_false(self):\n        self.assertFalse(solution.f(-1))\n        self.assertTrue(solution.f(-2))\n"}}}});
  return out;
}

inline std::string shown(const Report& report) {
  std::string out = std::string(verdict_name(report.verdict)) + ": " + report.detail;
  for (const TestReport& t : report.tests) out += "\n    " + t.name + ": " + verdict_name(t.verdict) + " " + t.detail.substr(0, 300);
  return out;
}

}  // namespace r1::verify::judge
