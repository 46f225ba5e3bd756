// URLs, and libcurl behind it: taken apart, joined and written in one form by the library that fetches them, so that there are not two opinions.
// The library is opened at the first use: the program starts without it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace r1::corpus {

struct CurlFunctions;
// libcurl.so.4, or what Debian calls it when it stands on GnuTLS. An Error that names the package if neither is there.
const CurlFunctions& curl();
// The same of the first of these files that can be opened. For tests; curl() is what everybody else wants.
CurlFunctions load_curl(const std::vector<std::string>& files);

struct Url {
  std::string text;                // whole, in one form: lower-case scheme and host, no default port, "/" for no path, no fragment
  std::string shown;               // without user and password: for files and messages
  std::string scheme, host, port;  // "https", "example.org", "443"
  std::string path, query;         // "/a/b", "c=d"

  std::string origin() const { return scheme + "://" + host + ":" + port; }
  std::string target() const { return query.empty() ? path : path + "?" + query; }
};

// kUsage that says what is wrong with it: http and https only. Blanks and what is not ASCII are encoded. `base`: what it may be relative to.
Url parse_url(std::string_view text, const std::string& base = "");

// Seconds since 1970 of a date as HTTP writes it; -1 if it is none.
int64_t parse_http_date(const std::string& text);

}  // namespace r1::corpus
