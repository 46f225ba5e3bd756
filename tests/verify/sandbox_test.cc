#include "r1/verify/sandbox/sandbox.h"

#include <gtest/gtest.h>

#include <cstdio>

using namespace r1::verify::sandbox;

TEST(Sandbox, Layers) {
  for (const auto& s : examine()) std::printf("%s %d %s\n", layer_name(s.layer), s.available, s.detail.c_str());
}
TEST(Sandbox, Hello) {
  const Sandbox sandbox;
  Program p;
  p.argv = {"/usr/bin/python3", "-I", "-S", "-c", "import sys; print(sys.stdin.read().upper())"};
  p.input = "hello";
  const Outcome o = sandbox.run(p, {});
  std::printf("%s %d out=%s err=%s wall=%f cpu=%f mem=%ld %s\n", end_name(o.end), o.status, o.out.c_str(), o.err.c_str(), o.wall_seconds,
              o.cpu_seconds, o.peak_memory, o.reason.c_str());
}
