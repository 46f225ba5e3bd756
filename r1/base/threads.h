// How many threads the program may use: --threads, R1_NUM_THREADS, OMP_NUM_THREADS, else the CPUs this process may run on (affinity and
// cgroup quota; a container with two CPUs on a host of 128 gets two). Libraries ask num_threads(); whoever sets libtorch's or OpenMP's own
// count calls it too.
#pragma once

namespace r1 {

int num_threads();
void set_num_threads(int n);  // n < 1: back to the default
int usable_cpus();

}  // namespace r1
