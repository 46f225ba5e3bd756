// Which of how many processes this one is, by the variables that its launcher left in the environment:
//   r1 launch, torchrun, PyTorchJob   RANK WORLD_SIZE [LOCAL_RANK] MASTER_ADDR MASTER_PORT
//   mpirun (Open MPI)                 OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK, _LOCAL_SIZE
//   mpiexec (MPICH, Intel MPI)        PMI_RANK PMI_SIZE [MPI_LOCALRANKID MPI_LOCALNRANKS]
//   srun                              SLURM_PROCID SLURM_NTASKS SLURM_LOCALID SLURM_JOB_NODELIST, inside a step (SLURM_STEP_ID)
//   Kubernetes Indexed Job            JOB_COMPLETION_INDEX, with WORLD_SIZE MASTER_ADDR MASTER_PORT from the job's own env
// The innermost launcher counts (torchrun under srun is torchrun's). MASTER_ADDR and MASTER_PORT, where set, always do; without them Slurm's
// first host and a port made of the job's number, and loopback for an MPI job that stays on one machine. A script of sbatch is no step: what
// it runs without srun is one process.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace r1::dist {

struct Ranks {
  int64_t rank = 0, size = 1, local_rank = 0;
  std::string address;  // of who holds the store; "" for a single process
  int port = 0;
  bool held_by_launcher = false;  // the store; else rank 0 holds it
  std::string attempt;            // of a launcher that restarts: "0", "1"; "": none is known
  std::string launch;             // of which the attempts are: torchrun's and r1 launch's run id, Slurm's step
  std::string source;             // "RANK and WORLD_SIZE", for messages; "": started alone
};

using Environment = std::function<std::optional<std::string>(const char* name)>;

// kUsage for half a set, for two that contradict each other, and for what is no number.
Ranks ranks_of(const Environment& environment);
Ranks ranks_of_this_process();

// "a" of "a,b[1-3]"; "n001" of "n[001-004,007],m2"; "rack1n3-ib" of "rack[1-2]n[3,5]-ib".
std::string first_host(std::string_view node_list);

}  // namespace r1::dist
