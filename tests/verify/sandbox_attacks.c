// Attacks that need system calls by name: compiled by the sandbox tests, run inside as `attacks NAME [arguments]`. An attack prints ESCAPED and
// what worked, or HELD. Those that exhaust something print nothing and go on until they are stopped.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int escaped;

/* A call that must not work. */
static void must_fail(const char* what, long result) {
  if (result < 0) return;
  escaped = 1;
  printf("ESCAPED %s: %ld\n", what, result);
}
static void refused(const char* what, long number, long a, long b, long c, long d, long e) {
  must_fail(what, syscall(number, a, b, c, d, e, 0L));
}
#define REFUSED(name, ...) REFUSED_(name, __VA_ARGS__, 0, 0, 0, 0, 0)
#define REFUSED_(name, a, b, c, d, e, ...) refused(#name, SYS_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))

/* ---- namespaces and mounts ---- */
static const int kNew[] = {CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET, 0x80};

static void attack_unshare(void) {
  for (size_t i = 0; i < sizeof kNew / sizeof *kNew; ++i) must_fail("unshare", unshare(kNew[i]));
  must_fail("unshare user+net", unshare(CLONE_NEWUSER | CLONE_NEWNET));
}
static void attack_clone(void) {
  for (size_t i = 0; i + 1 < sizeof kNew / sizeof *kNew; ++i) {
    const long pid = syscall(SYS_clone, (unsigned long)kNew[i] | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) _exit(0);
    must_fail("clone", pid);
  }
}
static void attack_clone3(void) {
  for (size_t i = 0; i < sizeof kNew / sizeof *kNew; ++i) {
    uint64_t args[11] = {(uint64_t)kNew[i], 0, 0, 0, SIGCHLD, 0, 0, 0, 0, 0, 0};
    const long pid = syscall(435, args, sizeof args);
    if (pid == 0) _exit(0);
    must_fail("clone3", pid);
  }
}
static void attack_setns(void) {
  const char* names[] = {"user", "pid", "net", "ipc", "mnt", "uts", "cgroup", "time"};
  for (size_t i = 0; i < 8; ++i) {
    for (int pid = 1; pid < 3; ++pid) {
      char path[64];
      snprintf(path, sizeof path, "/proc/%d/ns/%s", pid, names[i]);
      const int fd = open(path, O_RDONLY | O_CLOEXEC);
      must_fail("setns", setns(fd, 0));
    }
  }
}
static void attack_mount(void) {
  mkdir("/box/m", 0755);
  must_fail("mount tmpfs", mount("none", "/box/m", "tmpfs", 0, ""));
  must_fail("mount proc", mount("none", "/box/m", "proc", 0, ""));
  must_fail("mount sysfs", mount("none", "/box/m", "sysfs", 0, ""));
  must_fail("mount cgroup", mount("none", "/box/m", "cgroup", 0, "memory"));
  must_fail("mount cgroup2", mount("none", "/box/m", "cgroup2", 0, ""));
  must_fail("mount bind", mount("/", "/box/m", 0, MS_BIND | MS_REC, 0));
  must_fail("mount overlay", mount("none", "/box/m", "overlay", 0, "lowerdir=/usr,upperdir=/box,workdir=/box/m"));
  must_fail("remount /usr", mount(0, "/usr", 0, MS_REMOUNT | MS_BIND, 0));
  must_fail("remount /", mount(0, "/", 0, MS_REMOUNT | MS_BIND, 0));
  must_fail("private", mount(0, "/", 0, MS_PRIVATE | MS_REC, 0));
}
static void attack_new_mount_api(void) {
  must_fail("open_tree", syscall(428, AT_FDCWD, "/usr", 1));
  must_fail("move_mount", syscall(429, AT_FDCWD, "/usr", AT_FDCWD, "/box", 0));
  must_fail("fsopen", syscall(430, "tmpfs", 0));
  must_fail("fspick", syscall(433, AT_FDCWD, "/", 0));
  must_fail("mount_setattr", syscall(442, AT_FDCWD, "/usr", 0, 0, 0));
}
static void attack_umount(void) {
  const char* where[] = {"/proc", "/usr", "/box", "/dev/null", "/proc/sys", "/proc/kcore", "/proc/keys", "/etc/passwd"};
  for (size_t i = 0; i < 8; ++i) must_fail("umount", umount2(where[i], MNT_DETACH));
}
static void attack_pivot_root(void) {
  mkdir("/box/new", 0755);
  REFUSED(pivot_root, "/box/new", "/box/new");
}
static void attack_chroot(void) {
  must_fail("chroot", chroot("/box"));
}
static void attack_mknod(void) {
  must_fail("mknod block", mknod("/box/disk", S_IFBLK | 0666, (254 << 8) | 0));
  must_fail("mknod char", mknod("/box/mem", S_IFCHR | 0666, (1 << 8) | 1));
  must_fail("mknodat char", mknodat(AT_FDCWD, "/box/kmsg", S_IFCHR | 0666, (1 << 8) | 11));
}
static void attack_handles(void) {
  struct {
    unsigned bytes;
    int type;
    unsigned char f[128];
  } handle = {128, 1, {2}};
  int id = 0;
  REFUSED(name_to_handle_at, AT_FDCWD, "/usr", &handle, &id, 0);
  REFUSED(open_by_handle_at, open("/usr", O_RDONLY), &handle, O_RDONLY);
}

/* ---- other processes ---- */
static void attack_ptrace(void) {
  must_fail("ptrace attach 1", ptrace(PTRACE_ATTACH, 1, 0, 0));
  must_fail("ptrace seize 1", ptrace(PTRACE_SEIZE, 1, 0, 0));
  must_fail("ptrace traceme", ptrace(PTRACE_TRACEME, 0, 0, 0));
  const pid_t child = fork();
  if (child == 0) pause();
  must_fail("ptrace child", ptrace(PTRACE_ATTACH, child, 0, 0));
  kill(child, SIGKILL);
}
static void attack_other_memory(void) {
  char buffer[64];
  struct iovec here = {buffer, 64}, there = {(void*)0x400000, 64};
  must_fail("process_vm_readv", process_vm_readv(1, &here, 1, &there, 1, 0));
  must_fail("process_vm_writev", process_vm_writev(1, &here, 1, &there, 1, 0));
  must_fail("/proc/1/mem", open("/proc/1/mem", O_RDWR));
  must_fail("/proc/1/maps", open("/proc/1/maps", O_RDONLY));
  REFUSED(kcmp, 1, getpid(), 0, 0, 0);
}
static void attack_pidfd_getfd(void) {
  const long fd = syscall(434, 1, 0);
  for (int i = 0; i < 10; ++i) must_fail("pidfd_getfd", syscall(438, fd, i, 0));
}
static void attack_kill_all(void) {
  signal(SIGTERM, SIG_IGN);
  kill(-1, SIGTERM);
  kill(-1, SIGKILL);
  kill(1, SIGKILL);
  kill(1, SIGSTOP);
  for (int pid = 2; pid < 70000; ++pid) {
    if (pid != getpid() && kill(pid, SIGKILL) == 0) must_fail("kill somebody", pid);
  }
}
static void attack_pid1(void) {
  /* Its descriptors, executable, root: pid 1 is ours from outside, and holds the pipe that says how this program ended. */
  char path[64];
  for (int i = 0; i < 16; ++i) {
    snprintf(path, sizeof path, "/proc/1/fd/%d", i);
    must_fail(path, open(path, O_RDWR));
    must_fail(path, open(path, O_WRONLY));
  }
  must_fail("/proc/1/exe", open("/proc/1/exe", O_RDWR));
  must_fail("/proc/1/environ", open("/proc/1/environ", O_RDONLY));
  must_fail("/proc/1/root", open("/proc/1/root/etc", O_RDONLY));
  must_fail("/proc/1/cwd", open("/proc/1/cwd", O_RDONLY));
  must_fail("/.r1/init", open("/.r1/init", O_RDONLY));
  must_fail("run /.r1/init", execl("/.r1/init", "init", "init", (char*)0));
}

/* ---- kernel interfaces with a history ---- */
static void attack_io_uring(void) {
  char params[256] = {0};
  must_fail("io_uring_setup", syscall(425, 8, params));
  must_fail("io_uring_enter", syscall(426, 0, 0, 0, 0, 0));
  must_fail("io_uring_register", syscall(427, 0, 0, 0, 0));
  unsigned long context = 0;
  REFUSED(io_setup, 8, &context);
}
static void attack_bpf(void) {
  char attributes[128] = {0};
  for (int command = 0; command < 30; ++command) REFUSED(bpf, command, attributes, sizeof attributes);
}
static void attack_userfaultfd(void) {
  REFUSED(userfaultfd, O_CLOEXEC);
  REFUSED(userfaultfd, 1); /* user mode only, which an unprivileged user may */
  must_fail("/dev/userfaultfd", open("/dev/userfaultfd", O_RDWR));
}
static void attack_keyrings(void) {
  REFUSED(keyctl, 0, -3, 1);
  REFUSED(add_key, "user", "r1", "x", 1, -3);
  REFUSED(request_key, "user", "r1", 0, -3);
}
static void attack_perf(void) {
  char attributes[128] = {1, 0, 0, 0, 128};
  REFUSED(perf_event_open, attributes, 0, -1, -1, 0);
}
static void attack_modules(void) {
  REFUSED(init_module, "x", 1, "");
  REFUSED(finit_module, 0, "", 0);
  REFUSED(delete_module, "x", 0);
  REFUSED(kexec_load, 0, 0, 0, 0);
  REFUSED(reboot, 0xfee1dead, 672274793, 0x1234567, 0);
}
static void attack_swap_and_quota(void) {
  REFUSED(swapon, "/box/x", 0);
  REFUSED(swapoff, "/dev/zram0");
  REFUSED(acct, "/box/acct");
  REFUSED(quotactl, 0x80000100, "/dev/vda", 0, 0);
  char text[64];
  REFUSED(syslog, 3, text, 64);
}
static void attack_clock(void) {
  struct timeval now = {1, 0};
  struct timespec then = {1, 0};
  struct timex set = {.modes = ADJ_TICK, .tick = 10001};
  must_fail("settimeofday", settimeofday(&now, 0));
  must_fail("clock_settime", clock_settime(CLOCK_REALTIME, &then));
  must_fail("adjtimex", adjtimex(&set));
}
static void attack_names(void) {
  must_fail("sethostname", sethostname("pwned", 5));
  must_fail("setdomainname", setdomainname("pwned", 5));
}
static void attack_ports_and_ldt(void) {
#if defined(__x86_64__)
  REFUSED(iopl, 3);
  REFUSED(ioperm, 0x60, 1, 1);
  char ldt[16] = {0};
  REFUSED(modify_ldt, 1, ldt, sizeof ldt);
#endif
}
static void attack_personality(void) {
  REFUSED(personality, 0x0040000);
  REFUSED(personality, 0x0400000);
  REFUSED(personality, 8);
}
static void attack_memfd(void) {
  const int fd = (int)syscall(SYS_memfd_create, "x", 0);
  must_fail("memfd_create", fd);
  must_fail("memfd_secret", syscall(447, 0));
}
static void attack_sysv(void) {
  REFUSED(shmget, 1234, 1 << 20, 01666);
  REFUSED(semget, 1234, 8, 01666);
  REFUSED(msgget, 1234, 01666);
  REFUSED(mq_open, "/x", O_CREAT | O_RDWR, 0666, 0);
}
static void attack_fanotify(void) {
  REFUSED(fanotify_init, 0, O_RDONLY);
  REFUSED(fanotify_init, 0x200, O_RDONLY); /* what an unprivileged user may */
}
static void attack_splice_tricks(void) {
  int ends[2];
  if (pipe(ends)) return;
  char page[4096];
  struct iovec part = {page, sizeof page};
  must_fail("vmsplice", vmsplice(ends[1], &part, 1, 0));
  must_fail("tee", tee(ends[0], ends[1], 1, SPLICE_F_NONBLOCK));
}
static void attack_numa(void) {
  unsigned long mask = 1;
  void* page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REFUSED(mbind, page, 4096, 2, &mask, 64);
  REFUSED(migrate_pages, 1, 64, &mask, &mask);
  REFUSED(move_pages, 1, 0, 0, 0, 0);
  REFUSED(remap_file_pages, page, 4096, 0, 0, 0);
}
static void attack_prctl(void) {
  must_fail("PR_SET_PTRACER", prctl(0x59616d61, -1L, 0, 0, 0));
  must_fail("PR_SET_MM", prctl(35, 6, 0x10000, 0, 0));
  must_fail("PR_SET_SECUREBITS", prctl(PR_SET_SECUREBITS, 0x2f, 0, 0, 0));
  must_fail("PR_SET_NO_NEW_PRIVS 0", prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
  must_fail("PR_CAP_AMBIENT", prctl(PR_CAP_AMBIENT, 2, 21, 0, 0));
  must_fail("PR_SET_SECCOMP", prctl(PR_SET_SECCOMP, 2, 0, 0, 0));
}
static void attack_seccomp(void) {
  struct {
    unsigned short length;
    void* filter;
  } program = {0, 0};
  REFUSED(seccomp, 1, 8, &program); /* a listener */
  REFUSED(seccomp, 0, 0, 0);
}
/* Two doors around a filter that looks at one table of numbers only. */
static void attack_int80(void) {
#if defined(__x86_64__)
  const pid_t child = fork();
  if (child == 0) {
    long result = 20; /* getpid in the 32-bit table */
    __asm__ volatile("int $0x80" : "+a"(result)::"memory", "r8", "r9", "r10", "r11");
    _exit(result > 0 ? 77 : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  must_fail("int 0x80", WIFEXITED(status) && WEXITSTATUS(status) == 77 ? 0 : -1);
#endif
}
static void attack_x32(void) {
#if defined(__x86_64__)
  const pid_t child = fork();
  if (child == 0) _exit(syscall(0x40000000 | SYS_getpid) > 0 ? 77 : 0);
  int status = 0;
  waitpid(child, &status, 0);
  must_fail("x32", WIFEXITED(status) && WEXITSTATUS(status) == 77 ? 0 : -1);
#endif
}

/* ---- rights ---- */
static void attack_become_root(void) {
  must_fail("setuid", setuid(0));
  must_fail("setgid", setgid(0));
  must_fail("setresuid", setresuid(0, 0, 0));
  gid_t groups[] = {0, 4, 27};
  must_fail("setgroups", setgroups(3, groups));
  unsigned header[2] = {0x20080522, 0}, data[6] = {~0u, ~0u, ~0u, ~0u, ~0u, ~0u};
  REFUSED(capset, header, data);
  if (geteuid() == 0) must_fail("euid 0", 0);
}
static void attack_own_setuid(void) {
  const int in = open("/usr/bin/id", O_RDONLY), out = open("/box/id", O_CREAT | O_WRONLY, 0755);
  char buffer[65536];
  ssize_t n;
  while ((n = read(in, buffer, sizeof buffer)) > 0) {
    if (write(out, buffer, (size_t)n) != n) break;
  }
  fchmod(out, 06755);
  must_fail("chown root", chown("/box/id", 0, 0));
  struct stat info;
  if (stat("/box/id", &info) == 0 && info.st_uid == 0) must_fail("owned by root", 0);
}
static void attack_priority(void) {
  must_fail("nice -5", setpriority(PRIO_PROCESS, 0, -5));
  struct sched_param high = {50};
  must_fail("SCHED_FIFO", sched_setscheduler(0, SCHED_FIFO, &high));
  must_fail("SCHED_RR", sched_setscheduler(0, SCHED_RR, &high));
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } deadline = {48, 6, 0, 0, 0, 10000000, 30000000, 30000000};
  REFUSED(sched_setattr, 0, &deadline, 0);
  REFUSED(ioprio_set, 1, 0, 1 << 13);
}
static void attack_rlimits(void) {
  for (int r = 0; r < RLIM_NLIMITS; ++r) {
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)r, &now) || now.rlim_max == RLIM_INFINITY) continue;
    struct rlimit more = {now.rlim_max + 1, now.rlim_max + 1};
    must_fail("setrlimit", setrlimit((__rlimit_resource_t)r, &more));
  }
  struct rlimit any = {RLIM_INFINITY, RLIM_INFINITY};
  must_fail("prlimit 1", prlimit(1, RLIMIT_CPU, &any, 0));
}
static void attack_terminal(void) {
  for (int fd = 0; fd < 3; ++fd) {
    must_fail("TIOCSTI", ioctl(fd, TIOCSTI, "x"));
    must_fail("TIOCSCTTY", ioctl(fd, TIOCSCTTY, 1));
    must_fail("TIOCLINUX", ioctl(fd, TIOCLINUX, "\3"));
    /* The kernel looks at the lower half of the request only. */
    must_fail("TIOCSTI high", syscall(SYS_ioctl, fd, 0x100000000UL | TIOCSTI, "x"));
  }
  must_fail("/dev/tty", open("/dev/tty", O_RDWR));
  must_fail("/dev/ptmx", open("/dev/ptmx", O_RDWR));
  must_fail("/dev/console", open("/dev/console", O_RDWR));
}
static void attack_descriptors(void) {
  for (int fd = 3; fd < 4096; ++fd) {
    char name[64], target[256] = "";
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    if (fcntl(fd, F_GETFD) < 0) continue;
    if (readlink(name, target, sizeof target - 1) < 0) target[0] = 0;
    must_fail(target, fd);
    if (write(fd, "x", 1) == 1) must_fail("wrote to an inherited descriptor", fd);
  }
}
static void attack_lease(void) {
  must_fail("lease", fcntl(open("/usr/bin/env", O_RDONLY), F_SETLEASE, F_RDLCK));
}

/* ---- network ---- */
static void attack_families(void) {
  for (int family = 0; family < 64; ++family) {
    for (int type = 1; type < 6; ++type) {
      const int fd = socket(family, type, 0);
      if (fd >= 0) printf("family %d type %d\n", family, type);
      must_fail("socket", fd);
    }
  }
  must_fail("socket high", syscall(SYS_socket, 0x100000000UL | AF_INET, SOCK_STREAM, 0));
}
static void attack_abstract(const char* name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  memcpy(address.sun_path + 1, name, strlen(name));
  const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
  must_fail("abstract stream", connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr*)&address, size));
  must_fail("abstract datagram", sendto(socket(AF_UNIX, SOCK_DGRAM, 0), "x", 1, 0, (struct sockaddr*)&address, size));
}
static void attack_unix(const char* path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  for (int datagram = 0; datagram < 2; ++datagram) { /* the path itself, and a datagram socket at the path with a "d" after it */
    snprintf(address.sun_path, sizeof address.sun_path, "%s%s", path, datagram ? "d" : "");
    struct sockaddr* to = (struct sockaddr*)&address;
    for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; ++type) {
      must_fail("connect", connect(socket(AF_UNIX, type, 0), to, sizeof address));
      must_fail("sendto", sendto(socket(AF_UNIX, type, 0), "x", 1, MSG_NOSIGNAL, to, sizeof address));
      int pair[2] = {-1, -1};
      if (socketpair(AF_UNIX, type, 0, pair)) continue;
      must_fail("connect a pair's end", connect(pair[0], to, sizeof address));
      struct iovec part = {"x", 1};
      struct msghdr message = {.msg_name = to, .msg_namelen = sizeof address, .msg_iov = &part, .msg_iovlen = 1};
      sendto(pair[0], "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT, to, sizeof address); /* to its peer, at most: the host looks */
      sendmsg(pair[0], &message, MSG_NOSIGNAL | MSG_DONTWAIT);
      close(pair[1]); /* without its peer an end may look for another */
      must_fail("connect a lonely end", connect(pair[0], to, sizeof address));
      sendmsg(pair[0], &message, MSG_NOSIGNAL | MSG_DONTWAIT);
      close(pair[0]);
    }
  }
}

/* ---- exhaustion: these go on until stopped ---- */
static void attack_fork_bomb(void) {
  for (;;) {
    if (fork() < 0) sched_yield();
  }
}
static void* spin(void* unused) {
  for (;;) pause();
  return unused;
}
static void attack_threads(void) {
  int made = 0;
  pthread_t thread;
  while (pthread_create(&thread, 0, spin, 0) == 0) ++made;
  printf("%d threads\n", made);
  if (made > 64) must_fail("threads", made);
}
static void attack_memory_shared(void) {
  for (;;) {
    char* page = mmap(0, 4 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) continue;
    memset(page, 1, 4 << 20);
  }
}
static void attack_memory_many(void) {
  for (int i = 0; i < 8; ++i) {
    if (fork() == 0) break;
  }
  for (;;) {
    char* block = malloc(1 << 20);
    if (block) memset(block, 1, 1 << 20);
  }
}
static void attack_mappings(void) {
  for (long i = 0; i < 1000000; ++i) {
    if (mmap(0, 4096, i % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) break;
  }
}
static int deeper(int depth) {
  volatile char block[4096];
  block[depth % 4096] = 1;
  return depth == 1 << 30 ? 0 : deeper(depth + 1) + block[depth % 4096];
}
static void attack_stack(void) {
  deeper(0);
}
static void attack_pipes(void) {
  int ends[2];
  char block[65536] = {0};
  int made = 0;
  while (pipe(ends) == 0) {
    ++made;
    fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    while (write(ends[1], block, sizeof block) > 0) {
    }
  }
  if (made > 128) must_fail("pipes", made);
}
/* Sockets in flight are in nobody's table: each is sent through the next. */
static void attack_sockets_in_flight(void) {
  for (;;) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair)) break;
    char byte = 0, control[CMSG_SPACE(sizeof pair)] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS, head->cmsg_len = CMSG_LEN(sizeof pair);
    memcpy(CMSG_DATA(head), pair, sizeof pair);
    if (sendmsg(pair[0], &message, MSG_DONTWAIT) < 0) break;
    close(pair[0]), close(pair[1]);
  }
}
static void attack_signals(void) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, 0);
  union sigval value = {0};
  long queued = 0;
  while (sigqueue(getpid(), SIGRTMIN, value) == 0) ++queued;
  if (queued > 2000) must_fail("queued signals", queued);
}
static void attack_timers(void) {
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
  timer_t timer;
  long made = 0;
  while (made < 100000 && timer_create(CLOCK_MONOTONIC, &event, &timer) == 0) ++made;
  if (made > 2000) must_fail("timers", made);
}
static void attack_vfork_hang(void) {
  if (vfork() == 0) {
    for (;;) pause();
  }
}
static void attack_stop(void) {
  kill(getpid(), SIGSTOP);
}
static void attack_block_all(void) {
  for (int s = 1; s < 64; ++s) signal(s, SIG_IGN);
  for (;;) {
  }
}
static void attack_daemons(void) {
  for (int i = 0; i < 8; ++i) {
    if (fork() == 0) {
      setsid();
      if (fork() == 0) {
        for (int s = 1; s < 64; ++s) signal(s, SIG_IGN);
        for (;;) {
          if (write(1, "daemon\n", 7) < 0) pause();
          usleep(20000);
        }
      }
      _exit(0);
    }
  }
}
static void attack_cpu_children(void) {
  /* Each dies young and unreaped: no process of them ever reaches a limit of its own. */
  signal(SIGCHLD, SIG_IGN);
  for (;;) {
    if (fork() == 0) {
      const clock_t begin = clock();
      while (clock() - begin < CLOCKS_PER_SEC / 20) {
      }
      _exit(0);
    }
    usleep(40000);
  }
}
static void attack_exec_loop(void) {
  execl("/proc/self/exe", "attacks", "exec_loop", (char*)0);
}
static void attack_huge_argv(void) {
  static char word[100000];
  memset(word, 'a', sizeof word - 1);
  char* argv[64];
  for (int i = 0; i < 63; ++i) argv[i] = word;
  argv[63] = 0;
  execv("/usr/bin/true", argv);
}
static void attack_close_all(void) {
  for (int fd = 0; fd < 4096; ++fd) close(fd);
  for (;;) pause();
}
static void attack_nested_folders(void) {
  for (;;) {
    if (mkdir("d", 0755) || chdir("d")) break;
  }
}
static void attack_segfault(void) {
  struct rlimit any = {RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_CORE, &any);
  raise(SIGSEGV);
}

int main(int argc, char** argv) {
  setvbuf(stdout, 0, _IOLBF, 0);
  const char* name = argc > 1 ? argv[1] : "";
  struct {
    const char* name;
    void (*run)(void);
  } attacks[] = {
#define ROW(a) {#a, attack_##a}
      ROW(unshare), ROW(clone), ROW(clone3), ROW(setns), ROW(mount), ROW(new_mount_api), ROW(umount), ROW(pivot_root), ROW(chroot), ROW(mknod),
      ROW(handles), ROW(ptrace), ROW(other_memory), ROW(pidfd_getfd), ROW(kill_all), ROW(pid1), ROW(io_uring), ROW(bpf), ROW(userfaultfd),
      ROW(keyrings), ROW(perf), ROW(modules), ROW(swap_and_quota), ROW(clock), ROW(names), ROW(ports_and_ldt), ROW(personality), ROW(memfd),
      ROW(sysv), ROW(fanotify), ROW(splice_tricks), ROW(numa), ROW(prctl), ROW(seccomp), ROW(int80), ROW(x32), ROW(become_root),
      ROW(own_setuid), ROW(priority), ROW(rlimits), ROW(terminal), ROW(descriptors), ROW(lease), ROW(families), ROW(fork_bomb), ROW(threads),
      ROW(memory_shared), ROW(memory_many), ROW(mappings), ROW(stack), ROW(pipes), ROW(sockets_in_flight), ROW(signals), ROW(timers),
      ROW(vfork_hang), ROW(stop), ROW(block_all), ROW(daemons), ROW(cpu_children), ROW(exec_loop), ROW(huge_argv), ROW(close_all),
      ROW(nested_folders), ROW(segfault)};
  for (size_t i = 0; i < sizeof attacks / sizeof *attacks; ++i) {
    if (strcmp(name, attacks[i].name)) continue;
    attacks[i].run();
    puts(escaped ? "DONE" : "HELD");
    return 0;
  }
  if (argc > 2 && !strcmp(name, "abstract")) return attack_abstract(argv[2]), puts(escaped ? "DONE" : "HELD"), 0;
  if (argc > 2 && !strcmp(name, "unix")) return attack_unix(argv[2]), puts(escaped ? "DONE" : "HELD"), 0;
  puts("no such attack");
  return 2;
}
