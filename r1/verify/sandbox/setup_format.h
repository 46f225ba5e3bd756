// What the library tells its launcher (launcher.c), in C for both: a file in memory with a header and a row of items, and which
// descriptor is which. Both ends are built together, so there are no versions.
//
// After the header, in this order: `arguments` strings (bubblewrap's argv), `staged` strings (host paths), `folders` strings
// (control groups to remove if the host dies), `rlimits` x struct, `rules` x
// (u64 access, string), `files` x (string path, string content), the directory, `argv` strings, `environment` strings. A string is a u64
// length, its bytes and a NUL, filled with NULs to a multiple of 8.
#pragma once

#include <stdint.h>

/* Descriptors as the supervisor receives them: the message's n-th becomes n + 1. */
enum {
  R1_FD_CONTROL = 0,
  R1_FD_STDOUT = 1,
  R1_FD_STDERR = 2,
  R1_FD_CHANNEL = 3,
  R1_FD_STDIN = 4,
  R1_FD_SETUP = 5,
  R1_FD_STATUS = 6,
  R1_FD_SECCOMP = 7,
  R1_FD_LAUNCHER = 8,
  R1_FD_PASSWD = 9,
  R1_FD_GROUP = 10,
  R1_FD_HOSTS = 11,
  R1_FD_CGROUPS = 12, /* and on: files that a process writes "0" to in order to join */
};

#define R1_NO_UID 0xffffffffu
#define R1_INIT_PATH "/.r1/init"
/* Where, in a mount namespace of its own, a root supervisor lays out what bubblewrap then binds as another user. */
#define R1_STAGE "/tmp"

struct r1_setup {
  uint64_t size; /* of the whole file */
  int32_t parent;
  uint32_t uid; /* to become before bubblewrap; R1_NO_UID: stay */
  uint32_t arguments, staged, cgroups, folders;
  uint32_t rlimits, rules, files, argv, environment;
  uint32_t channel, landlock;
  uint32_t adopts, unused; /* the program becomes the parent of its descendants' orphans */
  uint64_t landlock_fs, landlock_net, landlock_scope;
};

struct r1_rlimit {
  uint64_t resource, soft, hard;
};

/* The status pipe, which the program never holds. */
enum { R1_STARTED = 1, R1_FAILED = 2, R1_ENDED = 3 };
/* The steps that R1_FAILED names. */
enum {
  R1_STEP_SETUP = 1,
  R1_STEP_CGROUP,
  R1_STEP_STAGE,
  R1_STEP_USER,
  R1_STEP_BUBBLEWRAP,
  R1_STEP_FILE,
  R1_STEP_FORK,
  R1_STEP_RLIMIT,
  R1_STEP_LANDLOCK,
  R1_STEP_DIRECTORY,
  R1_STEP_EXEC,
};
struct r1_status {
  uint32_t kind, step;
  int32_t code; /* errno of R1_FAILED; wait status of R1_ENDED */
  uint32_t which;
  uint64_t cpu_us, max_rss_kb;
};

/* The supervisor's last word on the control socket: everything is dead and reaped. */
struct r1_final {
  uint64_t cpu_us, max_rss_kb;
  int32_t wait_status; /* bubblewrap's */
  uint32_t killed;
};
