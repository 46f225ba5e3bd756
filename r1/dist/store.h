// Where ranks meet: a small table of texts that one process holds and all others reach over TCP (c10d's TCPStore). The process is the launcher
// (r1 launch, torchrun) or rank 0. The table is neither encrypted nor guarded by a password: for loopback and private networks only.
// No call waits longer than its time, also when the process that holds the table is stopped: calls run on a thread of their own, in their order,
// and who gives one up does not wait for it. When the holder runs again, later calls are answered as ever. Errors name host and port.
#pragma once

#include <c10/util/intrusive_ptr.h>

#include <memory>
#include <optional>
#include <string>

namespace c10d {
class Store;
}

namespace r1::dist {

inline constexpr double kAnswer = 4;  // seconds that a call may take, where a holder that works needs milliseconds

struct StoreAddress {
  std::string host = "127.0.0.1";
  int port = 0;             // 0, with serve: any free one
  bool serve = false;       // this process holds the table
  double timeout = 600;     // seconds until the host must have an address and the holder be there; Ctrl-C ends the waiting (kInterrupted)
  std::string prefix = {};  // of all keys: a restart does not see what was written before it
};

class Store {
 public:
  explicit Store(const StoreAddress& address);
  ~Store();

  // `answer`: seconds that the holder may take. A launcher that was stopped (Ctrl-Z) and goes on is no reason to end a run.
  void set(const std::string& key, const std::string& value, double answer = kAnswer);
  std::optional<std::string> get(const std::string& key, double answer = kAnswer);  // nothing: not there (yet)
  // Nothing: not there within `seconds`, or within a pause of the holder of up to `answer`.
  std::optional<std::string> wait(const std::string& key, double seconds, double answer = kAnswer);
  int64_t add(const std::string& key, int64_t amount);  // the sum so far
  bool answers();                                       // false: stopped or gone
  // A second connection: calls of one wait for each other.
  std::unique_ptr<Store> clone() const;

  const StoreAddress& address() const { return address_; }  // with the port that it came to
  std::string name() const;                                 // "host:port"
  c10::intrusive_ptr<c10d::Store> c10d() const;             // for the backends

 private:
  struct Worker;
  Store(StoreAddress address, std::shared_ptr<Worker> worker);
  StoreAddress address_;
  std::shared_ptr<Worker> worker_;
};

// A socket that listens on port (0: any free one) of all addresses, or of loopback alone if the host is written as that: localhost, 127.0.0.1,
// ::1. Another name that means loopback on its own machine (Debian's 127.0.1.1) means the network to others. kUsage if the port is taken.
// `patience`: seconds until the host must have an address.
int listen_on(const std::string& host, int port, double patience = 0);
// The address of this machine on the way to `host`: what others reach it by. Loopback where the host is this machine.
std::string own_address_towards(const std::string& host);
std::string address_of(const std::string& host);  // in digits
bool is_loopback(const std::string& address);     // in digits
std::string own_host();

}  // namespace r1::dist
