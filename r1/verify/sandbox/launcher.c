// The sandbox's own small program, linked without a C library (it starts in a fraction of a millisecond) and carried inside ours. It runs
// as one of
//
//   supervise   the child of the host process: joins nothing itself, starts bubblewrap in the cgroup and as another user, and stays until all
//               of it is dead. It exists because the host may be large, has many threads (PR_SET_PDEATHSIG means the *thread* that forked),
//               and may die itself: then everything dies too.
//   init        pid 1 inside: writes the program's files, sets rlimits and Landlock in the child that becomes the program, reaps, and says
//               how the program ended over a pipe that the program does not hold. Its death ends the namespace.
//   probe       run in place of a program by examine(): prints which layers it feels.
//
// All of it runs on trusted input (setup_format.h); nothing is read from the program.
#include "r1/verify/sandbox/launcher_sys.h"
#include "r1/verify/sandbox/setup_format.h"

/* ---- kernel constants that the C library's headers would bring ---- */
enum { O_RDONLY_ = 0, O_WRONLY_ = 1, O_CREAT_ = 0100, O_TRUNC_ = 01000, O_CLOEXEC_ = 02000000, O_PATH_ = 010000000 };
enum { SIGKILL_ = 9, SIGCHLD_ = 17, WNOHANG_ = 1, WALL_ = 0x40000000 };
enum { PR_SET_PDEATHSIG_ = 1, PR_SET_DUMPABLE_ = 4, PR_GET_SECCOMP_ = 21, PR_SET_CHILD_SUBREAPER_ = 36, PR_GET_NO_NEW_PRIVS_ = 39 };
enum { AT_FDCWD_ = -100, AT_EMPTY_PATH_ = 0x1000, F_DUPFD_CLOEXEC_ = 1030, F_SETFD_ = 2, FD_CLOEXEC_ = 1 };
enum { EEXIST_ = 17, ECHILD_ = 10, EINTR_ = 4 };
enum { POLLIN_ = 1, POLLHUP_ = 16 };
enum { PROT_READ_ = 1, PROT_WRITE_ = 2, MAP_PRIVATE_ = 2, MAP_ANONYMOUS_ = 32 };
enum { CLONE_NEWNS_ = 0x20000, CLONE_NEWUSER_ = 0x10000000, MS_BIND_ = 4096, MS_REC_ = 16384, MS_SLAVE_ = 1 << 19 };
enum { SOL_SOCKET_ = 1, SCM_RIGHTS_ = 1 };

struct timeval_ {
  long s, us;
};
struct rusage_ {
  struct timeval_ user, system;
  long max_rss, rest[13];
};
struct timespec_ {
  long s, ns;
};
struct pollfd_ {
  int fd;
  short events, revents;
};
struct iovec_ {
  void* base;
  size_t size;
};
struct msghdr_ {
  void* name;
  int name_size;
  struct iovec_* parts;
  size_t part_count;
  void* control;
  size_t control_size;
  int flags;
};

static size_t length(const char* s) {
  size_t n = 0;
  while (s[n]) ++n;
  return n;
}
static int equal(const char* a, const char* b) {
  while (*a && *a == *b) ++a, ++b;
  return *a == *b;
}
static _Noreturn void leave(int code) {
  for (;;) SYS(__NR_exit_group, code);
}
static int self(void) {
  return (int)SYS(__NR_getpid, 0);
}
static int fork_(void) {
  return (int)SYS(__NR_clone, SIGCHLD_, 0, 0, 0, 0);
}

static void tell(int fd, uint32_t kind, uint32_t step, long code, uint32_t which) {
  struct r1_status status = {kind, step, (int32_t)code, which, 0, 0};
  SYS(__NR_write, fd, &status, sizeof status);
}
static _Noreturn void give_up(uint32_t step, long negative_errno, uint32_t which) {
  tell(R1_FD_STATUS, R1_FAILED, step, -negative_errno, which);
  leave(127);
}

/* ---- the setup file ---- */
static const struct r1_setup* map_setup(void) {
  uint64_t size = 0;
  if (SYS(__NR_pread64, R1_FD_SETUP, &size, sizeof size, 0) != sizeof size) return 0;
  const long at = SYS(__NR_mmap, 0, size, PROT_READ_ | PROT_WRITE_, MAP_PRIVATE_, R1_FD_SETUP, 0);
  return at < 0 && at > -4096 ? 0 : (const struct r1_setup*)at;
}
static char* take_string(const char** at, uint64_t* size) {
  const uint64_t n = *(const uint64_t*)*at;
  char* s = (char*)*at + 8;
  *at += 8 + ((n + 8) & ~(uint64_t)7);
  if (size) *size = n;
  return s;
}
static void skip_strings(const char** at, uint64_t count) {
  while (count--) take_string(at, 0);
}
static char** take_strings(const char** at, uint64_t count) {
  const long memory =
      SYS(__NR_mmap, 0, (count + 1) * sizeof(char*), PROT_READ_ | PROT_WRITE_, MAP_PRIVATE_ | MAP_ANONYMOUS_, -1, 0);
  if (memory < 0 && memory > -4096) return 0;
  char** list = (char**)memory;
  for (uint64_t i = 0; i < count; ++i) list[i] = take_string(at, 0);
  list[count] = 0;
  return list;
}
static const char* after_header(const struct r1_setup* setup) {
  return (const char*)(setup + 1);
}
static char* put_number(char* to, unsigned n) {
  char digits[12];
  int k = 0;
  do digits[k++] = (char)('0' + n % 10);
  while (n /= 10);
  while (k) *to++ = digits[--k];
  *to = 0;
  return to;
}
static char* put(char* to, const char* s) {
  while (*s) *to++ = *s++;
  *to = 0;
  return to;
}

/* ---- supervise ---- */
static int receive_descriptors(void) {
  char byte;
  struct iovec_ part = {&byte, 1};
  union {
    struct {
      size_t size;
      int level, type;
      int fds[64];
    } head;
    uint64_t align;
  } control;
  struct msghdr_ message = {0, 0, &part, 1, &control, sizeof control, 0};
  long got;
  do got = SYS(__NR_recvmsg, R1_FD_CONTROL, &message, 0);
  while (got == -EINTR_);
  if (got != 1 || control.head.level != SOL_SOCKET_ || control.head.type != SCM_RIGHTS_) return -1;
  const int count = (int)((control.head.size - sizeof(size_t) - 2 * sizeof(int)) / sizeof(int));
  for (int i = 0; i < count; ++i) {
    if (control.head.fds[i] != i + 1) return -1;
  }
  return count;
}

/* Root only. bubblewrap will run as a user who may not walk to these host paths, so they are bound where everybody may. */
static long stage(const char* at, uint32_t count) {
  long bad = SYS(__NR_unshare, CLONE_NEWNS_);
  if (bad < 0) return bad;
  if ((bad = SYS(__NR_mount, "none", "/", 0, MS_REC_ | MS_SLAVE_, 0)) < 0) return bad;
  int fds[64];
  for (uint32_t i = 0; i < count; ++i) {
    const char* path = take_string(&at, 0);
    fds[i] = (int)SYS(__NR_openat, AT_FDCWD_, path, O_PATH_ | O_CLOEXEC_);
    if (fds[i] < 0) return fds[i];
  }
  if ((bad = SYS(__NR_mount, "r1", R1_STAGE, "tmpfs", 0, "mode=755,size=64k")) < 0) return bad;
  for (uint32_t i = 0; i < count; ++i) {
    char from[32], to[32];
    put_number(put(from, "/proc/self/fd/"), (unsigned)fds[i]);
    put_number(put(to, R1_STAGE "/"), i);
    /* A folder or a file, as the source is: a path that ends in "/." opens only for a folder. */
    char folder[40];
    put(put(folder, from), "/.");
    const long probe = SYS(__NR_openat, AT_FDCWD_, folder, O_PATH_ | O_CLOEXEC_);
    if (probe >= 0) {
      SYS(__NR_close, probe);
      bad = SYS(__NR_mkdirat, AT_FDCWD_, to, 0755);
    } else {
      bad = SYS(__NR_openat, AT_FDCWD_, to, O_WRONLY_ | O_CREAT_ | O_CLOEXEC_, 0644);
      if (bad >= 0) SYS(__NR_close, bad);
    }
    if (bad < 0) return bad;
    if ((bad = SYS(__NR_mount, from, to, 0, MS_BIND_ | MS_REC_, 0)) < 0) return bad;
  }
  return 0;
}

static long become(uint32_t uid) {
  long bad = SYS(__NR_setgroups, 0, 0);
  if (bad < 0) return bad;
  if ((bad = SYS(__NR_setresgid, uid, uid, uid)) < 0) return bad;
  return SYS(__NR_setresuid, uid, uid, uid);
}

static _Noreturn void become_bubblewrap(const struct r1_setup* setup, int supervisor) {
  for (uint32_t i = 0; i < setup->cgroups; ++i) {
    const long wrote = SYS(__NR_write, R1_FD_CGROUPS + i, "0", 1);
    if (wrote < 0) give_up(R1_STEP_CGROUP, wrote, i);
    SYS(__NR_close, R1_FD_CGROUPS + i);
  }
  /* When the machine runs out of memory the program goes first. */
  const long adjust = SYS(__NR_openat, AT_FDCWD_, "/proc/self/oom_score_adj", O_WRONLY_ | O_CLOEXEC_);
  if (adjust >= 0) {
    SYS(__NR_write, adjust, "1000", 4);
    SYS(__NR_close, adjust);
  }
  const char* at = after_header(setup);
  char** arguments = take_strings(&at, setup->arguments);
  if (!arguments) give_up(R1_STEP_SETUP, -12, 0);
  long bad = setup->staged ? stage(at, setup->staged) : 0;
  if (bad < 0) give_up(R1_STEP_STAGE, bad, 0);
  bad = setup->uid == R1_NO_UID ? 0 : become(setup->uid);
  if (bad < 0) give_up(R1_STEP_USER, bad, setup->uid);
  SYS(__NR_prctl, PR_SET_PDEATHSIG_, SIGKILL_, 0, 0, 0); /* a change of user clears it, so it comes here */
  if ((int)SYS(__NR_getppid, 0) != supervisor) leave(127);
  SYS(__NR_dup3, R1_FD_STDIN, 0, 0);
  SYS(__NR_close, R1_FD_STDIN);
  char* none[] = {0};
  bad = SYS(__NR_execve, arguments[0], arguments, none);
  give_up(R1_STEP_BUBBLEWRAP, bad, 0);
}

static void add_usage(struct r1_final* final, const struct rusage_* usage) {
  final->cpu_us += (uint64_t)(usage->user.s + usage->system.s) * 1000000 + (uint64_t)(usage->user.us + usage->system.us);
  if ((uint64_t)usage->max_rss > final->max_rss_kb) final->max_rss_kb = (uint64_t)usage->max_rss;
}

/* bubblewrap's child comes to us when bubblewrap is gone. */
static void kill_children(void) {
  char path[64], list[4096];
  put(put_number(put(path, "/proc/self/task/"), (unsigned)self()), "/children");
  const long fd = SYS(__NR_openat, AT_FDCWD_, path, O_RDONLY_ | O_CLOEXEC_);
  if (fd < 0) return;
  const long n = SYS(__NR_read, fd, list, sizeof list - 1);
  SYS(__NR_close, fd);
  int pid = 0;
  for (long i = 0; i < n; ++i) {
    if (list[i] >= '0' && list[i] <= '9') {
      pid = pid * 10 + (list[i] - '0');
    } else {
      if (pid > 1) SYS(__NR_kill, pid, SIGKILL_);
      pid = 0;
    }
  }
}

static void end_all(int bubblewrap, struct r1_final* final) {
  for (;;) {
    int status = 0;
    struct rusage_ usage;
    const long got = SYS(__NR_wait4, -1, &status, WNOHANG_ | WALL_, &usage);
    if (got == -ECHILD_) return;
    if (got > 0) {
      add_usage(final, &usage);
      if (got == bubblewrap) final->wait_status = status;
      continue;
    }
    kill_children();
    struct timespec_ pause = {0, 300000};
    SYS(__NR_nanosleep, &pause, 0);
  }
}

/* The host reads its groups' counters and then removes them; if it is dead, nobody else will. */
static void remove_folders(const struct r1_setup* setup) {
  const char* at = after_header(setup);
  skip_strings(&at, (uint64_t)setup->arguments + setup->staged);
  for (uint32_t i = 0; i < setup->folders; ++i) SYS(__NR_unlinkat, AT_FDCWD_, take_string(&at, 0), 0x200); /* AT_REMOVEDIR */
}

static _Noreturn void supervise(void) {
  SYS(__NR_close_range, 1, ~0u, 0);
  SYS(__NR_setsid, 0);
  const int me = self();
  const int host = (int)SYS(__NR_getppid, 0);
  const int count = receive_descriptors();
  if (count < R1_FD_CGROUPS - 1) leave(127);
  const int control = (int)SYS(__NR_fcntl, R1_FD_CONTROL, F_DUPFD_CLOEXEC_, 100);
  const struct r1_setup* setup = map_setup();
  if (!setup) give_up(R1_STEP_SETUP, -22, 0);
  if (setup->parent != host) leave(127); /* the host is dead */
  SYS(__NR_prctl, PR_SET_CHILD_SUBREAPER_, 1, 0, 0, 0);
  const int host_fd = (int)SYS(__NR_fcntl, SYS(__NR_pidfd_open, host, 0), F_DUPFD_CLOEXEC_, 100);
  const int child = fork_();
  if (child == 0) become_bubblewrap(setup, me);
  if (child < 0) give_up(R1_STEP_FORK, child, 0);
  SYS(__NR_close_range, 0, 99, 0);
  const int child_fd = (int)SYS(__NR_pidfd_open, child, 0);
  struct r1_final final = {0, 0, 0, 0};
  struct pollfd_ on[3] = {{child_fd, POLLIN_, 0}, {control, POLLIN_, 0}, {host_fd, POLLIN_, 0}};
  while (!on[0].revents) {
    const long ready = SYS(__NR_ppoll, on, 3, 0, 0, 8);
    if (ready == -EINTR_) continue;
    if (ready < 0 || on[1].revents || on[2].revents) {
      final.killed = 1;
      SYS(__NR_kill, child, SIGKILL_);
      break;
    }
  }
  end_all(child, &final);
  if (SYS(__NR_sendto, control, &final, sizeof final, 0x4000, 0, 0) < 0) remove_folders(setup); /* MSG_NOSIGNAL */
  leave(0);
}

/* ---- init ---- */
static long write_file(char* path, const char* bytes, uint64_t size) {
  for (char* p = path + 1; *p; ++p) {
    if (*p != '/') continue;
    *p = 0;
    const long made = SYS(__NR_mkdirat, AT_FDCWD_, path, 0755);
    *p = '/';
    if (made < 0 && made != -EEXIST_) return made;
  }
  const long fd = SYS(__NR_openat, AT_FDCWD_, path, O_WRONLY_ | O_CREAT_ | O_TRUNC_ | O_CLOEXEC_, 0644);
  if (fd < 0) return fd;
  uint64_t done = 0;
  while (done < size) {
    const long wrote = SYS(__NR_write, fd, bytes + done, size - done);
    if (wrote == -EINTR_) continue;
    if (wrote <= 0) return wrote;
    done += (uint64_t)wrote;
  }
  SYS(__NR_close, fd);
  return 0;
}

static long set_rlimit(const struct r1_rlimit* wanted) {
  uint64_t now[2];
  long bad = SYS(__NR_prlimit64, 0, wanted->resource, 0, now);
  if (bad < 0) return bad;
  uint64_t limit[2] = {wanted->soft, wanted->hard};
  for (int i = 0; i < 2; ++i) {
    if (limit[i] > now[1]) limit[i] = now[1];
  }
  return SYS(__NR_prlimit64, 0, wanted->resource, limit, 0);
}

/* Rights that mean something for a file; the others are refused on one. */
enum { LANDLOCK_FILE_RIGHTS = 1 | 2 | 4 | 1 << 14 | 1 << 15 };

static long add_landlock_rule(int ruleset, uint64_t access, const char* path) {
  const long fd = SYS(__NR_openat, AT_FDCWD_, path, O_PATH_ | O_CLOEXEC_);
  if (fd < 0) return 0; /* not on this system: nothing to allow */
  struct {
    uint64_t access;
    int32_t fd;
  } __attribute__((packed)) rule = {access, (int32_t)fd};
  long bad = SYS(__NR_landlock_add_rule, ruleset, 1, &rule, 0);
  if (bad == -22) {
    rule.access &= LANDLOCK_FILE_RIGHTS;
    bad = SYS(__NR_landlock_add_rule, ruleset, 1, &rule, 0);
  }
  SYS(__NR_close, fd);
  return bad;
}

static const char* apply_landlock(const struct r1_setup* setup, const char* at) {
  struct {
    uint64_t fs, net, scope;
  } handled = {setup->landlock_fs, setup->landlock_net, setup->landlock_scope};
  const size_t size = setup->landlock_scope ? 24 : setup->landlock_net ? 16 : 8;
  const int ruleset = setup->landlock ? (int)SYS(__NR_landlock_create_ruleset, &handled, size, 0) : 0;
  if (ruleset < 0) give_up(R1_STEP_LANDLOCK, ruleset, 0);
  for (uint32_t i = 0; i < setup->rules; ++i) {
    const uint64_t access = *(const uint64_t*)at;
    at += 8;
    const char* path = take_string(&at, 0);
    const long bad = setup->landlock ? add_landlock_rule(ruleset, access & setup->landlock_fs, path) : 0;
    if (bad < 0) give_up(R1_STEP_LANDLOCK, bad, i + 1);
  }
  if (setup->landlock) {
    const long bad = SYS(__NR_landlock_restrict_self, ruleset, 0);
    if (bad < 0) give_up(R1_STEP_LANDLOCK, bad, 0);
    SYS(__NR_close, ruleset);
  }
  return at;
}

static _Noreturn void become_program(const struct r1_setup* setup, const char* at) {
  const struct r1_rlimit* limits = (const struct r1_rlimit*)at;
  at += setup->rlimits * sizeof *limits;
  const char* rules = at;
  for (uint32_t i = 0; i < setup->rules; ++i) at += 8, take_string(&at, 0);
  skip_strings(&at, 2 * (uint64_t)setup->files);
  const char* directory = take_string(&at, 0);
  char** argv = take_strings(&at, setup->argv);
  char** environment = take_strings(&at, setup->environment);
  if (!argv || !environment) give_up(R1_STEP_SETUP, -12, 0);
  apply_landlock(setup, rules);
  long bad = SYS(__NR_chdir, directory);
  if (bad < 0) give_up(R1_STEP_DIRECTORY, bad, 0);
  SYS(__NR_fcntl, R1_FD_STATUS, F_SETFD_, FD_CLOEXEC_);
  SYS(__NR_close, R1_FD_SETUP);
  if (!setup->channel) SYS(__NR_close, R1_FD_CHANNEL);
  if (setup->adopts) SYS(__NR_prctl, PR_SET_CHILD_SUBREAPER_, 1, 0, 0, 0);
  for (uint32_t i = 0; i < setup->rlimits; ++i) {
    if ((bad = set_rlimit(limits + i)) < 0) give_up(R1_STEP_RLIMIT, bad, (uint32_t)limits[i].resource);
  }
  bad = SYS(__NR_execve, argv[0], argv, environment);
  give_up(R1_STEP_EXEC, bad, 0);
}

static void write_files(const struct r1_setup* setup, const char* at) {
  for (uint32_t i = 0; i < setup->files; ++i) {
    uint64_t size;
    char* path = take_string(&at, 0);
    const char* bytes = take_string(&at, &size);
    const long bad = write_file(path, bytes, size);
    if (bad < 0) give_up(R1_STEP_FILE, bad, i);
  }
}

static _Noreturn void init(void) {
  /* Whoever is inside may not look into pid 1: not at its descriptors, not at its memory. */
  SYS(__NR_prctl, PR_SET_DUMPABLE_, 0, 0, 0, 0);
  SYS(__NR_close, 4);
  SYS(__NR_close_range, R1_FD_STATUS + 1, ~0u, 0);
  const struct r1_setup* setup = map_setup();
  if (!setup) give_up(R1_STEP_SETUP, -22, 0);
  const char* at = after_header(setup);
  skip_strings(&at, (uint64_t)setup->arguments + setup->staged + setup->folders);
  const char* files = at + setup->rlimits * sizeof(struct r1_rlimit);
  for (uint32_t i = 0; i < setup->rules; ++i) files += 8, take_string(&files, 0);
  write_files(setup, files);
  tell(R1_FD_STATUS, R1_STARTED, 0, 0, 0);
  const int child = fork_();
  if (child == 0) become_program(setup, at);
  if (child < 0) give_up(R1_STEP_FORK, child, 0);
  SYS(__NR_close_range, 0, R1_FD_SETUP, 0);
  for (;;) {
    int status = 0;
    struct rusage_ usage;
    const long got = SYS(__NR_wait4, -1, &status, WALL_, &usage);
    if (got == -EINTR_ || (got > 0 && got != child)) continue;
    if (got < 0) leave(127);
    struct rusage_ all;
    if (SYS(__NR_getrusage, -1, &all) < 0) all = usage; /* RUSAGE_CHILDREN */
    struct r1_final sum = {0, 0, 0, 0};
    add_usage(&sum, &all);
    struct r1_status end = {R1_ENDED, 0, status, 0, sum.cpu_us, sum.max_rss_kb};
    SYS(__NR_write, R1_FD_STATUS, &end, sizeof end);
    leave(0);
  }
}

/* ---- probe ---- */
static char* put_fact(char* to, const char* name, long value) {
  to = put(put(to, name), value < 0 ? " -" : " ");
  return put(put_number(to, (unsigned)(value < 0 ? -value : value)), "\n");
}

static _Noreturn void probe(void) {
  char text[512];
  char* to = put_fact(text, "pid", self());
  to = put_fact(to, "no_new_privs", SYS(__NR_prctl, PR_GET_NO_NEW_PRIVS_, 0, 0, 0, 0));
  to = put_fact(to, "seccomp", SYS(__NR_prctl, PR_GET_SECCOMP_, 0, 0, 0, 0));
  /* What only Landlock forbids: /.r1 can be read otherwise, and it isn't among the rules' readable folders. */
  const long opened = SYS(__NR_openat, AT_FDCWD_, "/.r1", O_RDONLY_ | O_CLOEXEC_);
  to = put_fact(to, "list_root", opened);
  to = put_fact(to, "proc", SYS(__NR_openat, AT_FDCWD_, "/proc/self/status", O_RDONLY_ | O_CLOEXEC_));
  to = put_fact(to, "new_user_namespace", SYS(__NR_unshare, CLONE_NEWUSER_));
  SYS(__NR_write, 1, text, length(text));
  leave(0);
}

_Noreturn void launcher_main(const long* stack) {
  const char* mode = stack[0] > 1 ? (const char*)stack[2] : "";
  if (equal(mode, "supervise")) supervise();
  if (equal(mode, "init")) init();
  if (equal(mode, "probe")) probe();
  leave(2);
}
