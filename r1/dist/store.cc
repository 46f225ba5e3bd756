#include "r1/dist/store.h"

#include <arpa/inet.h>
#include <c10/util/Flags.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>

#include "r1/base/error.h"
#include "r1/dist/waiting.h"

C10_DECLARE_int(caffe2_log_level);

namespace r1::dist {
namespace {

using Clock = std::chrono::steady_clock;

std::chrono::milliseconds milliseconds(double seconds) {
  return std::chrono::milliseconds(int64_t(std::min(seconds, 1e9) * 1000));
}

struct Addresses {
  addrinfo* list = nullptr;
  ~Addresses() {
    if (list) freeaddrinfo(list);
  }
};

// The name of a pod or node may be known only some time after the first process starts.
bool may_come(int error) {
#ifdef EAI_NODATA
  if (error == EAI_NODATA) return true;
#endif
  return error == EAI_NONAME || error == EAI_AGAIN;
}

void resolve(const std::string& host, int port, int type, double patience, Addresses& out) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = type;
  Waiting waiting(patience);
  while (const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &out.list)) {
    if (!may_come(error) || waiting.left() <= 0)
      fail_usage("the host '", printable(host), "' has no address: ", gai_strerror(error), " (MASTER_ADDR)");
    waiting.look([&] { return str("the host '", printable(host), "' to have an address (", gai_strerror(error), ")"); });
    std::this_thread::sleep_for(std::chrono::duration<double>(Waiting::kSlice));
  }
}

bool means_loopback(const sockaddr* address) {
  if (address->sa_family == AF_INET) return (ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr) >> 24) == 127;
  return address->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr);
}

// "localhost", "127.1": loopback on every machine.
bool written_as_loopback(const std::string& host) {
  return host == "localhost" || is_loopback(host);
}

std::string digits_of(const sockaddr* address, socklen_t length) {
  char text[NI_MAXHOST] = "";
  return getnameinfo(address, length, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0 ? text : "";
}

// Attempts of a few seconds each, between which Ctrl-C is heard.
c10::intrusive_ptr<::c10d::Store> connected(const StoreAddress& address, ::c10d::TCPStoreOptions options) {
  if (options.isServer) return c10::make_intrusive<::c10d::TCPStore>(address.host, options);
  Waiting waiting(address.timeout);
  Addresses addresses;
  resolve(address.host, address.port, SOCK_STREAM, address.timeout, addresses);
  for (double attempt = 1;; attempt = std::min(2 * attempt, 8.0)) {
    try {
      options.timeout = milliseconds(std::clamp(waiting.left(), 0.1, attempt));
      return c10::make_intrusive<::c10d::TCPStore>(address.host, options);
    } catch (const std::exception&) {
      if (waiting.left() <= 0) throw;
    }
    waiting.look([&] { return str("who holds the store on ", address.host, ":", address.port, " (rank 0, or the launcher)"); });
  }
}

}  // namespace

// Runs the calls, one after another.
struct Store::Worker {
  c10::intrusive_ptr<::c10d::Store> store;
  std::mutex mutex;
  std::condition_variable ready;
  std::deque<std::function<void()>> tasks;
  bool done = false, gone = false, ended = false;

  static std::shared_ptr<Worker> start(c10::intrusive_ptr<::c10d::Store> store) {
    auto worker = std::make_shared<Worker>();
    worker->store = std::move(store);
    std::thread([worker] { worker->run(); }).detach();
    return worker;
  }

  void run() {
    std::unique_lock lock(mutex);
    for (;;) {
      ready.wait(lock, [&] { return done || !tasks.empty(); });
      if (tasks.empty()) break;
      auto task = std::move(tasks.front());
      tasks.pop_front();
      lock.unlock();
      task();
      lock.lock();
    }
    auto last = std::move(store);
    lock.unlock();
    last.reset();  // what it serves ends here, if nobody else has it
    lock.lock();
    ended = true;
    ready.notify_all();
  }

  template <class T>
  T call(const std::string& name, double answer, std::function<T(::c10d::Store&)> work) {
    auto task = std::make_shared<std::packaged_task<T()>>([work, store = store] { return work(*store); });
    auto result = task->get_future();
    {
      const std::lock_guard lock(mutex);
      check(!gone, "the store on ", name, " is gone (the process that holds it has ended)");
      tasks.push_back([task] { (*task)(); });
    }
    ready.notify_one();
    if (result.wait_for(milliseconds(answer)) != std::future_status::ready)
      fail("the store on ", name, " does not answer within ", answer, " s (the process that holds it is stopped, or the network is down)");
    try {
      return result.get();
    } catch (const std::exception& error) {
      const std::lock_guard lock(mutex);
      gone = true;
      fail("the store on ", name, " is gone (the process that holds it has ended): ", foreign_message(error.what()));
    }
  }
};

Store::Store(const StoreAddress& address) : address_(address) {
  FLAGS_caffe2_log_level = 3;  // c10d says on stderr, with a stack each, what comes back as an exception anyway
  ::c10d::TCPStoreOptions options;
  options.isServer = address.serve;
  options.waitWorkers = false;
  options.timeout = milliseconds(address.timeout);
  if (address.serve) {
    options.masterListenFd = listen_on(address.host, address.port, address.timeout);
    sockaddr_storage bound{};
    socklen_t length = sizeof bound;
    getsockname(*options.masterListenFd, reinterpret_cast<sockaddr*>(&bound), &length);
    address_.port = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port
                                                      : reinterpret_cast<sockaddr_in&>(bound).sin_port);
  }
  options.port = uint16_t(address_.port);
  try {
    c10::intrusive_ptr<::c10d::Store> store = connected(address_, options);
    store->setTimeout(milliseconds(address.timeout));
    if (!address.prefix.empty()) store = c10::make_intrusive<::c10d::PrefixStore>(address.prefix, store);
    worker_ = Worker::start(std::move(store));
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    fail("nobody answers on ", name(), " within ", address.timeout,
         " s: the process that holds the store (rank 0, or the launcher) is not there, or ",
         "MASTER_ADDR and MASTER_PORT are not its own (", foreign_message(error.what()), ")");
  }
}

Store::Store(StoreAddress address, std::shared_ptr<Worker> worker) : address_(std::move(address)), worker_(std::move(worker)) {}

Store::~Store() {
  if (!worker_) return;
  std::unique_lock lock(worker_->mutex);
  worker_->done = true;
  worker_->ready.notify_all();
  // The port is free again when this returns, unless a call hangs.
  if (address_.serve) worker_->ready.wait_for(lock, milliseconds(kAnswer), [this] { return worker_->ended; });
}

void Store::set(const std::string& key, const std::string& value, double answer) {
  worker_->call<bool>(name(), answer, [key, value](::c10d::Store& store) { return store.set(key, value), true; });
}

std::optional<std::string> Store::get(const std::string& key, double answer) {
  return worker_->call<std::optional<std::string>>(name(), answer, [key](::c10d::Store& store) -> std::optional<std::string> {
    if (!store.check({key})) return std::nullopt;
    return store.get_to_str(key);
  });
}

std::optional<std::string> Store::wait(const std::string& key, double seconds, double answer) {
  const auto end = Clock::now() + milliseconds(seconds);
  for (auto pause = std::chrono::milliseconds(1);; pause = std::min(2 * pause, std::chrono::milliseconds(100))) {
    if (auto value = get(key, answer)) return value;
    if (Clock::now() >= end) return std::nullopt;
    std::this_thread::sleep_for(pause);
  }
}

int64_t Store::add(const std::string& key, int64_t amount) {
  return worker_->call<int64_t>(name(), kAnswer, [key, amount](::c10d::Store& store) { return store.add(key, amount); });
}

bool Store::answers() {
  try {
    get("is anybody there");
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::unique_ptr<Store> Store::clone() const {
  StoreAddress address = address_;
  address.serve = false;
  return std::make_unique<Store>(address);
}

std::string Store::name() const {
  return str(address_.host, ":", address_.port);
}

c10::intrusive_ptr<::c10d::Store> Store::c10d() const {
  return worker_->store;
}

int listen_on(const std::string& host, int port, double patience) {
  Addresses addresses;
  resolve(host, port, SOCK_STREAM, patience, addresses);
  const bool loopback = written_as_loopback(host);
  const int family = addresses.list->ai_family;
  const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  check(fd >= 0, "no socket: ", std::strerror(errno));
  const int yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_storage where{};
  std::memcpy(&where, addresses.list->ai_addr, addresses.list->ai_addrlen);
  // A name's own address may be that of another interface than the one others come by.
  if (!loopback && family == AF_INET) reinterpret_cast<sockaddr_in&>(where).sin_addr.s_addr = htonl(INADDR_ANY);
  if (!loopback && family == AF_INET6) reinterpret_cast<sockaddr_in6&>(where).sin6_addr = in6addr_any;
  if (bind(fd, reinterpret_cast<const sockaddr*>(&where), addresses.list->ai_addrlen) != 0 || listen(fd, 1024) != 0) {
    const int error = errno;
    close(fd);
    if (error == EADDRINUSE)
      fail_usage("port ", port, " on ", host, " (", own_host(),
                 ") is taken by another process; give another MASTER_PORT (r1 launch: --port)");
    fail_usage("cannot listen on ", host, ":", port, ": ", std::strerror(error));
  }
  return fd;
}

std::string own_address_towards(const std::string& host) {
  Addresses addresses;
  resolve(host, 9, SOCK_DGRAM, kAnswer, addresses);
  const int fd = socket(addresses.list->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  check(fd >= 0, "no socket: ", std::strerror(errno));
  sockaddr_storage own{};
  socklen_t length = sizeof own;
  // Nothing is sent: the kernel only picks the way.
  const bool found = connect(fd, addresses.list->ai_addr, addresses.list->ai_addrlen) == 0 &&
                     getsockname(fd, reinterpret_cast<sockaddr*>(&own), &length) == 0;
  close(fd);
  const std::string text = found ? digits_of(reinterpret_cast<sockaddr*>(&own), length) : "";
  if (text.empty()) fail_usage("there is no way from ", own_host(), " to '", printable(host), "' (MASTER_ADDR)");
  return text;
}

std::string address_of(const std::string& host) {
  Addresses addresses;
  resolve(host, 9, SOCK_DGRAM, kAnswer, addresses);
  return digits_of(addresses.list->ai_addr, addresses.list->ai_addrlen);
}

bool is_loopback(const std::string& address) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST;
  Addresses found;
  return getaddrinfo(address.c_str(), nullptr, &hints, &found.list) == 0 && means_loopback(found.list->ai_addr);
}

std::string own_host() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace r1::dist
