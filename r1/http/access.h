// Who may ask: API keys, the Host a request names (DNS rebinding) and the Origin that a browser says it comes from.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "r1/http/message.h"
#include "r1/http/server.h"

namespace r1::http {

class Access {
 public:
  // Reads api_key_file. Throws (kUsage) on a key that no header can carry and on a file without keys.
  explicit Access(const ServerConfig& config);

  bool asks_for_key() const { return !keys_.empty(); }
  // The name of the key in Authorization: Bearer or x-api-key, "" if none is asked for. Throws ApiError 401. All keys are compared, by their
  // SHA-256, in a time that does not depend on them.
  std::string key_of(const Request& request) const;

  // Throws ApiError 403 unless the name is localhost, an address, the name bound to or one of allowed_hosts; 400 if it is none at all.
  void check_host(std::string_view host) const;
  // Whether a page of that origin may ask: the server's own (its host and port are those of `host`), localhost's, one of cors_origins.
  bool origin_allowed(std::string_view origin, std::string_view host) const;

 private:
  struct Key {
    std::string digest, name;
  };
  std::vector<Key> keys_;
  std::vector<std::string> hosts_, origins_;
  bool any_host_ = false, any_origin_ = false;
};

// "key-" and 12 hex digits: of a digest of its own, so that it says nothing about the one that is compared.
std::string key_name(std::string_view key);

}  // namespace r1::http
