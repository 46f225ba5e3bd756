// For the sandbox's tests: what this machine lacks is detected by examine() and named; canaries on the host; a search for leftovers.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "r1/verify/sandbox/sandbox.h"
#include "tests/sandbox_lacking.h"

namespace r1::verify::sandbox {

// A program: /usr/bin/python3 without site packages, or /bin/sh.
Program python(const std::string& code, std::vector<std::string> arguments = {});
Program shell(const std::string& script);
Limits quick_limits(double wall_seconds);

bool has_layer(Layer layer);
// May do without whatever this machine lacks: the tests that need a layer skip by themselves.
Policy lenient_policy();

// Runs the jobs on a few threads; a job that throws fails the test.
void in_parallel(const std::vector<std::function<void()>>& jobs, int threads = 4);

// A token that lies in files, in this process' environment and behind sockets of the host, and must never come out of a sandbox.
class Canaries {
 public:
  Canaries();
  ~Canaries();
  const std::string& token() const { return token_; }
  const std::vector<std::string>& paths() const { return paths_; }  // host files with it, readable for everybody
  int tcp_port() const { return tcp_port_; }
  int udp_port() const { return udp_port_; }
  const std::string& abstract_name() const { return abstract_name_; }
  const std::string& socket_path() const { return socket_path_; }
  std::string touched();  // "", or what a program reached

 private:
  std::string token_, abstract_name_, socket_path_;
  std::vector<std::string> paths_;
  int tcp_ = -1, udp_ = -1, abstract_ = -1, abstract_datagram_ = -1, unix_ = -1, tcp_port_ = 0, udp_port_ = 0;
};

// A folder on the host with a listening socket "socket" and a datagram socket "socketd", open to everybody.
class HostSockets {
 public:
  HostSockets();
  ~HostSockets();
  const std::string& folder() const { return folder_; }
  std::string touched() const;  // "", " stream", " datagram" or both

 private:
  std::string folder_;
  int stream_ = -1, datagram_ = -1;
};

// Everything that a run could leave: processes with our mark in their environment or below us, control groups, mounts, descriptors, files
// in the folders for temporary files. Taken before and after.
class Leftovers {
 public:
  Leftovers();
  std::string found(const std::string& mark) const;  // "", or what is new

 private:
  std::string mounts_;
  size_t descriptors_ = 0;
};

// The compiled sandbox_attacks.c; empty without a C compiler.
const std::string& attacks_binary();

}  // namespace r1::verify::sandbox
