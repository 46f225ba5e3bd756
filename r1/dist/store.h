// Where ranks meet: a small table of texts that one process holds and all others reach over TCP (c10d's TCPStore). The process is the launcher
// (r1 launch, torchrun) or rank 0. The table is neither encrypted nor guarded by a password: for loopback and private networks only.
// No call waits longer than its time, also when the process that holds the table is stopped: each runs on a thread of its own that is left
// behind then. Errors name host and port.
#pragma once

#include <c10/util/intrusive_ptr.h>

#include <memory>
#include <optional>
#include <string>

namespace c10d {
class Store;
}

namespace r1::dist {

struct StoreAddress {
  std::string host = "127.0.0.1";
  int port = 0;             // 0, with serve: any free one
  bool serve = false;       // this process holds the table
  double timeout = 600;     // seconds until the holder must be there
  std::string prefix = {};  // of all keys: a restart does not see what was written before it
};

class Store {
 public:
  explicit Store(const StoreAddress& address);
  ~Store();

  void set(const std::string& key, const std::string& value);
  std::optional<std::string> get(const std::string& key);                   // nothing: not there (yet)
  std::optional<std::string> wait(const std::string& key, double seconds);  // nothing: not there in time
  int64_t add(const std::string& key, int64_t amount);                      // the sum so far
  bool answers();                                                           // false: lost, stopped or gone
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

// A socket that listens on host:port (0: any free one; loopback names listen on loopback alone); kUsage if the port is taken.
int listen_on(const std::string& host, int port);
// The address of this machine on the way to `host`: what others reach it by.
std::string own_address_towards(const std::string& host);
std::string own_host();

}  // namespace r1::dist
