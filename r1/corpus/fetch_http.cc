#include "r1/corpus/fetch_http.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <exception>
#include <list>

#include "r1/base/error.h"
#include "r1/base/strings.h"
#include "r1/corpus/fetch_curl.h"

namespace r1::corpus {
namespace {

constexpr size_t kMaxHead = size_t{256} << 10;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Bytes that may come: filled at the rate, at most a quarter of a second's worth; one piece may go below zero.
class Allowance {
 public:
  explicit Allowance(int64_t bytes_per_second) : rate_(double(bytes_per_second)), at_(now()) {}
  bool any() {
    if (rate_ <= 0) return true;
    const double t = now();
    left_ = std::min(rate_ / 4, left_ + rate_ * (t - at_));
    at_ = t;
    return left_ > 0;
  }
  void take(size_t bytes) { left_ -= double(bytes); }
  // Seconds until there is some.
  double until() const { return rate_ > 0 && left_ <= 0 ? -left_ / rate_ : 0; }

 private:
  double rate_, left_ = 0, at_;
};

HttpEnd::Why why_of(CURLcode code) {
  switch (code) {
    case CURLE_OK:
      return HttpEnd::Why::kDone;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_OPERATION_TIMEDOUT:  // of the connection: the other limits are kept here
      return HttpEnd::Why::kUnreachable;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
      return HttpEnd::Why::kBroken;
    default:
      return HttpEnd::Why::kRefused;
  }
}

}  // namespace

struct HttpClient::Impl {
  struct Request {
    Impl* client = nullptr;
    HttpReceiver* receiver = nullptr;
    CURL* handle = nullptr;
    curl_slist* headers = nullptr;
    char error[CURL_ERROR_SIZE] = "";
    HttpHead head;
    bool in_body = false, unwanted = false, paused = false;
    double begun = 0, heard = 0;  // when it began, and when a byte came
    std::list<Request>::iterator self;
  };

  explicit Impl(const HttpOptions& o) : options(o), allowance(o.bytes_per_second), multi(c.multi_init()) {
    check(multi != nullptr, "libcurl has no memory");
    c.multi_setopt(multi, CURLMOPT_MAXCONNECTS, long(o.parallel));
  }
  ~Impl() {
    while (!requests.empty()) end(requests.front());
    c.multi_cleanup(multi);
  }

  void end(Request& r) {
    c.multi_remove_handle(multi, r.handle);
    c.easy_cleanup(r.handle);
    c.slist_free_all(r.headers);
    requests.erase(r.self);
  }

  // What a receiver throws must not pass through libcurl: it is kept for wait().
  template <class Call>
  bool guarded(Request& r, Call call) {
    try {
      if (call()) return true;
    } catch (...) {
      if (!thrown) thrown = std::current_exception();
    }
    r.unwanted = true;
    return false;
  }

  static size_t on_header(char* bytes, size_t, size_t n, void* user) {
    auto& r = *static_cast<Request*>(user);
    r.heard = now();
    if (r.in_body) return n;  // trailers
    const std::string_view line(bytes, n);
    if (line.starts_with("HTTP/")) r.head = {};
    if (r.head.text.size() + n > kMaxHead) return 0;
    r.head.text += line;
    if (line != "\r\n" && line != "\n") return n;
    HttpHead& head = r.head;
    const size_t blank = head.text.find(' ');
    std::from_chars(head.text.data() + std::min(head.text.size(), blank + 1), head.text.data() + head.text.size(), head.status);
    if (head.status < 200) return n;  // 100 Continue, 103 Early Hints: another head follows
    size_t at = std::min(head.text.find('\n'), head.text.size() - 1) + 1;
    head.fields = HeaderFields::parse(head.text, at);
    curl_off_t length = -1;
    r.client->c.easy_getinfo(r.handle, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    head.content_length = length;
    r.in_body = true;
    return r.client->guarded(r, [&] { return r.receiver->head(head); }) ? n : 0;
  }

  static size_t on_body(char* bytes, size_t, size_t n, void* user) {
    auto& r = *static_cast<Request*>(user);
    Impl& client = *r.client;
    if (!client.allowance.any()) {
      r.paused = true;
      return CURL_WRITEFUNC_PAUSE;
    }
    client.allowance.take(n);
    client.received += int64_t(n);
    r.heard = now();
    return client.guarded(r, [&] { return r.receiver->body({bytes, n}); }) ? n : 0;
  }

  void set_options(Request& r, const Url& url) {
    const auto set = [&](CURLoption option, auto value) { return c.easy_setopt(r.handle, option, value); };
    const auto must = [&](CURLoption option, auto value, const char* what) {
      if (const CURLcode code = set(option, value); code != CURLE_OK) fail("libcurl takes no ", what, ": ", c.easy_strerror(code));
    };
    must(CURLOPT_URL, url.text.c_str(), "URL");
    must(CURLOPT_NOSIGNAL, 1L, "NOSIGNAL");
    must(CURLOPT_FOLLOWLOCATION, 0L, "FOLLOWLOCATION");
    set(CURLOPT_PROTOCOLS_STR, "http,https");  // 7.85 and later; parse_url() has looked already
    must(CURLOPT_HTTP_VERSION, long(CURL_HTTP_VERSION_1_1), "HTTP version");
    set(CURLOPT_HTTP09_ALLOWED, 0L);
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    set(CURLOPT_QUICK_EXIT, 1L);  // 7.87 and later: does not wait for a name's look-up when it is given up
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    set(CURLOPT_BUFFERSIZE, 256L << 10);
    must(CURLOPT_USERAGENT, options.user_agent.c_str(), "user agent");
    must(CURLOPT_HTTPHEADER, r.headers, "headers");
    must(CURLOPT_CONNECTTIMEOUT_MS, long(options.connect_timeout * 1000), "timeout");
    if (!options.ca_file.empty()) must(CURLOPT_CAINFO, options.ca_file.c_str(), "file of certificates");
    must(CURLOPT_ERRORBUFFER, r.error, "buffer");
    must(CURLOPT_PRIVATE, static_cast<void*>(&r), "pointer");
    must(CURLOPT_HEADERFUNCTION, &Impl::on_header, "function");
    must(CURLOPT_HEADERDATA, static_cast<void*>(&r), "pointer");
    must(CURLOPT_WRITEFUNCTION, &Impl::on_body, "function");
    must(CURLOPT_WRITEDATA, static_cast<void*>(&r), "pointer");
  }

  void perform() {
    int running = 0;
    const CURLMcode code = c.multi_perform(multi, &running);
    if (code != CURLM_OK) fail("libcurl: ", c.multi_strerror(code));
    if (thrown) std::rethrow_exception(std::exchange(thrown, nullptr));
  }

  // Those that wait for the rate, the longest waiting first.
  void go_on() {
    if (!allowance.any()) return;
    for (auto it = requests.begin(); it != requests.end();) {
      Request& r = *it++;
      if (!r.paused) continue;
      r.paused = false;
      r.heard = now();
      requests.splice(requests.end(), requests, r.self);  // whoever has had a turn stands behind
      c.easy_pause(r.handle, CURLPAUSE_CONT);             // may hand on bytes, and pause again
      if (thrown) std::rethrow_exception(std::exchange(thrown, nullptr));
      if (!allowance.any()) return;
    }
  }

  HttpEnd told(const Request& r, HttpEnd::Why why, std::string error) const {
    HttpEnd out{r.receiver, why, std::move(error), ""};
    char* peer = nullptr;
    if (c.easy_getinfo(r.handle, CURLINFO_PRIMARY_IP, &peer) == CURLE_OK && peer) out.peer = peer;
    return out;
  }

  void collect(std::vector<HttpEnd>& ends) {
    int left = 0;
    while (const CURLMsg* message = c.multi_info_read(multi, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode code = message->data.result;
      char* user = nullptr;
      c.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &user);
      auto& r = *reinterpret_cast<Request*>(user);
      HttpEnd::Why why = r.unwanted ? HttpEnd::Why::kUnwanted : why_of(code);
      if (why == HttpEnd::Why::kDone && !r.in_body) why = HttpEnd::Why::kBroken;
      std::string error;
      if (why != HttpEnd::Why::kDone && why != HttpEnd::Why::kUnwanted) error = r.error[0] ? r.error : c.easy_strerror(code);
      ends.push_back(told(r, why, printable(foreign_message(error))));
      end(r);
    }
  }

  void end_late(std::vector<HttpEnd>& ends) {
    const double t = now();
    for (auto it = requests.begin(); it != requests.end();) {
      Request& r = *it++;
      if (options.max_time > 0 && t - r.begun > options.max_time) {
        ends.push_back(told(r, HttpEnd::Why::kTooLong, str("not whole after ", options.max_time, " s")));
        end(r);
      } else if (!r.paused && t - r.heard > options.stall_timeout + (r.in_body ? 0 : options.connect_timeout)) {
        ends.push_back(told(r, HttpEnd::Why::kStalled, str("nothing came for ", options.stall_timeout, " s")));
        end(r);
      }
    }
  }

  const CurlFunctions& c = curl();
  HttpOptions options;
  Allowance allowance;
  CURLM* multi;
  std::list<Request> requests;
  std::exception_ptr thrown;
  int64_t received = 0;
};

HttpClient::HttpClient(const HttpOptions& options) : impl_(std::make_unique<Impl>(options)) {}
HttpClient::~HttpClient() = default;

void HttpClient::get(const Url& url, const std::vector<std::string>& headers, HttpReceiver& receiver) {
  Impl& i = *impl_;
  i.requests.emplace_back();
  Impl::Request& r = i.requests.back();
  r.self = std::prev(i.requests.end());
  r.client = &i;
  r.receiver = &receiver;
  r.begun = r.heard = now();
  r.handle = i.c.easy_init();
  check(r.handle != nullptr, "libcurl has no memory");
  for (const std::string& header : headers) {
    curl_slist* longer = i.c.slist_append(r.headers, header.c_str());
    check(longer != nullptr, "libcurl has no memory");
    r.headers = longer;
  }
  i.set_options(r, url);
  if (const CURLMcode code = i.c.multi_add_handle(i.multi, r.handle); code != CURLM_OK) fail("libcurl: ", i.c.multi_strerror(code));
}

std::vector<HttpEnd> HttpClient::wait(double seconds) {
  Impl& i = *impl_;
  std::vector<HttpEnd> ends;
  i.perform();
  i.go_on();
  i.collect(ends);
  i.end_late(ends);
  if (!ends.empty()) return ends;
  const bool paused = std::ranges::any_of(i.requests, [](const Impl::Request& r) { return r.paused; });
  if (paused) seconds = std::min(seconds, std::max(0.001, i.allowance.until()));
  const CURLMcode code = i.c.multi_poll(i.multi, nullptr, 0, int(seconds * 1000) + 1, nullptr);
  if (code != CURLM_OK) fail("libcurl: ", i.c.multi_strerror(code));
  i.perform();
  i.collect(ends);
  return ends;
}

int64_t HttpClient::active() const {
  return int64_t(impl_->requests.size());
}
int64_t HttpClient::bytes_received() const {
  return impl_->received;
}

}  // namespace r1::corpus
