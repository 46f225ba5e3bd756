// A command that serves until it is stopped: it runs on a port of its own, and a thread of the test asks it and then stops it.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>

#include "r1/base/interrupt.h"
#include "tests/http/client.h"

namespace r1::app::testing {

inline int free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  check(fd >= 0 && ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0, "no free port");
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(fd);
  return ntohs(address.sin_port);
}

// As long as it lives, R1_PORT names a free port; once something there says that it is ready, `ask` is called with the port, and the program is
// asked to stop.
class WhileServing {
 public:
  explicit WhileServing(std::function<void(int port)> ask = {}) : port_(free_port()) {
    setenv("R1_PORT", std::to_string(port_).c_str(), 1);
    thread_ = std::thread([this, ask = std::move(ask)] {
      while (!ended_ && !ready()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
      try {
        if (!ended_ && ask) ask(port_);
      } catch (const std::exception& e) {
        ADD_FAILURE() << e.what();
      }
      request_interrupt();
    });
  }
  ~WhileServing() {
    ended_ = true;
    thread_.join();
    clear_interrupt();
    unsetenv("R1_PORT");
  }

 private:
  bool ready() const {
    try {
      return http::test::Client(port_).get("/health").status == 200;
    } catch (const std::exception&) {
      return false;
    }
  }
  const int port_;
  std::atomic<bool> ended_ = false;
  std::thread thread_;
};

}  // namespace r1::app::testing
