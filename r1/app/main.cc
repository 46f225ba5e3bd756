// Find the command, run it, exit code; and what has to be settled before libraries are loaded. Everything else is in command.cc, so that
// tests reach it.
#include "r1/app/command.h"
#include "r1/base/interrupt.h"
#include "r1/base/memory.h"

#if defined(__linux__) && defined(__GLIBC__)
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

bool begins_with(const char* text, const char* start) {
  for (; *start; ++text, ++start)
    if (*text != *start) return false;
  return true;
}

// OpenMP's threads wait for work by spinning, for milliseconds, which beside other busy processes makes a step 3 to 50 times slower: a
// spinning thread keeps the core from the one that it waits for. A thousand turns, some ten microseconds, are as good on an idle machine
// and cost little beside others (scripts/bench_busy.sh). OpenMP reads the environment when it is loaded, so the setting has to be there
// before: the program starts itself once more with it, unless the user has set how to wait. This runs ahead of all libraries'
// initialisation, libc's own included, and before it is paid for; hence no library calls but system calls. Where it can't be done, the
// program goes on as it is.
void spin_briefly(int, char** argv, char** environment) {
  constexpr int kMost = 4096;  // variables
  static char *with[kMost + 2], path[4096], setting[] = "GOMP_SPINCOUNT=1000";
  int count = 0;
  for (; environment[count]; ++count) {
    if (count == kMost || begins_with(environment[count], "OMP_WAIT_POLICY=") || begins_with(environment[count], "GOMP_SPINCOUNT=")) return;
    with[count] = environment[count];
  }
  with[count] = setting;
  // By its path, not as /proc/self/exe, so that it keeps its name in lists of processes.
  const long length = syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", path, sizeof path - 1);
  if (length <= 0 || length >= long(sizeof path) - 1) return;
  path[length] = 0;
  syscall(SYS_execve, path, argv, with);
}

[[gnu::section(".preinit_array"), gnu::used]] void (*const before_libraries)(int, char**, char**) = spin_briefly;

}  // namespace
#endif

int main(int argc, char** argv) {
  r1::keep_freed_memory();
  r1::install_interrupt_handler();
  return r1::app::run_program({argv + 1, argv + argc});
}
