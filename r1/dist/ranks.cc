#include "r1/dist/ranks.h"

#include <charconv>
#include <cstdlib>
#include <vector>

#include "r1/base/error.h"

namespace r1::dist {
namespace {

int64_t number(const char* name, const std::string& text, int64_t most) {
  int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > most)
    fail_usage("environment: ", name, " is '", printable(text), "', expected a number from 0 to ", most);
  return value;
}

constexpr int64_t kMostRanks = 1'000'000;

std::optional<int64_t> number_in(const Environment& environment, const char* name, int64_t most = kMostRanks) {
  const auto text = environment(name);
  if (!text || text->empty()) return std::nullopt;
  return number(name, *text, most);
}

// What a launcher says with its own two names.
struct Pair {
  const char *rank_name, *size_name;
  int64_t rank = 0, size = 1;
};

std::optional<Pair> pair_in(const Environment& environment, const char* rank_name, const char* size_name, const char* missing = "") {
  const auto rank = number_in(environment, rank_name), size = number_in(environment, size_name);
  if (!rank && !size) return std::nullopt;
  if (!rank || !size)
    fail_usage("environment: ", rank ? rank_name : size_name, " is set and ", rank ? size_name : rank_name, " is not; set both or neither",
               missing);
  if (*size < 1 || *rank >= *size)
    fail_usage("environment: ", rank_name, " is ", *rank, " and ", size_name, " is ", *size,
               "; a rank is a number from 0 to the size less 1");
  return Pair{rank_name, size_name, *rank, *size};
}

// A port that all of a job come to, and two jobs on one machine seldom do.
int port_of_job(const std::string& job) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : job) hash = (hash ^ uint64_t(uint8_t(c))) * 1099511628211u;
  return int(10'000 + hash % 20'000);
}

void take(Ranks& out, const Pair& pair) {
  out.rank = pair.rank;
  out.size = pair.size;
  out.source = str(pair.rank_name, " and ", pair.size_name);
}

void refuse_contradiction(const Pair& said, const std::optional<Pair>& other) {
  if (other && (other->rank != said.rank || other->size != said.size))
    fail_usage("environment: ", said.rank_name, "/", said.size_name, " say rank ", said.rank, " of ", said.size, ", ", other->rank_name,
               "/", other->size_name, " say rank ", other->rank, " of ", other->size, "; unset the ones that are not meant");
}

void take_mpi(Ranks& out, const Environment& environment, const char* local_rank, const char* local_size, const char* job) {
  out.local_rank = number_in(environment, local_rank).value_or(0);
  if (number_in(environment, local_size) == out.size) {
    out.address = "127.0.0.1";
    out.port = port_of_job(environment(job).value_or("r1"));
  }
}

void take_slurm(Ranks& out, const Environment& environment) {
  out.local_rank = number_in(environment, "SLURM_LOCALID").value_or(0);
  const auto step = environment("SLURM_STEP_NODELIST");
  if (const auto nodes = step ? step : environment("SLURM_JOB_NODELIST")) out.address = first_host(*nodes);
  const std::string job = environment("SLURM_JOB_ID").value_or("") + "." + environment("SLURM_STEP_ID").value_or("");
  out.port = port_of_job(job);
  // A job that is put into the queue again keeps its number.
  out.launch = "slurm " + job;
  out.attempt = std::to_string(number_in(environment, "SLURM_RESTART_COUNT").value_or(0));
}

void take_master(Ranks& out, const Environment& environment) {
  if (out.size == 1) return;  // nobody to meet; and a Kubernetes service called master sets MASTER_PORT=tcp://.. in every pod
  if (const auto address = environment("MASTER_ADDR"); address && !address->empty()) out.address = *address;
  if (const auto port = number_in(environment, "MASTER_PORT", 65'535)) out.port = int(*port);
  const bool lacks_address = out.address.empty(), lacks_port = out.port == 0;
  if (lacks_address || lacks_port)
    fail_usage("environment: ", out.source, " say rank ", out.rank, " of ", out.size, ", but not where the ranks meet: set ",
               lacks_address ? "MASTER_ADDR (the host of rank 0)" : "", lacks_address && lacks_port ? " and " : "",
               lacks_port ? "MASTER_PORT (a port that is free on rank 0's host)" : "");
}

}  // namespace

Ranks ranks_of(const Environment& environment) {
  const bool step = environment("SLURM_STEP_ID") || environment("SLURM_STEPID");
  const auto slurm_size = environment("SLURM_STEP_NUM_TASKS") ? "SLURM_STEP_NUM_TASKS" : "SLURM_NTASKS";
  const auto slurm = step ? pair_in(environment, "SLURM_PROCID", slurm_size) : std::nullopt;
  const auto mpi = pair_in(environment, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE");
  const auto pmi = pair_in(environment, "PMI_RANK", "PMI_SIZE");
  const auto index = number_in(environment, "JOB_COMPLETION_INDEX");
  // An Indexed Job gives its pods no RANK, but WORLD_SIZE by its own env.
  const bool indexed = index && !number_in(environment, "RANK");
  const auto plain = indexed ? std::nullopt : pair_in(environment, "RANK", "WORLD_SIZE");
  Ranks out;
  if (plain) {
    take(out, *plain);
    out.local_rank = number_in(environment, "LOCAL_RANK").value_or(0);
    if (environment("TORCHELASTIC_RUN_ID")) {
      out.held_by_launcher = environment("TORCHELASTIC_USE_AGENT_STORE") == "True";
      out.attempt = environment("TORCHELASTIC_RESTART_COUNT").value_or("0");
      out.launch = *environment("TORCHELASTIC_RUN_ID");
    } else {
      for (const auto& other : {slurm, mpi, pmi}) refuse_contradiction(*plain, other);
    }
  } else if (mpi) {
    take(out, *mpi);
    take_mpi(out, environment, "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE", "PMIX_NAMESPACE");
  } else if (pmi) {
    take(out, *pmi);
    take_mpi(out, environment, "MPI_LOCALRANKID", "MPI_LOCALNRANKS", "PMI_JOBID");
    if (slurm) take_slurm(out, environment);  // srun --mpi=pmi2
  } else if (slurm) {
    take(out, *slurm);
    take_slurm(out, environment);
  } else if (indexed && number_in(environment, "WORLD_SIZE")) {
    take(out, *pair_in(environment, "JOB_COMPLETION_INDEX", "WORLD_SIZE"));
  }
  take_master(out, environment);
  return out;
}

Ranks ranks_of_this_process() {
  return ranks_of([](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    return value ? std::optional<std::string>(value) : std::nullopt;
  });
}

std::string first_host(std::string_view node_list) {
  std::string host;
  for (size_t at = 0; at < node_list.size() && node_list[at] != ',';) {
    if (node_list[at] != '[') {
      host += node_list[at++];
      continue;
    }
    const size_t close = node_list.find(']', at);
    if (close == std::string_view::npos) fail_usage("environment: SLURM_JOB_NODELIST '", printable(node_list), "' has a [ without its ]");
    const std::string_view inside = node_list.substr(at + 1, close - at - 1);
    host += inside.substr(0, inside.find_first_of(",-"));
    at = close + 1;
  }
  if (host.empty()) fail_usage("environment: SLURM_JOB_NODELIST '", printable(node_list), "' names no host");
  return host;
}

}  // namespace r1::dist
