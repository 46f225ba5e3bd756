// N ranks of one program on this machine, as torchrun starts them: RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT in their environment,
// the store in this process. Rank 0 has this process's stdout and stderr; every line of the others stands on stderr behind "[rank 1] ".
//
// When a rank fails, the others get `grace` seconds to say what they know and are then killed, and everything they started with them; with
// restarts left all ranks start again, which go on from the last checkpoint. Wrong usage (exit 2) and a stop that was asked for (130) are not
// tried again. A rank that is stopped, or whose machine stands still, sends no signs of life (pulse.h) and counts as failed after `timeout`.
// Signals to stop are passed on. No process is left behind, also when this one is killed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace r1::dist {

struct LaunchOptions {
  int64_t processes = 1, max_restarts = 0;
  double timeout = 60;  // seconds without a sign of life, from the first sign on
  double grace = 6;
  int port = 0;        // of the store; 0: a free one
  bool quiet = false;  // of the other ranks nothing, but the last lines of the one that failed first
  std::string program;
  std::vector<std::string> arguments;
};

// The exit code of the rank that failed first (128 + the signal that ended it); 0 when all ended well.
int launch(const LaunchOptions& options);

}  // namespace r1::dist
