#include "r1/dist/mesh.h"

#include <gtest/gtest-spi.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <thread>

#include "r1/base/file.h"
#include "r1/base/interrupt.h"
#include "r1/tensor/aten.h"
#include "tests/dist/processes.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace r1::dist {
namespace {

// What a rank puts in place r of a tensor of n.
double value(int64_t rank, int64_t i) {
  return double(rank + 1) * 0.1 + double(i % 7) / 3;
}
Tensor values(int64_t rank, int64_t n, at::ScalarType dtype = at::kFloat) {
  Tensor x = aten::empty({n}, at::kDouble);
  for (int64_t i = 0; i < n; ++i) x.mutable_data_ptr<double>()[i] = value(rank, i);
  return x.to(dtype);
}

bool same(const Tensor& a, const Tensor& b) {
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() && a.equal(b);
}

void check_sums(Group& group, bool ordered) {
  for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    for (const int64_t n : {1, 5, 1024, 1025, 100'003}) {
      Tensor x = values(group.rank(), n, dtype), want = values(0, n, dtype).to(dtype == at::kDouble ? at::kDouble : at::kFloat);
      for (int64_t r = 1; r < group.size(); ++r) want.add_(values(r, n, dtype));
      group.all_reduce(x);
      if (ordered)
        EXPECT_TRUE(same(x, want.to(dtype))) << n << " of " << dtype;
      else
        EXPECT_LT((x.to(at::kDouble) - want.to(at::kDouble)).abs().max().item<double>(), dtype == at::kBFloat16 ? 0.05 : 1e-5);
      Tensor most = values(group.rank(), n, dtype);
      group.all_reduce(most, Reduce::kMax);
      EXPECT_TRUE(same(most, values(group.size() - 1, n, dtype)));
    }
  }
}

SCENARIO(collectives) {
  in_group(ranks, {.timeout = 20}, [](Group& group) {
    const int64_t rank = group.rank(), size = group.size(), n = 6;
    check_sums(group, true);
    Tensor x = values(rank, n, at::kLong);
    group.broadcast(x, size - 1);
    EXPECT_TRUE(same(x, values(size - 1, n, at::kLong)));
    Tensor all = aten::empty({size, n});
    group.all_gather(all, values(rank, n));
    for (int64_t r = 0; r < size; ++r) EXPECT_TRUE(same(all[r], values(r, n)));
    // Part p of what rank r scatters begins at element p * n.
    Tensor part = aten::empty({n}), sum = aten::zeros({n});
    group.reduce_scatter(part, values(rank, n * size));
    for (int64_t r = 0; r < size; ++r) sum.add_(values(r, n * size).narrow(0, rank * n, n));
    EXPECT_TRUE(same(part, sum));
    // Rank r sends r + 1 elements to everybody, valued by (sender, receiver).
    std::vector<int64_t> from, to(size_t(size), rank + 1);
    Tensor in = aten::empty({(rank + 1) * size}, at::kInt), out = aten::empty({size * (size + 1) / 2}, at::kInt);
    for (int64_t r = 0; r < size; ++r) {
      from.push_back(r + 1);
      in.narrow(0, r * (rank + 1), rank + 1).fill_(rank * 10 + r);
    }
    group.all_to_all(out, in, from, to);
    for (int64_t r = 0, at = 0; r < size; at += ++r) {
      EXPECT_TRUE(same(out.narrow(0, at, r + 1), aten::full({r + 1}, r * 10 + rank, at::kInt)));
    }
    Tensor ring = values(rank, n), next = aten::empty({n});
    if (rank % 2 == 0) group.send(ring, (rank + 1) % size);
    group.receive(next, (rank + size - 1) % size);
    if (rank % 2 == 1) group.send(ring, (rank + 1) % size);
    EXPECT_TRUE(same(next, values((rank + size - 1) % size, n)));
    group.barrier();
    double numbers[2] = {double(rank), 1};
    group.all_reduce(numbers);
    EXPECT_EQ(numbers[0], double(size * (size - 1) / 2));
    EXPECT_EQ(numbers[1], double(size));
    double most[1] = {rank == 0 ? NAN : 3.0};  // a number that is none is not lost on the way
    group.all_reduce(most);
    EXPECT_TRUE(std::isnan(most[0]));
    const auto texts = group.all_gather(std::string(size_t(rank) * 3, char('a' + rank)));
    for (int64_t r = 0; r < size; ++r) EXPECT_EQ(texts[size_t(r)], std::string(size_t(r) * 3, char('a' + r)));
    EXPECT_EQ(group.broadcast(rank == 1 ? "words" : "", 1), "words");
    int worked = 0;
    group.first("work", [&] { ++worked; });
    EXPECT_EQ(worked, rank == 0);
    const std::string refused = message_of([&] { group.first("more", [] { fail_usage("no more"); }); });
    EXPECT_EQ(refused, "no more");
    Tensor big = values(rank, 400'000);
    const int64_t before = group.bytes_sent();
    group.all_reduce(big);
    EXPECT_EQ(group.bytes_sent() - before, 2 * (size - 1) * 400'000 * 4 / size);  // as a ring
  });
}

// Two rows of two: ranks 0 1 and 2 3 share a model, 0 2 and 1 3 the batch.
SCENARIO(mesh) {
  in_group(ranks, {.timeout = 20}, [](Group& world) {
    {
      Mesh mesh(world, 2);
      EXPECT_EQ(mesh.tensor().size(), 2);
      EXPECT_EQ(mesh.tensor().rank(), world.rank() % 2);
      EXPECT_EQ(mesh.data().rank(), world.rank() / 2);
      double row[1] = {double(world.rank())}, column[1] = {double(world.rank())};
      mesh.tensor().all_reduce(row);
      mesh.data().all_reduce(column);
      EXPECT_EQ(row[0], world.rank() < 2 ? 1 : 5);
      EXPECT_EQ(column[0], world.rank() % 2 == 0 ? 2 : 4);
      // The first of a part is the first of its own members.
      int worked = 0;
      mesh.tensor().first("work", [&] { ++worked; });
      EXPECT_EQ(worked, mesh.tensor().rank() == 0);
    }
    Mesh lines(world, 1), column(world, 4);
    EXPECT_EQ(&lines.data(), &world);
    EXPECT_EQ(lines.tensor().size(), 1);
    EXPECT_EQ(&column.tensor(), &world);
    EXPECT_EQ(column.data().size(), 1);
    EXPECT_NE(message_of([&] { Mesh(world, 3); }).find("expected a divisor of the 4 ranks, got 3"), std::string::npos);
    EXPECT_NE(message_of([&] { world.part("odd", {0, 9}); }).find("in rising order"), std::string::npos);
  });
}

// A rank that is lost is named by its number in the world, and in its own group.
SCENARIO(lost_in_mesh) {
  in_group(ranks, {.timeout = 2, .start_timeout = 30}, [](Group& world) {
    Mesh mesh(world, 2);
    world.barrier();
    if (world.rank() == 3) raise(SIGKILL);
    mesh.tensor().barrier();
    world.barrier();
  });
}

SCENARIO(backend_order) {
  in_group(ranks, {.timeout = 20, .deterministic = false}, [](Group& group) { check_sums(group, false); });
}

// "all_reduce stop": the last rank kills or stops itself when the others come to that operation.
SCENARIO(fault) {
  const std::string operation = argument.substr(0, argument.find(' ')), how = argument.substr(argument.find(' ') + 1);
  in_group(ranks, {.timeout = 2, .start_timeout = 30}, [&](Group& group) {
    Tensor x = values(group.rank(), 5000), all = aten::empty({group.size() * 5000});
    group.record_into(fs::path(std::getenv("R1_TEST_FOLDER")));
    group.all_reduce(x);
    group.barrier();
    if (group.rank() == group.size() - 1) {
      if (how == "leave") fail("the disk is full");
      raise(how == "kill" ? SIGKILL : SIGSTOP);
    }
    if (operation == "all_reduce") group.all_reduce(x);
    if (operation == "broadcast") group.broadcast(x, group.size() - 1);
    if (operation == "all_gather") group.all_gather(all, x);
    if (operation == "barrier") group.barrier();
  });
}

// Rank 0 is killed or stopped while the others wait for its work, or works for longer than an operation may take.
SCENARIO(first) {
  in_group(ranks, {.timeout = 1, .start_timeout = 30}, [&](Group& group) {
    group.first("the work", [&] {
      if (argument == "kill") raise(SIGKILL);
      if (argument == "stop") raise(SIGSTOP);
      std::this_thread::sleep_for(std::chrono::milliseconds(2500));
    });
  });
}

SCENARIO(meeting) {
  JoinOptions options{
      .timeout = 5, .start_timeout = argument == "absent" ? 2.0 : 10.0, .same = {{"program", "r1 1"}, {"learning_rate", "1"}}};
  if (ranks.rank == 1) {
    if (argument == "absent") std::_Exit(0);
    if (argument == "setting") options.same["learning_rate"] = "2";
    if (argument == "rank_1_alone") options.same["shape.rope_theta"] = "100";
    if (argument == "size") ranks.size = 3;
    if (argument == "twice") ranks.rank = 0;
  }
  if (ranks.rank == 0 && argument == "rank_0_alone") options.same["shape.rope_theta"] = "100";
  in_group(ranks, options, [](Group& group) { group.barrier(); });
}

SCENARIO(second_time) {
  in_group(ranks, {.timeout = 5}, [&](Group& group) {
    group.barrier();
    if (ranks.attempt == "0" && ranks.rank == 1) raise(SIGKILL);
    group.barrier();
    std::fprintf(stderr, "done in attempt %s\n", ranks.attempt.c_str());
  });
}

SCENARIO(asleep) {
  in_group(ranks, {.timeout = 60}, [](Group& group) {
    group.barrier();
    if (group.rank() == 1) raise(SIGSTOP);
    group.barrier();
  });
}

// "200000 20": so many lines of so many bytes from rank 1, which then fails if `argument` ends with "fail".
SCENARIO(talks) {
  long lines = 0, bytes = 0;
  std::sscanf(argument.c_str(), "%ld %ld", &lines, &bytes);
  if (ranks.rank == 1) {
    const std::string line = std::string(size_t(bytes), 'x') + "\n";
    for (long i = 0; i < lines; ++i) std::fputs(line.c_str(), stderr);
    std::fputs("the last words", stderr);
    if (argument.ends_with("fail")) std::_Exit(3);
  }
}

// A rank that ends at once when it is asked to, and one that has a report to write.
SCENARIO(stops) {
  if (ranks.rank == 1) std::_Exit(130);
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  std::fputs("the report is written\n", stderr);
  std::_Exit(130);
}

// Two meetings of one process, as of two stages: under a launcher that holds the store its keys outlive the first.
SCENARIO(meets_twice) {
  for (const double number : {1.0, 2.0}) {
    const auto group = join(ranks, {.timeout = 20});
    double sum[1] = {number};
    group->all_reduce(sum);
    EXPECT_EQ(sum[0], 2 * number);
  }
}

// A launcher in a process of its own, which its ranks can do things to: `argument` is their scenario.
SCENARIO(launcher) {
  char program[4096] = "";
  if (readlink("/proc/self/exe", program, sizeof program - 1) < 0) std::_Exit(9);
  const EnvironmentVariable which("R1_TEST_SCENARIO", argument);
  std::_Exit(launch({.processes = 2, .max_restarts = 1, .timeout = 20, .program = program, .arguments = {"--gtest_brief=1"}}));
}

// Longer than a store is waited for, while rank 0 works for all.
SCENARIO(stops_its_launcher) {
  in_group(ranks, {.timeout = 20}, [](Group& group) {
    for (int turn = 0; turn < 2; ++turn) {
      group.first("work", [&] {
        kill(getppid(), SIGSTOP);
        std::this_thread::sleep_for(std::chrono::duration<double>(turn == 0 ? kAnswer + 1 : 0.1));
        std::thread([] {
          std::this_thread::sleep_for(std::chrono::milliseconds(300));
          kill(getppid(), SIGCONT);
        }).detach();
      });
    }
    group.barrier();
  });
}

SCENARIO(signals_its_launcher) {
  install_interrupt_handler(false);
  in_group(ranks, {.timeout = 20}, [](Group& group) {
    group.barrier();
    if (group.rank() == 1) kill(getppid(), SIGTERM);
    for (int i = 0; i < 1000 && !interrupted(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    throw_if_interrupted();
  });
}

// Rank 1 waits for a rank 0 that never comes, or rank 0 for rank 1, and is asked to stop meanwhile.
SCENARIO(waits_in_vain) {
  install_interrupt_handler(false);
  if (argument == std::to_string(ranks.rank)) std::_Exit(130);
  std::thread([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    raise(SIGTERM);
  }).detach();
  in_group(ranks, {.timeout = 5, .start_timeout = 60}, [](Group& group) { group.barrier(); });
}

void leave_pid(const char* name) {
  write_file_atomic(fs::path(std::getenv("R1_TEST_FOLDER")) / name, std::to_string(getpid()));
}

// Rank 1 has started another process in its group, and then the launcher is killed, or the rank ends.
SCENARIO(leaves_a_child) {
  in_group(ranks, {.timeout = 20}, [&](Group& group) {
    leave_pid(group.rank() == 0 ? "rank_0" : "rank_1");
    if (group.rank() == 1 && fork() == 0) {
      if (!argument.empty()) setsid();
      leave_pid("child");
      for (;;) pause();
    }
    while (!fs::exists(fs::path(std::getenv("R1_TEST_FOLDER")) / "child")) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    group.barrier();
  });
}
SCENARIO(kills_its_launcher) {
  in_group(ranks, {.timeout = 20}, [&](Group& group) {
    leave_pid(group.rank() == 0 ? "rank_0" : "rank_1");
    group.barrier();
    if (group.rank() == 0) kill(getppid(), SIGKILL);
    for (;;) pause();
  });
}

TEST(Group, OfOneDoesNothing) {
  Group group;
  Tensor x = values(0, 4), y = aten::empty({4});
  group.all_reduce(x);
  group.broadcast(x);
  group.all_gather(y, x);
  EXPECT_TRUE(same(x, y));
  EXPECT_TRUE(same(x, values(0, 4)));
  group.barrier();
  EXPECT_EQ(group.all_gather("a"), std::vector<std::string>{"a"});
  EXPECT_EQ(group.bytes_sent(), 0);
  EXPECT_NE(message_of([&] { group.send(x, 0); }).find("expected another rank of 1"), std::string::npos);
}

// What the tests below lean on: a rank that fails, or comes to nothing, is not a success.
SCENARIO(fails) {
  in_group(ranks, {.timeout = 20}, [](Group& group) { EXPECT_NE(group.rank(), 1); });
}
TEST(RankProcess, ThatFailsOrRunsNothingIsNoSuccess) {
  EXPECT_EQ(run_ranks("fails", 2).code, 9);
  const EnvironmentVariable threads("OMP_NUM_THREADS", "1");
  Outcome outcome;
  EXPECT_NONFATAL_FAILURE(outcome = run_ranks("no_such_scenario", 1), "rank 0 ran no scenario");
  EXPECT_EQ(outcome.code, 70) << outcome.said;
}

TEST(Group, CollectivesAreTheirFormulas) {
  for (const int64_t size : {2, 4}) {
    const Outcome outcome = run_ranks("collectives", size);
    EXPECT_EQ(outcome.code, 0) << outcome.said;
    EXPECT_FALSE(outcome.left_behind);
  }
  const Outcome outcome = run_ranks("backend_order", 2);
  EXPECT_EQ(outcome.code, 0) << outcome.said;
}

TEST(Group, PartsAreGroupsOfTheirOwn) {
  const Outcome outcome = run_ranks("mesh", 4);
  EXPECT_EQ(outcome.code, 0) << outcome.said;
  EXPECT_FALSE(outcome.left_behind);
  const Outcome lost = run_ranks("lost_in_mesh", 4);
  EXPECT_EQ(lost.code, 128 + SIGKILL) << lost.said;
  EXPECT_TRUE(contains(lost.said, "barrier 1 of group tensor/1")) << lost.said;
  EXPECT_TRUE(contains(lost.said, "rank 3 (")) << lost.said;
  EXPECT_FALSE(contains(lost.said, "has not come to it")) << lost.said;
}

class Faults : public testing::TestWithParam<std::string> {};

TEST_P(Faults, OfARankAreSeenAndNamed) {
  const std::string what = GetParam(), operation = what.substr(0, what.find(' '));
  const bool stops = what.ends_with("stop"), leaves = what.ends_with("leave");
  const TemporaryFolder folder("dist_fault");
  const EnvironmentVariable place("R1_TEST_FOLDER", folder.path().string());
  const Outcome outcome = run_ranks("fault", 2, {.timeout = 60}, what);
  EXPECT_FALSE(outcome.left_behind);
  EXPECT_LT(outcome.seconds, 2 + 5 + 3);  // timeout, 5 s, start and end of the processes
  EXPECT_EQ(outcome.code, stops || leaves ? 1 : 128 + SIGKILL) << outcome.said;
  // "rank 0 (host, process 12): all_reduce 3 of group world (20000 bytes) failed after 2 s (..): rank 1 (..) gives no sign of life"
  EXPECT_TRUE(contains(outcome.said, "error: [dist] rank 0 (")) << outcome.said;
  EXPECT_TRUE(contains(outcome.said, operation + " 3 of group world")) << outcome.said;
  EXPECT_TRUE(contains(outcome.said, "rank 1 (")) << outcome.said;
  EXPECT_TRUE(contains(outcome.said, leaves ? "ended: the disk is full" : "gives no sign of life")) << outcome.said;
  const Json record = parse_json_file(folder.path() / "dist" / "rank_0.json");
  const Json& last = record.at("collectives").back();
  EXPECT_EQ(last.at("operation"), operation);
  EXPECT_EQ(last.at("sequence"), 3);
  EXPECT_TRUE(last.at("done").is_null());
  EXPECT_FALSE(record.at("collectives")[0].at("done").is_null());
}

INSTANTIATE_TEST_SUITE_P(All, Faults,
                         testing::Values("all_reduce kill", "all_reduce stop", "broadcast kill", "broadcast stop", "all_gather kill",
                                         "all_gather stop", "barrier kill", "barrier stop", "all_reduce leave"));

TEST(Group, TheRankThatWorksForAllIsWaitedForAsLongAsItLives) {
  EXPECT_EQ(run_ranks("first", 2, {}, "works").code, 0);
  for (const char* how : {"kill", "stop"}) {
    const Outcome outcome = run_ranks("first", 2, {.timeout = 60, .grace = 5}, how);
    EXPECT_NE(outcome.code, 0);
    EXPECT_LT(outcome.seconds, 1 + 5 + 3);
    EXPECT_TRUE(contains(outcome.said, "error: [dist] rank 1 (")) << outcome.said;
    EXPECT_TRUE(contains(outcome.said, ") waits for the work: rank 0 (")) << outcome.said;
    EXPECT_TRUE(contains(outcome.said, ") gives no sign of life (killed, stopped, or its machine is gone)")) << outcome.said;
  }
}

TEST(Meeting, WhatDoesNotFitIsNamed) {
  const auto meet = [](const std::string& what) {
    const Outcome outcome = run_ranks("meeting", 2, {.grace = 1}, what);
    EXPECT_EQ(outcome.code, 2) << what << ": " << outcome.said;
    EXPECT_FALSE(outcome.left_behind);
    EXPECT_LT(outcome.seconds, 10);
    return outcome.said;
  };
  const std::string absent = meet("absent"), setting = meet("setting"), size = meet("size"), twice = meet("twice");
  const std::string alone_0 = meet("rank_0_alone"), alone_1 = meet("rank_1_alone");
  EXPECT_TRUE(contains(alone_0, "was started with another shape.rope_theta than rank 0 (")) << alone_0;
  EXPECT_TRUE(contains(alone_0, "): nothing instead of 100")) << alone_0;
  EXPECT_TRUE(contains(alone_1, "): 100 instead of nothing")) << alone_1;
  EXPECT_TRUE(contains(absent, "rank 1 of 2 (by RANK and WORLD_SIZE) did not come to 127.0.0.1:")) << absent;
  EXPECT_TRUE(contains(setting, "rank 1 (" + own_host())) << setting;
  EXPECT_TRUE(contains(setting, "was started with another learning_rate than rank 0 (")) << setting;
  EXPECT_TRUE(contains(setting, "2 instead of 1")) << setting;
  EXPECT_TRUE(contains(size, "was started with another world size than rank 0 (")) << size;
  EXPECT_TRUE(contains(size, "3 instead of 2")) << size;
  EXPECT_TRUE(contains(twice, "rank 0 is there twice: rank 0 (")) << twice;
}

TEST(Meeting, ATakenPortIsSaid) {
  const Store first(StoreAddress{.serve = true});
  const int port = first.address().port;
  EXPECT_NE(message_of([&] {
              Store(StoreAddress{.port = port, .serve = true});
            }).find(str("port ", port, " on 127.0.0.1 (", own_host(), ") is taken")),
            std::string::npos);
  EXPECT_NE(message_of([&] { run_ranks("meeting", 2, {.port = port}); }).find("is taken"), std::string::npos);
  testing::internal::GetCapturedStderr();
}

TEST(Meeting, NobodyThere) {
  const int fd = listen_on("127.0.0.1", 0);  // a port that nobody answers on once it is closed
  sockaddr_in where{};
  socklen_t length = sizeof where;
  getsockname(fd, reinterpret_cast<sockaddr*>(&where), &length);
  close(fd);
  const std::string said = message_of([&] { Store(StoreAddress{.port = ntohs(where.sin_port), .timeout = 1}); });
  EXPECT_NE(said.find("nobody answers on 127.0.0.1:"), std::string::npos) << said;
}

TEST(Launch, StartsAgain) {
  const Outcome outcome = run_ranks("second_time", 2, {.max_restarts = 1});
  EXPECT_EQ(outcome.code, 0) << outcome.said;
  EXPECT_FALSE(outcome.left_behind);
  EXPECT_TRUE(contains(outcome.said, "launch: rank 1 (process ")) << outcome.said;
  EXPECT_TRUE(contains(outcome.said, "was ended by signal 9 (Killed); its last collective: barrier 1")) << outcome.said;
  EXPECT_TRUE(contains(outcome.said, "restart 1 of 1")) << outcome.said;
  EXPECT_TRUE(contains(outcome.said, "[rank 1] done in attempt 1")) << outcome.said;
}

TEST(Launch, SeesAStoppedRankByItself) {
  const Outcome outcome = run_ranks("asleep", 2, {.timeout = 2, .grace = 1});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_FALSE(outcome.left_behind);
  EXPECT_LT(outcome.seconds, 2 + 5 + 3);
  EXPECT_TRUE(contains(outcome.said, " (it is stopped: SIGSTOP); its last collective: barrier 1")) << outcome.said;
  EXPECT_TRUE(contains(outcome.said, "launch: rank 1 (process ")) << outcome.said;
  EXPECT_TRUE(contains(outcome.said, "gave no sign of life for ")) << outcome.said;
}

TEST(Launch, HearsARankThatSaysMuch) {
  const Outcome many = run_ranks("talks", 2, {}, "200000 20");
  EXPECT_EQ(many.code, 0);
  EXPECT_LT(many.seconds, 25);  // a time quadratic in the lines is minutes
  EXPECT_EQ(many.said.size(), 200'000 * (9 + 21) + std::string("[rank 1] the last words\n").size());
  EXPECT_TRUE(many.said.ends_with("\n[rank 1] the last words\n"));
  // One line of 1 MB comes in pieces, none of it lost.
  const Outcome longest = run_ranks("talks", 2, {}, "1 1000000");
  EXPECT_EQ(longest.code, 0);
  EXPECT_EQ(std::count(longest.said.begin(), longest.said.end(), 'x'), 1'000'000);
  for (size_t begin = 0, end; (end = longest.said.find('\n', begin)) != std::string::npos; begin = end + 1) {
    EXPECT_EQ(longest.said.substr(begin, 9), "[rank 1] ");
    EXPECT_LE(end - begin, 9 + (size_t(1) << 16));
  }
}

TEST(Launch, AQuietRankIsHeardWhenItFails) {
  const Outcome fine = run_ranks("talks", 2, {.quiet = true}, "30 5");
  EXPECT_EQ(fine.code, 0);
  EXPECT_EQ(fine.said, "");
  const Outcome failed = run_ranks("talks", 2, {.quiet = true}, "30 5 fail");
  EXPECT_EQ(failed.code, 3);
  EXPECT_TRUE(failed.said.ends_with("[rank 1] xxxxx\n[rank 1] the last words\n")) << failed.said;
  int lines = 0;
  for (size_t at = 0; (at = failed.said.find("[rank 1] xxxxx\n", at)) != std::string::npos; ++at) ++lines;
  EXPECT_EQ(lines, 19);  // 20 with the last words
}

TEST(Launch, AStopGivesARankItsTime) {
  const Outcome outcome = run_ranks("stops", 2, {.max_restarts = 1, .grace = 0.2});
  EXPECT_EQ(outcome.code, 130);
  EXPECT_TRUE(contains(outcome.said, "the report is written")) << outcome.said;
  EXPECT_FALSE(contains(outcome.said, "restart")) << outcome.said;
}

TEST(Launch, AStoppedLauncherThatGoesOnCostsNothing) {
  const Outcome outcome = run_ranks("launcher", 1, {}, "stops_its_launcher");
  EXPECT_EQ(outcome.code, 0) << outcome.said;
  EXPECT_FALSE(contains(outcome.said, "restart")) << outcome.said;
}

TEST(Launch, PassesASignalOn) {
  const Outcome outcome = run_ranks("launcher", 1, {}, "signals_its_launcher");
  EXPECT_EQ(outcome.code, 130) << outcome.said;
  EXPECT_LT(outcome.seconds, 8);
  EXPECT_FALSE(contains(outcome.said, "restart")) << outcome.said;
}

// A process that is there, and is not one that has ended and nobody has asked for yet.
bool runs(const fs::path& pid_file) {
  std::ifstream file("/proc/" + read_file(pid_file) + "/stat");
  std::string text;
  std::getline(file, text);
  const size_t close = text.rfind(')');
  return close != std::string::npos && text[close + 2] != 'Z' && text[close + 2] != 'X';
}

void expect_gone(const fs::path& folder, std::vector<const char*> names) {
  for (const char* name : names) {
    for (int i = 0; i < 300 && runs(folder / name); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_FALSE(runs(folder / name)) << name;
  }
}

TEST(Launch, LeavesNoProcessBehind) {
  const TemporaryFolder folder("left_behind");
  const EnvironmentVariable place("R1_TEST_FOLDER", folder.path().string());
  const Outcome ended = run_ranks("leaves_a_child", 2);
  EXPECT_EQ(ended.code, 0) << ended.said;
  EXPECT_FALSE(ended.left_behind);
  expect_gone(folder.path(), {"rank_0", "rank_1", "child"});
  fs::remove(folder.path() / "child");
  EXPECT_TRUE(run_ranks("leaves_a_child", 2, {}, "in a session of its own").left_behind);  // what the test itself would see
  kill(pid_t(std::stol(read_file(folder.path() / "child"))), SIGKILL);
  fs::remove(folder.path() / "child");
  const Outcome killed = run_ranks("launcher", 1, {}, "kills_its_launcher");
  EXPECT_EQ(killed.code, 128 + SIGKILL) << killed.said;
  expect_gone(folder.path(), {"rank_0", "rank_1"});
}

TEST(Meeting, IsHeldAgainByTheSameProcesses) {
  const Outcome outcome = run_ranks("meets_twice", 2);
  EXPECT_EQ(outcome.code, 0) << outcome.said;
}

TEST(Meeting, WaitingEndsWhenAStopIsAskedFor) {
  for (const char* absent : {"0", "1"}) {
    const Outcome outcome = run_ranks("waits_in_vain", 2, {}, absent);
    EXPECT_EQ(outcome.code, 130) << outcome.said;
    EXPECT_LT(outcome.seconds, 8) << outcome.said;
  }
}

TEST(Meeting, ANameWithoutAnAddressIsWaitedFor) {
  const auto start = std::chrono::steady_clock::now();
  const std::string said = message_of([&] { Store(StoreAddress{.host = "nowhere.invalid", .port = 1, .timeout = 0.7}); });
  EXPECT_NE(said.find("the host 'nowhere.invalid' has no address: "), std::string::npos) << said;
  EXPECT_GE(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 0.7);
}

// A machine whose own name means 127.0.1.1 is reached by others all the same.
TEST(Store, ListensOnLoopbackAloneOnlyWhereThatIsWritten) {
  const auto listens_on = [](const std::string& host) {
    const int fd = listen_on(host, 0);
    sockaddr_storage bound{};
    socklen_t length = sizeof bound;
    getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length);
    close(fd);
    char text[256] = "";
    getnameinfo(reinterpret_cast<sockaddr*>(&bound), length, text, sizeof text, nullptr, 0, NI_NUMERICHOST);
    return std::string(text);
  };
  EXPECT_EQ(listens_on("127.0.0.1"), "127.0.0.1");
  EXPECT_TRUE(is_loopback(listens_on("localhost")));
  EXPECT_FALSE(is_loopback(listens_on(own_host())));
  EXPECT_TRUE(is_loopback("127.0.1.1"));
  EXPECT_TRUE(is_loopback("::1"));
  EXPECT_FALSE(is_loopback("10.0.0.1"));
  EXPECT_FALSE(is_loopback("localhost"));  // a name, not an address
}

// The launcher that is not ours: its variables, and its store.
TEST(Torchrun, StartsTheSameRanks) {
  const char* python = std::getenv("R1_ORACLE_PYTHON");
  const fs::path torchrun = python ? fs::path(python).parent_path() / "torchrun" : fs::path();
  if (!python || !fs::exists(torchrun)) GTEST_SKIP() << "no torchrun beside R1_ORACLE_PYTHON";
  const TemporaryFolder folder("torchrun");
  const fs::path said = folder.path() / "said";
  const std::string own = fs::read_symlink("/proc/self/exe").string();
  const EnvironmentVariable which("R1_TEST_SCENARIO", "collectives"), threads("OMP_NUM_THREADS", "1");
  const RanksCame came;
  const std::string command = str(torchrun.string(), " --no-python --standalone --nproc_per_node 2 ", own, " > ", said.string(), " 2>&1");
  EXPECT_EQ(std::system(command.c_str()), 0) << read_file(said);
  came.expect(2, read_file(said));
}

}  // namespace
}  // namespace r1::dist
