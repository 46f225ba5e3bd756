#include "r1/http/access.h"

#include <arpa/inet.h>

#include <algorithm>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/strings.h"
#include "r1/http/error.h"

namespace r1::http {
namespace {

// A server's own name and port: "host", "host:80", "[::1]:80". False if it is no such thing.
bool split_host(std::string_view text, std::string& name, std::string& port) {
  size_t end = text.find(':');
  if (text.starts_with('[')) {
    end = text.find(']');
    if (end == std::string_view::npos) return false;
    ++end;
  }
  name = lower_ascii(text.substr(0, end));
  port = end < text.size() ? std::string(text.substr(end)) : "";
  if (!port.empty()) {
    if (port.size() < 2 || port.size() > 6 || port[0] != ':') return false;
    if (!std::all_of(port.begin() + 1, port.end(), [](char c) { return c >= '0' && c <= '9'; })) return false;
    port.erase(0, 1);
  }
  if (name.ends_with('.')) name.pop_back();
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_'; };
  return name.starts_with('[') || (!name.empty() && std::all_of(name.begin(), name.end(), plain));
}

bool is_address(const std::string& name) {
  unsigned char bytes[sizeof(in6_addr)];
  if (name.starts_with('[')) return name.size() > 2 && inet_pton(AF_INET6, name.substr(1, name.size() - 2).c_str(), bytes) == 1;
  return inet_pton(AF_INET, name.c_str(), bytes) == 1;
}

bool is_localhost(std::string_view name) {
  return name == "localhost" || name.ends_with(".localhost");
}

bool is_loopback(const std::string& name) {
  return is_localhost(name) || name == "[::1]" || name == "0.0.0.0" || (name.starts_with("127.") && is_address(name));
}

std::vector<std::string> keys_of_file(const std::string& path) {
  std::vector<std::string> keys;
  const std::string text = read_file(path);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = trim(std::string_view(text).substr(begin, end - begin));
    if (!line.empty()) keys.emplace_back(line);
    begin = end + 1;
  }
  if (keys.empty()) fail_usage("[serve] api_key_file ", path, " has no key: write one a line");
  return keys;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char differ = 0;
  for (size_t i = 0; i < a.size(); ++i) differ = static_cast<unsigned char>(differ | (a[i] ^ b[i]));
  return differ == 0;
}

}  // namespace

std::string key_name(std::string_view key) {
  return "key-" + sha256(str("name of an API key\n", key)).substr(0, 12);
}

Access::Access(const ServerConfig& config) : origins_(config.cors_origins) {
  std::vector<std::string> keys = config.api_key;
  if (!config.api_key_file.empty())
    for (std::string& key : keys_of_file(config.api_key_file)) keys.push_back(std::move(key));
  for (const std::string& key : keys) {
    if (key.empty() || !std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < 127; }))
      fail_usage("[serve] an API key is one or more visible ASCII characters without spaces");
    keys_.push_back({sha256(key), key_name(key)});
  }
  for (const std::string& host : config.allowed_hosts) hosts_.push_back(lower_ascii(host));
  hosts_.push_back(lower_ascii(config.host));
  any_host_ = std::count(hosts_.begin(), hosts_.end(), "*") > 0;
  for (std::string& origin : origins_) {
    origin = lower_ascii(origin);
    while (origin.ends_with('/')) origin.pop_back();
  }
  any_origin_ = std::count(origins_.begin(), origins_.end(), "*") > 0;
}

std::string Access::key_of(const Request& request) const {
  if (keys_.empty()) return "";
  std::vector<std::string_view> given;
  const std::string_view authorization = request.header("authorization");
  if (lower_ascii(authorization.substr(0, 7)) == "bearer ") given.push_back(authorization.substr(7));
  if (const std::string_view plain = request.header("x-api-key"); !plain.empty()) given.push_back(plain);
  const Key* found = nullptr;
  for (std::string_view key : given) {
    const std::string digest = sha256(trim(key));
    for (const Key& known : keys_)
      if (equal_in_constant_time(known.digest, digest)) found = &known;
  }
  if (found) return found->name;
  throw ApiError(
      401, given.empty() ? "an API key is needed: send it as Authorization: Bearer KEY, or as x-api-key" : "this API key is not known here",
      "", "invalid_api_key");
}

void Access::check_host(std::string_view host) const {
  std::string name, port;
  if (!split_host(host, name, port)) throw ApiError(400, str("Host '", printable(host), "' is not a name and port"), "", "invalid_host");
  if (any_host_ || is_localhost(name) || is_address(name) || std::count(hosts_.begin(), hosts_.end(), name) ||
      std::count(hosts_.begin(), hosts_.end(), name + ":" + port))
    return;
  throw ApiError(
      403,
      str("the server does not answer to the name '", printable(name), "'; if it should, start it with --allowed_hosts ", printable(name)),
      "", "host_not_allowed");
}

bool Access::origin_allowed(std::string_view origin, std::string_view host) const {
  if (any_origin_) return true;
  const std::string full = lower_ascii(origin);
  for (const std::string& known : origins_)
    if (known == full || (known.ends_with("://*") && full.starts_with(std::string_view(known).substr(0, known.size() - 1)))) return true;
  const size_t scheme = full.find("://");
  if (scheme == std::string::npos) return false;
  const std::string kind = full.substr(0, scheme);
  if (kind != "http" && kind != "https") return false;
  std::string name, port, own_name, own_port;
  if (!split_host(std::string_view(full).substr(scheme + 3), name, port)) return false;
  if (is_loopback(name)) return true;
  if (!split_host(host, own_name, own_port)) return false;
  // Behind a proxy that speaks TLS the page is https; default ports are not written out.
  const std::string usual = kind == "https" ? "443" : "80";
  return name == own_name && (port.empty() ? usual : port) == (own_port.empty() ? usual : own_port);
}

}  // namespace r1::http
