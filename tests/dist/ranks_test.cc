#include "r1/dist/ranks.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/message_of.h"

namespace r1::dist {
namespace {

Ranks ranks(const std::map<std::string, std::string>& variables) {
  return ranks_of([&](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

std::string refusal(const std::map<std::string, std::string>& variables) {
  return message_of([&] { ranks(variables); });
}

void expect(const Ranks& r, int64_t rank, int64_t size, int64_t local, const std::string& address, int port) {
  EXPECT_EQ(r.rank, rank);
  EXPECT_EQ(r.size, size);
  EXPECT_EQ(r.local_rank, local);
  EXPECT_EQ(r.address, address);
  if (port >= 0) {
    EXPECT_EQ(r.port, port);
  }
}

using Map = std::map<std::string, std::string>;

TEST(Ranks, AProcessStartedAloneIsOneOfOne) {
  expect(ranks({}), 0, 1, 0, "", 0);
  EXPECT_EQ(ranks({}).source, "");
  expect(ranks({{"RANK", "0"}, {"WORLD_SIZE", "1"}}), 0, 1, 0, "", 0);  // nobody to meet, so no address is missed
}

TEST(Ranks, Torchrun) {
  const Map torchrun{{"RANK", "3"},
                     {"WORLD_SIZE", "4"},
                     {"LOCAL_RANK", "1"},
                     {"MASTER_ADDR", "node1"},
                     {"MASTER_PORT", "29500"},
                     {"TORCHELASTIC_RUN_ID", "none"},
                     {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                     {"TORCHELASTIC_RESTART_COUNT", "2"}};
  const Ranks r = ranks(torchrun);
  expect(r, 3, 4, 1, "node1", 29500);
  EXPECT_TRUE(r.held_by_launcher);
  EXPECT_EQ(r.attempt, "2");
  EXPECT_EQ(r.launch, "none");
  Map plain = torchrun;
  for (const char* name : {"TORCHELASTIC_RUN_ID", "TORCHELASTIC_USE_AGENT_STORE", "TORCHELASTIC_RESTART_COUNT"}) plain.erase(name);
  EXPECT_FALSE(ranks(plain).held_by_launcher);  // PyTorchJob: rank 0 holds the store
}

TEST(Ranks, Slurm) {
  Map slurm{{"SLURM_PROCID", "5"},  {"SLURM_NTASKS", "8"},  {"SLURM_LOCALID", "1"},           {"SLURM_JOB_NODELIST", "gpu[003-004]"},
            {"SLURM_JOB_ID", "77"}, {"SLURM_STEP_ID", "0"}, {"SLURM_TASKS_PER_NODE", "4(x2)"}};
  const Ranks r = ranks(slurm);
  expect(r, 5, 8, 1, "gpu003", -1);
  EXPECT_GE(r.port, 10000);
  EXPECT_LT(r.port, 30000);
  EXPECT_EQ(r.attempt, "0");
  slurm["SLURM_RESTART_COUNT"] = "3";  // put into the queue again
  EXPECT_EQ(ranks(slurm).attempt, "3");
  EXPECT_EQ(ranks(slurm).launch, r.launch);
  slurm["SLURM_PROCID"] = "0";
  EXPECT_EQ(ranks(slurm).port, r.port);  // the same for all of a step
  slurm["SLURM_JOB_ID"] = "78";
  EXPECT_NE(ranks(slurm).port, r.port);
  slurm["MASTER_ADDR"] = "10.0.0.1";
  slurm["MASTER_PORT"] = "4000";
  expect(ranks(slurm), 0, 8, 1, "10.0.0.1", 4000);
  slurm["SLURM_STEP_NUM_TASKS"] = "2";  // srun -n 2 inside an allocation of 8
  EXPECT_EQ(ranks(slurm).size, 2);
  slurm.erase("SLURM_STEP_ID");  // the script of sbatch, and what it starts without srun
  expect(ranks(slurm), 0, 1, 0, "", 0);
}

TEST(Ranks, Mpi) {
  Map open_mpi{{"OMPI_COMM_WORLD_RANK", "1"},
               {"OMPI_COMM_WORLD_SIZE", "2"},
               {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
               {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}};
  expect(ranks(open_mpi), 1, 2, 1, "127.0.0.1", -1);
  // mpirun starts its helpers by srun: their step is not the job's.
  open_mpi.insert({{"SLURM_STEP_ID", "0"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "1"}});
  EXPECT_EQ(ranks(open_mpi).rank, 1);
  open_mpi["OMPI_COMM_WORLD_LOCAL_SIZE"] = "1";
  EXPECT_NE(refusal(open_mpi).find("set MASTER_ADDR (the host of rank 0) and MASTER_PORT (a port"), std::string::npos) << refusal(open_mpi);
  open_mpi["MASTER_ADDR"] = "a";
  open_mpi["MASTER_PORT"] = "5";
  expect(ranks(open_mpi), 1, 2, 1, "a", 5);
  expect(ranks({{"PMI_RANK", "2"}, {"PMI_SIZE", "3"}, {"MPI_LOCALRANKID", "2"}, {"MPI_LOCALNRANKS", "3"}}), 2, 3, 2, "127.0.0.1", -1);
}

TEST(Ranks, KubernetesIndexedJob) {
  const Map job{{"JOB_COMPLETION_INDEX", "2"}, {"WORLD_SIZE", "3"}, {"MASTER_ADDR", "train-0.train"}, {"MASTER_PORT", "29500"}};
  expect(ranks(job), 2, 3, 0, "train-0.train", 29500);
  Map empty = job;
  empty["RANK"] = "";  // as good as none
  EXPECT_EQ(ranks(empty).rank, 2);
  // An Indexed Job of single processes has the index and nothing else; a service called master adds what is no port.
  expect(ranks({{"JOB_COMPLETION_INDEX", "2"}}), 0, 1, 0, "", 0);
  expect(ranks({{"MASTER_PORT", "tcp://10.3.0.1:29500"}}), 0, 1, 0, "", 0);
  Map torchrun_inside = job;
  torchrun_inside.insert({{"RANK", "5"}, {"LOCAL_RANK", "1"}, {"TORCHELASTIC_RUN_ID", "x"}});
  torchrun_inside["WORLD_SIZE"] = "6";
  EXPECT_EQ(ranks(torchrun_inside).rank, 5);
}

TEST(Ranks, HalfASetAndContradictionsAreOneError) {
  EXPECT_EQ(refusal({{"RANK", "0"}}), "environment: RANK is set and WORLD_SIZE is not; set both or neither");
  EXPECT_EQ(refusal({{"WORLD_SIZE", "2"}}), "environment: WORLD_SIZE is set and RANK is not; set both or neither");
  EXPECT_EQ(refusal({{"RANK", "2"}, {"WORLD_SIZE", "2"}}),
            "environment: RANK is 2 and WORLD_SIZE is 2; a rank is a number from 0 to the size less 1");
  EXPECT_NE(refusal({{"RANK", "x"}, {"WORLD_SIZE", "2"}}).find("RANK is 'x', expected a number"), std::string::npos);
  EXPECT_NE(refusal({{"RANK", "-1"}, {"WORLD_SIZE", "2"}}).find("RANK is '-1'"), std::string::npos);
  EXPECT_NE(refusal({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}}).find("set MASTER_PORT ("), std::string::npos);
  EXPECT_NE(refusal({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "70000"}}).find("0 to 65535"),
            std::string::npos);
  const std::string both = refusal({{"RANK", "0"},
                                    {"WORLD_SIZE", "2"},
                                    {"MASTER_ADDR", "a"},
                                    {"MASTER_PORT", "1"},
                                    {"SLURM_STEP_ID", "0"},
                                    {"SLURM_PROCID", "1"},
                                    {"SLURM_NTASKS", "4"},
                                    {"SLURM_JOB_NODELIST", "a"}});
  EXPECT_EQ(both,
            "environment: RANK/WORLD_SIZE say rank 0 of 2, SLURM_PROCID/SLURM_NTASKS say rank 1 of 4; unset the ones that are not meant");
}

// Forms that others' parsers got wrong, as their users reported.
TEST(Ranks, FirstHostOfANodeList) {
  EXPECT_EQ(first_host("linux[1,2]"), "linux1");
  EXPECT_EQ(first_host("alpha,beta,gamma"), "alpha");
  EXPECT_EQ(first_host("nodes[006,011]"), "nodes006");
  EXPECT_EQ(first_host("nodeA,nodeB[001,003],nodeC"), "nodeA");
  EXPECT_EQ(first_host("jean-zay-ia810"), "jean-zay-ia810");
  EXPECT_EQ(first_host("jean-zay-ia[810-812]"), "jean-zay-ia810");
  EXPECT_EQ(first_host("node1g[0010,0011],node2g0005"), "node1g0010");
  EXPECT_EQ(first_host("rack[1-2]n[3,5]-ib"), "rack1n3-ib");
  EXPECT_NE(message_of([] { first_host("a[1"); }).find("has a [ without its ]"), std::string::npos);
  EXPECT_NE(message_of([] { first_host(""); }).find("names no host"), std::string::npos);
}

}  // namespace
}  // namespace r1::dist
