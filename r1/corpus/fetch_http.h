// HTTP and HTTPS requests, many at once in one thread, over libcurl: heads and bodies are handed to a receiver as they come. No redirects are
// followed and nothing is repeated here: that is for whoever asks (fetch.cc). Bodies come as they are on the wire: nothing is unpacked.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "r1/corpus/fetch_url.h"
#include "r1/corpus/header_fields.h"

namespace r1::corpus {

struct HttpHead {
  int status = 0;
  std::string text;  // as it came, status line first, with the empty line at its end
  HeaderFields fields;
  int64_t content_length = -1;  // -1: not said
};

class HttpReceiver {
 public:
  virtual ~HttpReceiver() = default;
  // False: no more of this answer is wanted. What they throw comes out of HttpClient::wait().
  virtual bool head(const HttpHead& head) = 0;
  virtual bool body(std::string_view bytes) = 0;
};

struct HttpEnd {
  enum class Why {
    kDone,         // the whole answer came
    kUnwanted,     // the receiver said so
    kUnreachable,  // no address, no connection
    kBroken,       // the connection ended early
    kStalled,      // nothing came for too long
    kTooLong,      // the answer took longer than it may
    kRefused,      // will not be otherwise next time: a certificate that does not hold, an answer that is no HTTP
  };
  HttpReceiver* receiver = nullptr;
  Why why = Why::kDone;
  std::string error;  // for people; "" if done
  std::string peer;   // the address that answered
};

struct HttpOptions {
  int64_t parallel = 16;         // connections kept
  double connect_timeout = 30;   // seconds; a name's look-up is in it
  double stall_timeout = 60;     // without a byte
  double max_time = 0;           // of one request; 0: any
  int64_t bytes_per_second = 0;  // of all together; 0: any
  std::string user_agent, ca_file;
};

class HttpClient {
 public:
  explicit HttpClient(const HttpOptions& options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // `headers`: "Name: value". The receiver must live until its request has ended.
  void get(const Url& url, const std::vector<std::string>& headers, HttpReceiver& receiver);
  // Works for at most `seconds`; the requests that ended.
  std::vector<HttpEnd> wait(double seconds);
  int64_t active() const;
  int64_t bytes_received() const;  // of bodies

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace r1::corpus
