// The system calls that a program may make: what Python, the GNU and Rust compilers, node, Java and Go need, and no more. What is known to
// be dangerous is refused with EPERM, what this list has never heard of with ENOSYS, so that C libraries fall back to what they did before.
// Not among them: io_uring, bpf, userfaultfd, perf_event_open, keyrings, ptrace and its kin, mounts, namespaces, modules, clocks, SysV IPC,
// file handles, files in memory, sockets of any kind but connected pairs.
#pragma once

#include <string>

namespace r1::verify::sandbox {

// The classic BPF program, as the kernel and bubblewrap take it. Throws if libseccomp refuses this machine.
std::string seccomp_filter();

// Does this kernel take filters that answer with an errno?
bool kernel_has_seccomp();

}  // namespace r1::verify::sandbox
