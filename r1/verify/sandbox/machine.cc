#include "r1/verify/sandbox/machine.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <sstream>

#include "r1/base/error.h"
#include "r1/base/open_files.h"
#include "r1/verify/sandbox/bubblewrap.h"
#include "r1/verify/sandbox/launcher_image.h"
#include "r1/verify/sandbox/seccomp_filter.h"
#include "r1/verify/sandbox/setup_format.h"
#include "r1/verify/sandbox/start.h"

namespace r1::verify::sandbox {
namespace {

// Root of the host must not be root's files' owner inside, and limits on processes don't hold for it; so a root caller becomes a user that
// owns nothing: one that no system gives out, or, in a container with few users, nobody.
uint32_t unprivileged_user() {
  if (::geteuid() != 0) return R1_NO_UID;
  constexpr uint32_t kOurs = 0x52310000, kNobody = 65534;
  std::ifstream map("/proc/self/uid_map");
  uint64_t inside = 0, outside = 0, count = 0, highest = 0;
  while (map >> inside >> outside >> count) {
    if (kOurs >= inside && kOurs < inside + count) return kOurs;
    if (kNobody >= inside && kNobody < inside + count) highest = kNobody;
  }
  return highest ? kNobody : R1_NO_UID;  // a user namespace with one user: its root is an ordinary user outside
}

// Since 5.14 RLIMIT_NPROC counts within the sandbox's user namespace; before, all processes of the user on the machine.
bool counts_processes_in_namespace() {
  utsname kernel{};
  int major = 0, minor = 0;
  return ::uname(&kernel) == 0 && std::sscanf(kernel.release, "%d.%d", &major, &minor) == 2 && (major > 5 || (major == 5 && minor >= 14));
}

// "seccomp 2" lines of the launcher's probe.
long fact(const std::string& text, const std::string& name, long missing) {
  std::istringstream in(text);
  std::string key;
  for (long value = 0; in >> key >> value;) {
    if (key == name) return value;
  }
  return missing;
}

Outcome run_probe(const Machine& machine, Layers layers) {
  layers.probe = true;
  Program probe;
  probe.argv = {R1_INIT_PATH, "probe"};
  Limits limits;
  limits.wall_seconds = 10;
  limits.memory_bytes = 64 << 20;
  limits.disk_bytes = 1 << 20;
  return start_process(machine, layers, probe, limits)->finish();
}

// The first of bubblewrap's variants that works, strictest first. Says why none does.
std::string find_namespaces(Machine& m) {
  if (m.bubblewrap.empty()) return "bubblewrap is not installed (apt install bubblewrap)";
  std::string why;
  for (const bool proc : {true, false}) {
    for (const bool disable : {true, false}) {
      m.layers.disable_userns = disable;
      m.layers.proc = proc;
      const Outcome outcome = run_probe(m, m.layers);
      if (outcome.end == End::kExited && outcome.status == 0 && fact(outcome.out, "pid", 0) > 1) return "";
      if (why.empty()) why = outcome.reason;
    }
  }
  while (!why.empty() && why.back() == '\n') why.pop_back();
  return why +
         "; needs bubblewrap 0.8 or later and unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, "
         "user.max_user_namespaces > 0, kernel.apparmor_restrict_unprivileged_userns=0; in a container: --security-opt seccomp=unconfined "
         "--security-opt apparmor=unconfined --security-opt systempaths=unconfined)";
}

std::string namespaces_detail(const Machine& m) {
  std::string text = m.bubblewrap + ": user, pid, net, ipc, mount, uts";
  text += m.layers.disable_userns ? ", no further user namespaces" : ", further user namespaces stopped by seccomp alone";
  if (!m.layers.proc) text += "; a new /proc cannot be mounted here (a container's masked /proc?), programs see none";
  if (m.uid != R1_NO_UID) text += str("; as user ", m.uid, " of the host");
  return text;
}

// With everything on: does the program feel it?
void confirm(Machine& m, std::string& seccomp, std::string& cgroup, std::string& landlock) {
  const Outcome outcome = run_probe(m, m.layers);
  if (outcome.end == End::kExited && outcome.status == 0) {
    if (fact(outcome.out, "seccomp", 0) != 2) m.layers.seccomp = false, seccomp = "the filter was not in force inside";
    if (fact(outcome.out, "no_new_privs", 0) != 1) m.layers.seccomp = false, seccomp = "no_new_privs was not in force inside";
    if (fact(outcome.out, "list_root", 0) != -13) m.layers.landlock = false, landlock = "the rules were not in force inside";
    return;
  }
  // Which one is it? Each by itself.
  const auto alone = [&](bool Layers::*layer, std::string& why) {
    if (!(m.layers.*layer)) return;
    Layers one = m.layers;
    one.seccomp = one.cgroup = one.landlock = false;
    one.*layer = true;
    const Outcome o = run_probe(m, one);
    if (o.end != End::kExited || o.status != 0) m.layers.*layer = false, why = o.reason;
  };
  alone(&Layers::seccomp, seccomp);
  alone(&Layers::cgroup, cgroup);
  alone(&Layers::landlock, landlock);
}

Machine look_around() {
  Machine m;
  m.bubblewrap = find_bubblewrap();
  m.uid = unprivileged_user();
  m.launcher = memory_file("r1-sandbox-launcher", launcher_image(), true);
  m.filter = memory_file("r1-sandbox-filter", seccomp_filter());
  m.passwd = memory_file("r1-sandbox-passwd", "sandbox:x:1000:1000::/box:/bin/sh\n");
  m.group = memory_file("r1-sandbox-group", "sandbox:x:1000:\n");
  m.hosts = memory_file("r1-sandbox-hosts", "127.0.0.1 localhost sandbox\n");
  m.system = system_arguments(m.rules);
  m.cgroups = CgroupTrees::find();
  m.landlock = landlock_abi();
  const std::string namespaces = find_namespaces(m);
  const bool there = namespaces.empty();
  std::string seccomp = "this kernel takes no seccomp filters (CONFIG_SECCOMP_FILTER)", cgroup = m.cgroups.detail(),
              landlock = "this kernel has no Landlock, or it is off (Linux 5.13 or later; boot with lsm=landlock,...)";
  m.layers.seccomp = there && kernel_has_seccomp();
  m.layers.cgroup = there && m.cgroups.has_memory();
  m.layers.landlock = there && m.landlock > 0;
  if (there) confirm(m, seccomp, cgroup, landlock);
  const bool limits = counts_processes_in_namespace();
  const std::string hidden = "unknown while namespaces are missing";
  m.states = {
      {Layer::kNamespaces, there, there ? namespaces_detail(m) : namespaces},
      {Layer::kSeccomp, m.layers.seccomp,
       m.layers.seccomp ? "allow-list in force"
       : there          ? seccomp
                        : hidden},
      {Layer::kRlimits, there && limits,
       !there   ? hidden
       : limits ? "in force"
                : "limits on processes need Linux 5.14 or later"},
      {Layer::kCgroup, m.layers.cgroup, m.layers.cgroup || there ? cgroup : hidden},
      {Layer::kLandlock, m.layers.landlock,
       m.layers.landlock ? str("ABI ", m.landlock)
       : there           ? landlock
                         : hidden},
  };
  return m;
}

}  // namespace

const Machine& machine() {
  // A program that runs holds about twenty descriptors here, and they run side by side.
  static const Machine found = (allow_open_files(1 << 16), look_around());
  return found;
}

}  // namespace r1::verify::sandbox
