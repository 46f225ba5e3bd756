#include "r1/verify/sandbox/seccomp_filter.h"

#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "r1/base/error.h"
#include "r1/verify/sandbox/fd.h"

namespace r1::verify::sandbox {
namespace {

// Names, so that a call which this architecture or this libseccomp doesn't have is passed over.
constexpr const char* kAllowed[] = {
    // files
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "open", "openat", "openat2",
    "creat", "close", "close_range", "lseek", "stat", "fstat", "lstat", "newfstatat", "statx", "statfs", "fstatfs", "access", "faccessat",
    "faccessat2", "getdents", "getdents64", "readlink", "readlinkat", "chdir", "fchdir", "getcwd", "mkdir", "mkdirat", "rmdir", "unlink",
    "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "chmod", "fchmod", "fchmodat", "chown",
    "fchown", "lchown", "fchownat", "umask", "truncate", "ftruncate", "fallocate", "fsync", "fdatasync", "sync_file_range", "flock",
    "fcntl", "dup", "dup2", "dup3", "pipe", "pipe2", "fadvise64", "readahead", "utime", "utimes", "utimensat", "futimesat", "sendfile",
    "copy_file_range", "splice", "getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr", "inotify_init",
    "inotify_init1", "inotify_add_watch", "inotify_rm_watch",
    // memory
    "mmap", "munmap", "mprotect", "mremap", "madvise", "brk", "msync", "mincore", "mlock", "mlock2", "munlock", "mlockall", "munlockall",
    "membarrier", "pkey_alloc", "pkey_free", "pkey_mprotect", "get_mempolicy",
    // processes and threads (clone has a rule of its own)
    "fork", "vfork", "execve", "execveat", "exit", "exit_group", "wait4", "waitid", "kill", "tkill", "tgkill", "rt_sigqueueinfo",
    "rt_tgsigqueueinfo", "pidfd_open", "pidfd_send_signal", "getpid", "getppid", "gettid", "getpgid", "getpgrp", "setpgid", "getsid",
    "setsid", "set_tid_address", "set_robust_list", "get_robust_list", "futex", "futex_waitv", "rseq", "arch_prctl", "getrlimit",
    "setrlimit", "getrusage", "times", "getpriority", "setpriority", "sched_yield", "sched_getaffinity", "sched_setaffinity",
    "sched_getparam", "sched_setparam", "sched_getscheduler", "sched_setscheduler", "sched_get_priority_max", "sched_get_priority_min",
    "sched_rr_get_interval", "sched_getattr", "sched_setattr", "getcpu", "restart_syscall", "capget", "capset",
    // who am I; the kernel refuses all changes here, but programs ask
    "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "setuid", "setgid", "setreuid", "setregid",
    "setresuid", "setresgid", "setgroups", "setfsuid", "setfsgid", "uname", "sysinfo",
    // signals
    "rt_sigaction", "rt_sigprocmask", "rt_sigpending", "rt_sigsuspend", "rt_sigtimedwait", "rt_sigreturn", "sigaltstack", "pause", "alarm",
    "signalfd", "signalfd4",
    // time
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "getitimer", "setitimer", "timer_create",
    "timer_settime", "timer_gettime", "timer_getoverrun", "timer_delete", "timerfd_create", "timerfd_settime", "timerfd_gettime",
    // waiting and talking
    "poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2",
    "eventfd", "eventfd2", "shutdown", "getsockname", "getpeername", "getsockopt", "setsockopt", "sendto", "recvfrom", "sendmsg", "recvmsg",
    "sendmmsg", "recvmmsg", "getrandom",
    // a program may shut itself in further; the launcher does
    "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"};

constexpr const char* kForbidden[] = {"bind",
                                      "listen",
                                      "accept",
                                      "accept4",
                                      "connect",
                                      "ptrace",
                                      "process_vm_readv",
                                      "process_vm_writev",
                                      "process_madvise",
                                      "process_mrelease",
                                      "kcmp",
                                      "pidfd_getfd",
                                      "bpf",
                                      "perf_event_open",
                                      "userfaultfd",
                                      "io_uring_setup",
                                      "io_uring_enter",
                                      "io_uring_register",
                                      "io_setup",
                                      "io_submit",
                                      "io_destroy",
                                      "io_cancel",
                                      "io_getevents",
                                      "io_pgetevents",
                                      "keyctl",
                                      "add_key",
                                      "request_key",
                                      "mount",
                                      "umount",
                                      "umount2",
                                      "pivot_root",
                                      "chroot",
                                      "move_mount",
                                      "open_tree",
                                      "fsopen",
                                      "fsconfig",
                                      "fsmount",
                                      "fspick",
                                      "mount_setattr",
                                      "setns",
                                      "unshare",
                                      "kexec_load",
                                      "kexec_file_load",
                                      "init_module",
                                      "finit_module",
                                      "delete_module",
                                      "open_by_handle_at",
                                      "name_to_handle_at",
                                      "swapon",
                                      "swapoff",
                                      "reboot",
                                      "syslog",
                                      "acct",
                                      "quotactl",
                                      "quotactl_fd",
                                      "settimeofday",
                                      "stime",
                                      "clock_settime",
                                      "adjtimex",
                                      "clock_adjtime",
                                      "sethostname",
                                      "setdomainname",
                                      "iopl",
                                      "ioperm",
                                      "modify_ldt",
                                      "vm86",
                                      "vm86old",
                                      "lookup_dcookie",
                                      "nfsservctl",
                                      "uselib",
                                      "vhangup",
                                      "fanotify_init",
                                      "fanotify_mark",
                                      "mbind",
                                      "set_mempolicy",
                                      "set_mempolicy_home_node",
                                      "migrate_pages",
                                      "move_pages",
                                      "remap_file_pages",
                                      "vmsplice",
                                      "tee",
                                      "shmget",
                                      "shmat",
                                      "shmctl",
                                      "shmdt",
                                      "semget",
                                      "semop",
                                      "semtimedop",
                                      "semctl",
                                      "msgget",
                                      "msgsnd",
                                      "msgrcv",
                                      "msgctl",
                                      "mq_open",
                                      "mq_unlink",
                                      "mq_timedsend",
                                      "mq_timedreceive",
                                      "mq_notify",
                                      "mq_getsetattr",
                                      "ioprio_set",
                                      "seccomp",
                                      "sysfs",
                                      "_sysctl",
                                      "ustat"};

// All of it, 32 bits wide: the kernel ignores the upper half of these arguments, so a comparison must too.
scmp_arg_cmp equals(unsigned argument, uint64_t value, uint64_t mask = 0xffffffffu) {
  return SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, mask, value);
}

class Builder {
 public:
  Builder() : context_(seccomp_init(SCMP_ACT_ERRNO(ENOSYS))) {
    r1::check(context_ != nullptr, "[sandbox] libseccomp cannot start a filter on this machine");
    must(seccomp_attr_set(context_, SCMP_FLTATR_CTL_OPTIMIZE, 2), "binary tree");  // a tree instead of a list
  }
  ~Builder() { seccomp_release(context_); }
  Builder(const Builder&) = delete;

  void add(uint32_t action, const char* name, std::initializer_list<scmp_arg_cmp> when = {}) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number < 0) return;
    must(seccomp_rule_add_array(context_, action, number, unsigned(when.size()), when.begin()), name);
  }
  void allow(const char* name, std::initializer_list<scmp_arg_cmp> when = {}) { add(SCMP_ACT_ALLOW, name, when); }

  std::string program() {
    const Fd file(::memfd_create("r1-seccomp", MFD_CLOEXEC));
    r1::check(bool(file), "[sandbox] cannot make a file in memory: ", std::strerror(errno));
    must(seccomp_export_bpf(context_, file.get()), "export");
    const off_t size = ::lseek(file.get(), 0, SEEK_END);
    std::string bytes(size_t(size), '\0');
    r1::check(size > 0 && ::pread(file.get(), bytes.data(), bytes.size(), 0) == size, "[sandbox] cannot read the exported filter");
    return bytes;
  }

 private:
  static void must(int result, const char* what) {
    if (result < 0) fail("[sandbox] libseccomp: ", what, ": ", std::strerror(-result));
  }
  scmp_filter_ctx context_;
};

void add_conditional(Builder& b) {
  // No new namespaces. clone3 hides its flags behind a pointer, so it is not in the list at all: it does not exist, and libc takes clone.
  constexpr uint64_t kNamespaces =
      CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
  b.allow("clone", {equals(0, 0, kNamespaces)});
  b.allow("prlimit64", {equals(0, 0)});  // of oneself
  // A socket that can be given an address reaches path sockets of the host in every mount, read-only ones too, and a datagram socket can be
  // given one with each message. So there are pairs of connected sockets and nothing else.
  for (const uint64_t type : {uint64_t{SOCK_STREAM}, uint64_t{SOCK_SEQPACKET}})
    b.allow("socketpair", {equals(0, AF_UNIX), equals(1, type, 0xf)});
  for (const uint64_t persona : {uint64_t{0}, uint64_t{0xffffffff}}) b.allow("personality", {equals(0, persona)});
  for (const uint64_t type : {uint64_t{0}, uint64_t{S_IFREG}, uint64_t{S_IFIFO}, uint64_t{S_IFSOCK}}) {
    b.allow("mknod", {equals(1, type, S_IFMT)});
    b.allow("mknodat", {equals(2, type, S_IFMT)});
  }
  // Is it a terminal, how much is there to read, close-on-exec, non-blocking, reflink (cp). Everything else: not a terminal.
  for (const uint64_t request : {0x5401u, 0x802c542au, 0x540fu, 0x5413u, 0x541bu, 0x5421u, 0x5450u, 0x5451u, 0x5452u, 0x40049409u})
    b.allow("ioctl", {equals(1, request)});
  for (const int option : {PR_SET_NAME,        PR_GET_NAME,        PR_SET_PDEATHSIG,       PR_GET_PDEATHSIG,       PR_SET_DUMPABLE,
                           PR_GET_DUMPABLE,    PR_CAPBSET_READ,    PR_SET_NO_NEW_PRIVS,    PR_GET_NO_NEW_PRIVS,    PR_GET_SECCOMP,
                           PR_SET_TIMERSLACK,  PR_GET_TIMERSLACK,  PR_GET_KEEPCAPS,        PR_GET_SECUREBITS,      PR_GET_THP_DISABLE,
                           PR_SET_THP_DISABLE, PR_GET_TID_ADDRESS, PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER, 0x53564d41})
    b.allow("prctl", {equals(0, uint64_t(option))});
  // Would flush the host's disks: done, says the filter.
  b.add(SCMP_ACT_ERRNO(0), "sync");
  b.add(SCMP_ACT_ERRNO(0), "syncfs");
}

// Where programs look at errno, these say it better than the filter's default.
void add_refusals(Builder& b) {
  b.add(SCMP_ACT_ERRNO(EAFNOSUPPORT), "socket");
  for (const char* name : {"setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr"})
    b.add(SCMP_ACT_ERRNO(EOPNOTSUPP), name);
}

}  // namespace

std::string seccomp_filter() {
  Builder b;
  for (const char* name : kAllowed) b.allow(name);
  for (const char* name : kForbidden) b.add(SCMP_ACT_ERRNO(EPERM), name);
  add_conditional(b);
  add_refusals(b);
  return b.program();
}

bool kernel_has_seccomp() {
  const uint32_t action = SECCOMP_RET_ERRNO;
  return ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

}  // namespace r1::verify::sandbox
