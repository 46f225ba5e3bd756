#include "tests/verify/sandbox_support.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>
#include <tuple>

namespace r1::verify::sandbox {

namespace fs = std::filesystem;

Program python(const std::string& code, std::vector<std::string> arguments) {
  Program program;
  program.argv = {"/usr/bin/python3", "-I", "-S", "-c", code};
  program.argv.insert(program.argv.end(), arguments.begin(), arguments.end());
  return program;
}

Program shell(const std::string& script) {
  Program program;
  program.argv = {"/bin/sh", "-c", script};
  return program;
}

Limits quick_limits(double wall_seconds) {
  Limits limits;
  limits.wall_seconds = wall_seconds;
  limits.memory_bytes = 96 << 20;
  limits.disk_bytes = 16 << 20;
  limits.output_bytes = 64 << 10;
  return limits;
}

bool has_layer(Layer layer) {
  const auto states = examine();
  return std::any_of(states.begin(), states.end(), [&](const LayerState& s) { return s.layer == layer && s.available; });
}

Policy lenient_policy() {
  return {{Layer::kSeccomp, Layer::kRlimits, Layer::kCgroup, Layer::kLandlock}, {}};
}

void in_parallel(const std::vector<std::function<void()>>& jobs, int threads) {
  std::atomic<size_t> next = 0;
  std::vector<std::thread> workers;
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([&] {
      for (size_t i = next++; i < jobs.size(); i = next++) {
        try {
          jobs[i]();
        } catch (const std::exception& error) {
          ADD_FAILURE() << error.what();
        }
      }
    });
  }
  for (auto& worker : workers) worker.join();
}

// ---- canaries ----
namespace {

std::string random_word() {
  std::random_device device;
  std::string word;
  for (int i = 0; i < 24; ++i) word += char('a' + device() % 26);
  return word;
}

int listening(int family, int type, const sockaddr* address, socklen_t size) {
  const int fd = ::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  EXPECT_EQ(::bind(fd, address, size), 0) << std::strerror(errno);
  if (type == SOCK_STREAM) {
    EXPECT_EQ(::listen(fd, 64), 0);
  }
  return fd;
}

int port_of(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

bool readable(int fd) {
  pollfd on{fd, POLLIN, 0};
  return ::poll(&on, 1, 0) == 1;
}

}  // namespace

Canaries::Canaries() : token_("canary-" + random_word()) {
  for (const char* folder : {"/tmp", "/var/tmp", "/dev/shm"}) {
    if (::access(folder, W_OK) != 0) continue;
    const fs::path own = fs::path(folder) / ("r1-host-" + random_word());
    fs::create_directory(own);
    ::chmod(own.c_str(), 0777);  // only the sandbox stands in the way
    std::ofstream(own / "secret") << token_;
    ::chmod((own / "secret").c_str(), 0666);
    paths_.push_back(own / "secret");
  }
  ::setenv("R1_TEST_CANARY", token_.c_str(), 1);
  sockaddr_in loopback{};
  loopback.sin_family = AF_INET;
  loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  tcp_ = listening(AF_INET, SOCK_STREAM, reinterpret_cast<sockaddr*>(&loopback), sizeof loopback);
  udp_ = listening(AF_INET, SOCK_DGRAM, reinterpret_cast<sockaddr*>(&loopback), sizeof loopback);
  tcp_port_ = port_of(tcp_);
  udp_port_ = port_of(udp_);
  abstract_name_ = "r1-" + random_word();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, abstract_name_.data(), abstract_name_.size());
  const auto size = socklen_t(offsetof(sockaddr_un, sun_path) + 1 + abstract_name_.size());
  abstract_ = listening(AF_UNIX, SOCK_STREAM, reinterpret_cast<sockaddr*>(&address), size);
  address.sun_path[1] = 'd';  // the datagram one has a name of its own, tried by the same attack
  abstract_datagram_ = listening(AF_UNIX, SOCK_DGRAM, reinterpret_cast<sockaddr*>(&address), size);
  socket_path_ = fs::path(paths_.at(0)).parent_path() / "socket";
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  std::strncpy(at.sun_path, socket_path_.c_str(), sizeof at.sun_path - 1);
  unix_ = listening(AF_UNIX, SOCK_STREAM, reinterpret_cast<sockaddr*>(&at), sizeof at);
  ::chmod(socket_path_.c_str(), 0666);
}

Canaries::~Canaries() {
  for (const int fd : {tcp_, udp_, abstract_, abstract_datagram_, unix_}) ::close(fd);
  for (const auto& path : paths_) fs::remove_all(fs::path(path).parent_path());
  ::unsetenv("R1_TEST_CANARY");
}

std::string Canaries::touched() {
  std::string what;
  if (readable(tcp_)) what += " tcp listener";
  if (readable(udp_)) what += " udp socket";
  if (readable(abstract_) || readable(abstract_datagram_)) what += " abstract socket";
  if (readable(unix_)) what += " unix socket";
  for (const auto& path : paths_) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    if (text.str() != token_) what += " " + path;
    size_t entries = 0;
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator(fs::path(path).parent_path())) ++entries;
    if (entries != (fs::path(path).parent_path() == fs::path(socket_path_).parent_path() ? 2u : 1u)) what += " files beside " + path;
  }
  return what;
}

HostSockets::HostSockets() : folder_(fs::temp_directory_path() / ("r1-host-" + random_word())) {
  fs::create_directory(folder_);
  ::chmod(folder_.c_str(), 0777);
  for (const auto& [fd, name, type] : {std::tuple{&stream_, "socket", SOCK_STREAM}, {&datagram_, "socketd", SOCK_DGRAM}}) {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    const std::string path = folder_ + "/" + name;
    std::strncpy(at.sun_path, path.c_str(), sizeof at.sun_path - 1);
    *fd = listening(AF_UNIX, type, reinterpret_cast<sockaddr*>(&at), sizeof at);
    ::chmod(path.c_str(), 0666);
  }
}
HostSockets::~HostSockets() {
  ::close(stream_), ::close(datagram_);
  fs::remove_all(folder_);
}
std::string HostSockets::touched() const {
  return std::string(readable(stream_) ? " stream" : "") + (readable(datagram_) ? " datagram" : "");
}

// ---- leftovers ----
namespace {

std::string slurp(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

size_t open_descriptors() {
  size_t n = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/self/fd")) ++n;
  return n;
}

std::string marked_processes(const std::string& mark) {
  std::string found;
  const std::string me = std::to_string(::getpid());
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string pid = entry.path().filename();
    if (pid.empty() || !std::isdigit(static_cast<unsigned char>(pid[0])) || pid == me) continue;
    const std::string stat = slurp("/proc/" + pid + "/stat");
    const size_t end = stat.rfind(')');
    if (end == std::string::npos) continue;
    std::istringstream fields(stat.substr(end + 2));
    std::string state, parent;
    fields >> state >> parent;
    if (parent == me && stat.find("(r1-sandbox)") != std::string::npos) found += " supervisor " + pid;
    if (slurp("/proc/" + pid + "/environ").find(mark) != std::string::npos) found += " process " + pid + " " + stat.substr(0, end);
  }
  return found;
}

std::string own_cgroups() {
  std::string found;
  const std::string prefix = "r1-sandbox-" + std::to_string(::getpid()) + "-";
  std::error_code error;
  if (!fs::exists("/sys/fs/cgroup")) return "";
  for (auto it = fs::recursive_directory_iterator("/sys/fs/cgroup", fs::directory_options::skip_permission_denied, error);
       it != fs::recursive_directory_iterator(); it.increment(error)) {
    if (error) break;
    if (it->path().filename().string().starts_with(prefix)) found += " cgroup " + it->path().string();
  }
  return found;
}

}  // namespace

Leftovers::Leftovers() {
  examine();  // opens the files that all runs share
  mounts_ = slurp("/proc/self/mountinfo");
  descriptors_ = open_descriptors();
}

std::string Leftovers::found(const std::string& mark) const {
  std::string what = marked_processes(mark) + own_cgroups();
  if (slurp("/proc/self/mountinfo") != mounts_) what += " mounts";
  if (open_descriptors() != descriptors_)
    what += " descriptors " + std::to_string(descriptors_) + " -> " + std::to_string(open_descriptors());
  for (const char* folder : {"/tmp", "/var/tmp", "/dev/shm", "/", "/usr/bin", "/etc"}) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      if (entry.path().filename().string().find(mark) != std::string::npos) what += " file " + entry.path().string();
    }
  }
  return what;
}

// ---- the compiled attacks ----
namespace {

struct Compiled {
  std::string path;
  fs::path folder;
  Compiled() {
    if (std::system("command -v cc > /dev/null 2>&1") != 0) return;
    folder = fs::temp_directory_path() / ("r1-attacks-" + random_word());
    fs::create_directory(folder);
    ::chmod(folder.c_str(), 0755);
    const std::string source = std::string(R1_TEST_DIR) + "/sandbox_attacks.c", to = folder / "attacks";
    if (std::system(("cc -O1 -w -pthread '" + source + "' -o '" + to + "'").c_str()) == 0) path = to;
  }
  ~Compiled() {
    if (!folder.empty()) fs::remove_all(folder);
  }
};

}  // namespace

const std::string& attacks_binary() {
  static const Compiled compiled;
  return compiled.path;
}

}  // namespace r1::verify::sandbox
