// The escape half of the corpus X1: programs that reach for the host. Each runs three times, several at once, with canaries lying open on
// the host. An attack prints ESCAPED and what worked, and HELD at its end if nothing did: an attack that could not even be tried fails the
// test.
#include <gtest/gtest.h>

#include <mutex>
#include <string>
#include <vector>

#include "tests/verify/sandbox_support.h"

namespace r1::verify::sandbox {
namespace {

constexpr int kTimes = 3;
constexpr double kWall = 20;  // none of these should be near it, even under a sanitizer on a busy machine

struct Attack {
  const char* name;
  const char* code;
  std::vector<Layer> needs = {};  // without these it may well succeed
};

// What every Python attack starts with. argv: the canaries' paths.
constexpr const char* kPrelude = R"(
import os, sys, errno
paths, ports = sys.argv[1:-2], sys.argv[-2:]
superuser = "/" + "root"
bad = False
def escaped(*what):
    global bad
    bad = True
    print("ESCAPED", *what)
def must_fail(what, f):
    try:
        escaped(what, f())
    except Exception:
        pass
def read(path):
    with open(path, "rb") as f:
        return f.read(200)
)";
constexpr const char* kEnd = "\nprint('DONE' if bad else 'HELD')\n";

const std::vector<Attack>& python_attacks() {
  static const std::vector<Attack> all = {
      {"read_canary", "for p in paths: must_fail(p, lambda: read(p))"},
      {"read_by_dotdot", R"(
for p in paths:
    for start in ("/box/..", "/usr/../..", "/proc/self/cwd/../..", "/proc/self/root", "/proc/self/root/..", "/dev/fd/../../../.."):
        must_fail(start + p, lambda: read(start + p)))"},
      {"read_through_every_proc", R"(
for pid in os.listdir("/proc"):
    if not pid.isdigit(): continue
    for way in (superuser[1:], "cwd", "task/" + pid + superuser):
        for p in paths: must_fail(pid + way, lambda: read(f"/proc/{pid}/{way}{p}"))
    if int(pid) != os.getpid():
        must_fail(pid + " environ", lambda: read(f"/proc/{pid}/environ"))
        must_fail(pid + " fd", lambda: os.listdir(f"/proc/{pid}/fd")))"},
      {"symlink", R"(
for i, p in enumerate(paths):
    os.symlink(p, f"/box/link{i}")
    must_fail(p, lambda: read(f"/box/link{i}"))
    os.symlink(os.path.dirname(p), f"/box/folder{i}")
    must_fail(p, lambda: os.listdir(f"/box/folder{i}")))"},
      {"hardlink", R"(
for p in paths + ["/usr/bin/su", "/usr/bin/env", "/etc/passwd"]:
    must_fail(p, lambda: os.link(p, "/box/hard")))"},
      {"user_files", R"(
for p in (superuser, "/home", "/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/ssh", superuser + "/.ssh/id_rsa", superuser + "/.ssh/authorized_keys",
          superuser + "/.bashrc", superuser + "/.netrc", superuser + "/.cache", "/var", "/opt", "/srv", "/mnt", "/media", "/boot", "/run", "/sys", "/lost+found"):
    must_fail(p, lambda: read(p))
    must_fail(p, lambda: os.listdir(p)))"},
      {"environment", R"(
if set(os.environ) - {"PATH", "HOME", "LANG", "TMPDIR", "R1_MARK", "LC_CTYPE", "PWD"}: escaped(dict(os.environ))
text = read("/proc/self/environ")
if b"canary-" in text: escaped(text)
must_fail("environ of 1", lambda: read("/proc/1/environ")))"},
      {"proc_is_ours", R"(
pids = [int(p) for p in os.listdir("/proc") if p.isdigit()]
if len(pids) > 3: escaped(pids))"},
      {"write_system", R"(
mark = dict(line.split("=", 1) for line in read("/proc/self/environ").decode().split("\0") if "=" in line)["R1_MARK"]
for folder in ("/", "/usr", "/usr/bin", "/usr/lib", "/etc", "/dev", "/proc", "/bin", "/lib", "/.r1", "/var", "/run", "/tmp/../.."):
    must_fail(folder, lambda: open(f"{folder}/{mark}", "w").write("x"))
    must_fail(folder, lambda: os.mkdir(f"{folder}/{mark}d"))
for p in ("/usr/bin/env", "/etc/passwd", "/etc/hosts", "/etc/ld.so.cache", "/usr/bin/python3"):
    must_fail(p, lambda: open(p, "ab"))
    must_fail(p, lambda: os.unlink(p))
    must_fail(p, lambda: os.chmod(p, 0o777))
    must_fail(p, lambda: os.truncate(p, 0))
    must_fail(p, lambda: os.utime(p))
    must_fail(p, lambda: os.rename(p, p + ".old")))"},
      {"write_canary", R"(
for p in paths:
    must_fail(p, lambda: open(p, "ab"))
    must_fail(p, lambda: open(os.path.dirname(p) + "/new", "w"))
    must_fail(p, lambda: os.unlink(p)))"},
      {"sysctl", R"(
for p in ("kernel/hostname", "kernel/core_pattern", "kernel/randomize_va_space", "kernel/yama/ptrace_scope", "vm/drop_caches",
          "vm/overcommit_memory", "fs/protected_symlinks", "net/ipv4/ip_forward", "user/max_user_namespaces", "kernel/modprobe", "kernel/ns_last_pid"):
    must_fail(p, lambda: open("/proc/sys/" + p, "w").write("1")))"},
      {"proc_switches",
       R"(
for p in ("/proc/sysrq-trigger", "/proc/self/oom_score_adj", "/proc/self/oom_adj", "/proc/self/attr/current", "/proc/self/uid_map",
          "/proc/self/gid_map", "/proc/self/setgroups", "/proc/self/coredump_filter", "/proc/self/autogroup", "/proc/self/loginuid",
          "/proc/self/clear_refs", "/proc/1/oom_score_adj", "/proc/irq/default_smp_affinity", "/proc/self/timerslack_ns"):
    must_fail(p, lambda: open(p, "w").write("0")))",
       {Layer::kLandlock}},
      {"kernel_facts", R"(
for p in ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/cmdline", "/proc/config.gz", "/proc/kmsg", "/proc/vmallocinfo",
          "/proc/slabinfo", "/proc/pagetypeinfo"):
    try:
        text = read(p)
    except Exception:
        continue
    if text: escaped(p, text[:20])
try:
    addresses = {line.split()[0] for line in open("/proc/kallsyms")}
except Exception:
    addresses = set()
if any(int(a, 16) for a in addresses): escaped("kernel addresses"))"},
      {"devices", R"(
seen = set(os.listdir("/dev"))
if seen - {"null", "zero", "full", "random", "urandom", "fd", "stdin", "stdout", "stderr", "shm"}: escaped(seen)
for p in ("mem", "kmem", "port", "kmsg", "vda", "sda", "nvme0n1", "loop0", "kvm", "fuse", "tty", "ptmx", "pts", "console", "net/tun", "vsock", "vhost-net",
          "userfaultfd", "hwrng", "mapper/control", "btrfs-control", "nvidia0", "nvidiactl"):
    must_fail(p, lambda: open("/dev/" + p, "rb")))"},
      {"cgroup_files", R"(
for p in ("/sys/fs/cgroup", "/proc/self/root/sys/fs/cgroup", "/sys/kernel", "/sys/class"):
    must_fail(p, lambda: os.listdir(p)))"},
      {"setuid_programs", R"(
import subprocess
for p in ("su", "sudo", "mount", "umount", "passwd", "chsh", "newgrp", "newuidmap", "pkexec", "ping", "fusermount"):
    for folder in ("/usr/bin/", "/usr/sbin/"):
        if not os.path.exists(folder + p): continue
        if not os.statvfs(folder + p).f_flag & os.ST_NOSUID: escaped(p, "is on a file system that honours setuid")
for command in (["su", "-c", "id -u"], ["mount", "-t", "tmpfs", "none", "/box"], ["newgrp", "root", "-c", "id"]):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=5)
    except Exception:
        continue
    if done.returncode == 0 and b"uid=0" in done.stdout or done.stdout.strip() == b"0": escaped(command, done.stdout))"},
      {"unshare_program",
       R"(
import subprocess
for command in (["unshare", "-r", "id"], ["unshare", "-Ur", "id"], ["unshare", "-n", "id"], ["nsenter", "-t", "1", "-m", "id"], ["chroot", "/box", "id"]):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=5)
    except Exception:
        continue
    if done.returncode == 0: escaped(command, done.stdout))",
       {Layer::kSeccomp}},
      {"bubblewrap_in_bubblewrap",
       R"(
import subprocess
try:
    done = subprocess.run(["bwrap", "--ro-bind", "/", "/", "true"], capture_output=True, timeout=5)
    if done.returncode == 0: escaped("bwrap")
except FileNotFoundError:
    pass)",
       {Layer::kSeccomp}},
      {"tcp", R"(
import socket
def dial(family, to):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.settimeout(1)
    s.connect(to)
port = int(ports[0])
for host in ("127.0.0.1", "127.0.0.2", "0.0.0.0", "localhost"): must_fail(host, lambda: dial(socket.AF_INET, (host, port)))
must_fail("::1", lambda: dial(socket.AF_INET6, ("::1", port)))
must_fail("resolve", lambda: socket.getaddrinfo("example.invalid", 80)))"},
      {"udp",
       R"(
import socket
def send(): return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", int(ports[1])))
must_fail("udp", send))",
       {Layer::kSeccomp}},
      {"network_interfaces", R"(
names = [line.split(":")[0].strip() for line in open("/proc/self/net/dev").read().splitlines()[2:]]
if set(names) - {"lo"}: escaped(names))"},
      {"run_from_shm", R"(
import shutil, subprocess
shutil.copy("/usr/bin/id", "/dev/shm/id")
os.chmod("/dev/shm/id", 0o6755)
out = subprocess.run(["/dev/shm/id", "-u"], capture_output=True).stdout.strip()
if out == b"0": escaped("setuid root", out))"},
      {"listen_outside", R"(
import socket
for p in paths: must_fail(p, lambda: socket.socket(socket.AF_UNIX).bind(os.path.dirname(p) + "/listen")))"},
      {"preload", R"(
for p in ("/etc/ld.so.preload", "/etc/ld.so.conf.d/x.conf", "/etc/ld.so.cache"):
    must_fail(p, lambda: open(p, "w").write("/box/evil.so")))"},
      {"open_flags", R"(
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for p in paths + ["/etc/shadow"]:
    for flags in (0o10000000, 0o20200000, os.O_DIRECTORY):
        fd = libc.openat(-100, p.encode(), flags)
        if fd >= 0: escaped("openat", p, flags)
how = (ctypes.c_uint64 * 3)(0, 0, 0)
for p in paths:
    if libc.syscall(437, -100, p.encode(), how, 24) >= 0: escaped("openat2", p))"},
      {"landlock_only",
       R"(
must_fail("list /", lambda: os.listdir("/"))
must_fail("list /.r1", lambda: os.listdir("/.r1"))
must_fail("read /.r1/init", lambda: read("/.r1/init")))",
       {Layer::kLandlock}},
  };
  return all;
}

// In sandbox_attacks.c.
const std::vector<Attack>& c_attacks() {
  static const std::vector<Layer> seccomp = {Layer::kSeccomp};
  static const std::vector<Attack> all = {
      {"unshare", "", seccomp},
      {"clone", "", seccomp},
      {"clone3", "", seccomp},
      {"setns", "", {}},
      {"mount", "", {}},
      {"new_mount_api", "", seccomp},
      {"umount", "", {}},
      {"pivot_root", "", {}},
      {"chroot", "", {}},
      {"mknod", "", {}},
      {"handles", "", seccomp},
      {"ptrace", "", seccomp},
      {"other_memory", "", seccomp},
      {"pidfd_getfd", "", {}},
      {"kill_all", "", {}},
      {"pid1", "", {Layer::kLandlock}},
      {"io_uring", "", seccomp},
      {"bpf", "", seccomp},
      {"userfaultfd", "", seccomp},
      {"keyrings", "", seccomp},
      {"perf", "", seccomp},
      {"modules", "", {}},
      {"swap_and_quota", "", seccomp},
      {"clock", "", {}},
      {"names", "", {}},
      {"ports_and_ldt", "", seccomp},
      {"personality", "", seccomp},
      {"memfd", "", seccomp},
      {"sysv", "", seccomp},
      {"fanotify", "", seccomp},
      {"splice_tricks", "", seccomp},
      {"numa", "", seccomp},
      {"prctl", "", seccomp},
      {"seccomp", "", seccomp},
      {"int80", "", seccomp},
      {"x32", "", seccomp},
      {"become_root", "", {}},
      {"own_setuid", "", {}},
      {"priority", "", seccomp},
      {"rlimits", "", seccomp},
      {"terminal", "", seccomp},
      {"descriptors", "", {}},
      {"lease", "", {}},
      {"families", "", seccomp},
      {"abstract", "", {}},
      {"unix", "", {}},
  };
  return all;
}

// One line for the log, so that a reader of CI sees what could not be tried.
bool skipped(const Attack& attack) {
  const std::string why = lacking(attack.needs);
  if (!why.empty()) std::printf("  left out: %s: %s\n", attack.name, why.c_str());
  return !why.empty();
}

void expect_held(const Attack& attack, const Outcome& o, const Canaries& canaries) {
  EXPECT_EQ(o.end, End::kExited) << attack.name << ": " << end_name(o.end) << " " << o.reason << o.err;
  EXPECT_EQ(o.out.find("ESCAPED"), std::string::npos) << attack.name << ": " << o.out;
  EXPECT_NE(o.out.find("HELD"), std::string::npos) << attack.name << ": " << o.out << o.err;
  EXPECT_EQ((o.out + o.err).find(canaries.token()), std::string::npos) << attack.name;
}

TEST(SandboxEscape, PythonProgramsStayInside) {
  if (const std::string why = lacking({}); !why.empty()) GTEST_SKIP() << why;
  const Sandbox sandbox(lenient_policy());
  Canaries canaries;
  const Leftovers before;
  const std::string mark = "r1mark" + canaries.token().substr(7);
  std::vector<std::string> arguments = canaries.paths();
  arguments.push_back(std::to_string(canaries.tcp_port()));
  arguments.push_back(std::to_string(canaries.udp_port()));
  std::vector<std::function<void()>> jobs;
  for (const Attack& attack : python_attacks()) {
    if (skipped(attack)) continue;
    for (int i = 0; i < kTimes; ++i) {
      jobs.push_back([&, attack] {
        Program program = python(std::string(kPrelude) + attack.code + kEnd, arguments);
        program.env.emplace_back("R1_MARK", mark);
        expect_held(attack, sandbox.run(program, quick_limits(kWall)), canaries);
      });
    }
  }
  in_parallel(jobs);
  EXPECT_EQ(canaries.touched(), "");
  EXPECT_EQ(before.found(mark), "");
}

TEST(SandboxEscape, SystemCallsAreRefused) {
  if (const std::string why = lacking({}); !why.empty()) GTEST_SKIP() << why;
  if (attacks_binary().empty()) GTEST_SKIP() << "no C compiler (cc) to build tests/verify/sandbox_attacks.c";
  const Sandbox sandbox(lenient_policy());
  Canaries canaries;
  const Leftovers before;
  const std::string mark = "r1mark" + canaries.token().substr(7);
  std::vector<std::function<void()>> jobs;
  for (const Attack& attack : c_attacks()) {
    if (skipped(attack)) continue;
    for (int i = 0; i < kTimes; ++i) {
      jobs.push_back([&, attack] {
        Program program;
        program.argv = {"/attacks", attack.name};
        if (attack.name == std::string("abstract")) program.argv.push_back(canaries.abstract_name());
        if (attack.name == std::string("unix")) program.argv.push_back(canaries.socket_path());
        program.mounts.push_back({attacks_binary(), "/attacks", false});
        program.env.emplace_back("R1_MARK", mark);
        expect_held(attack, sandbox.run(program, quick_limits(kWall)), canaries);
      });
    }
  }
  in_parallel(jobs);
  EXPECT_EQ(canaries.touched(), "");
  EXPECT_EQ(before.found(mark), "");
}

// The same programs do get through where nobody holds them.
TEST(SandboxEscape, AttacksSucceedWithoutTheFilter) {
  if (const std::string why = lacking({}); !why.empty()) GTEST_SKIP() << why;
  if (attacks_binary().empty()) GTEST_SKIP() << "no C compiler (cc) to build tests/verify/sandbox_attacks.c";
  const Sandbox open({lenient_policy().may_miss, {Layer::kSeccomp, Layer::kLandlock}});
  for (const char* name : {"memfd", "sysv", "families", "personality"}) {
    Program program;
    program.argv = {"/attacks", name};
    program.mounts.push_back({attacks_binary(), "/attacks", false});
    EXPECT_NE(open.run(program, quick_limits(kWall)).out.find("ESCAPED"), std::string::npos) << name;
  }
}

// Sockets that stand in a mounted folder, open to everybody: a read-only mount does not keep anybody from connecting to them.
TEST(SandboxEscape, SocketsInMountsCannotBeReached) {
  if (const std::string why = lacking({Layer::kSeccomp}); !why.empty()) GTEST_SKIP() << why;
  if (attacks_binary().empty()) GTEST_SKIP() << "no C compiler (cc) to build tests/verify/sandbox_attacks.c";
  const HostSockets sockets;
  Program program;
  program.argv = {"/attacks", "unix", "/data/socket"};
  program.mounts = {{attacks_binary(), "/attacks", false}, {sockets.folder(), "/data", false}};
  // The sockets are there and can be reached where nobody filters.
  Policy open = lenient_policy();
  open.pretend_missing = {Layer::kSeccomp, Layer::kLandlock};
  open.may_miss.insert(open.may_miss.end(), {Layer::kSeccomp, Layer::kLandlock});
  EXPECT_NE(Sandbox(open).run(program, quick_limits(kWall)).out.find("ESCAPED"), std::string::npos);
  EXPECT_EQ(sockets.touched(), " stream datagram");
  const HostSockets fresh;
  program.mounts[1].host = fresh.folder();
  Policy filtered = lenient_policy();
  for (const bool landlock : {true, false}) {  // the filter alone must do
    if (!landlock) filtered.pretend_missing = {Layer::kLandlock}, filtered.may_miss.push_back(Layer::kLandlock);
    const Outcome o = Sandbox(filtered).run(program, quick_limits(kWall));
    EXPECT_EQ(o.out, "HELD\n") << o.err << o.reason;
    EXPECT_EQ(fresh.touched(), "");
  }
}

// A pair of connected sockets is no way out, and Python's event loops need one.
TEST(SandboxEscape, PairsOfSocketsWork) {
  if (const std::string why = lacking({}); !why.empty()) GTEST_SKIP() << why;
  const Outcome o = Sandbox(lenient_policy())
                        .run(python("import socket, asyncio\na, b = socket.socketpair()\na.sendall(b'hi')\nprint(b.recv(9))\n"
                                    "async def f(): return 7\nprint(asyncio.run(f()))\n"),
                             quick_limits(kWall));
  EXPECT_EQ(o.out, "b'hi'\n7\n") << o.err << o.reason;
}

// The canaries do come out where nothing holds them: the attacks above could have seen them.
TEST(SandboxEscape, CanariesCanBeSeenWhereTheyAreMounted) {
  if (const std::string why = lacking({}); !why.empty()) GTEST_SKIP() << why;
  Canaries canaries;
  Program program = python(std::string(kPrelude) + "print(read('/secret').decode())");
  program.mounts.push_back({canaries.paths()[0], "/secret", false});
  const Outcome o = Sandbox(lenient_policy()).run(program, quick_limits(kWall));
  EXPECT_EQ(o.out, canaries.token() + "\n") << o.err << o.reason;
}

}  // namespace
}  // namespace r1::verify::sandbox
