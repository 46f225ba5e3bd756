#include "r1/verify/sandbox/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "r1/base/error.h"

namespace r1::verify::sandbox {
namespace {

// The control socket as descriptor 0, all signals as at birth, a session of its own (Ctrl-C in our terminal is ours to handle).
class SpawnSettings {
 public:
  explicit SpawnSettings(int control) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawn_file_actions_adddup2(&actions_, control, 0);
    ::posix_spawnattr_init(&attributes_);
    sigset_t none, all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
  }
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  SpawnSettings(const SpawnSettings&) = delete;

  int spawn(pid_t* pid, const char* path) {
    char name[] = "r1-sandbox", mode[] = "supervise";
    char* argv[] = {name, mode, nullptr};
    char* environment[] = {nullptr};
    return ::posix_spawn(pid, path, &actions_, &attributes_, argv, environment);
  }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

void send_descriptors(int socket, const std::vector<int>& fds) {
  char byte = 'S';
  iovec part{&byte, 1};
  std::vector<char> control(CMSG_SPACE(fds.size() * sizeof(int)), '\0');
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
  std::memcpy(CMSG_DATA(head), fds.data(), fds.size() * sizeof(int));
  ssize_t sent;
  do sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  check(sent == 1, "[sandbox] cannot hand descriptors to the supervisor: ", std::strerror(errno));
}

}  // namespace

Supervisor spawn_supervisor(const Fd& launcher, const std::vector<int>& fds) {
  int ends[2];
  const bool made = ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0;  // before errno is asked
  check(made, "[sandbox] no socket pair: ", std::strerror(errno), "; raise the limit on open files (ulimit -n)");
  Supervisor supervisor{-1, Fd(ends[0])};
  const Fd theirs(ends[1]);
  SpawnSettings settings(theirs.get());
  const std::string path = "/proc/self/fd/" + std::to_string(launcher.get());
  const int bad = settings.spawn(&supervisor.pid, path.c_str());
  check(bad == 0, "[sandbox] cannot start the supervisor: ", std::strerror(bad),
        bad == EACCES ? "; is vm.memfd_noexec 2? The sandbox needs 0 or 1" : "");
  try {
    send_descriptors(supervisor.control.get(), fds);
  } catch (...) {
    ::kill(supervisor.pid, SIGKILL);
    ::waitpid(supervisor.pid, nullptr, 0);
    throw;
  }
  return supervisor;
}

}  // namespace r1::verify::sandbox
