#include "r1/corpus/fetch_url.h"

#include <dlfcn.h>

#include <memory>

#include "r1/base/error.h"
#include "r1/base/strings.h"
#include "r1/corpus/fetch_curl.h"

namespace r1::corpus {
namespace {

template <class Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  if (!function) fail("libcurl is too old: it has no ", name, " (7.66 or later is needed)");
}

// A part of a URL as curl has it; "" if there is none.
std::string part_of(const CurlFunctions& c, CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (c.url_get(url, part, &text, flags) != CURLUE_OK) return "";
  std::string out(text);
  c.free(text);
  return out;
}

}  // namespace

CurlFunctions load_curl(const std::vector<std::string>& files) {
  void* library = nullptr;
  std::string why;
  for (const std::string& file : files) {
    library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);  // never closed: its threads and TLS library live on
    if (library) break;
    const char* said = ::dlerror();
    if (why.empty()) why = said ? said : "";
  }
  if (!library)
    fail("fetching needs the library libcurl, which is not there: install the package libcurl4 (Debian, Ubuntu; libcurl elsewhere): ",
         printable(why));
  CurlFunctions c{};
  find(library, "curl_global_init", c.global_init);
  find(library, "curl_version_info", c.version_info);
  find(library, "curl_getdate", c.getdate);
  find(library, "curl_free", c.free);
  find(library, "curl_url", c.url);
  find(library, "curl_url_cleanup", c.url_cleanup);
  find(library, "curl_url_get", c.url_get);
  find(library, "curl_url_set", c.url_set);
  find(library, "curl_slist_append", c.slist_append);
  find(library, "curl_slist_free_all", c.slist_free_all);
  find(library, "curl_easy_init", c.easy_init);
  find(library, "curl_easy_setopt", c.easy_setopt);
  find(library, "curl_easy_getinfo", c.easy_getinfo);
  find(library, "curl_easy_pause", c.easy_pause);
  find(library, "curl_easy_strerror", c.easy_strerror);
  find(library, "curl_easy_cleanup", c.easy_cleanup);
  find(library, "curl_multi_init", c.multi_init);
  find(library, "curl_multi_setopt", c.multi_setopt);
  find(library, "curl_multi_add_handle", c.multi_add_handle);
  find(library, "curl_multi_remove_handle", c.multi_remove_handle);
  find(library, "curl_multi_perform", c.multi_perform);
  find(library, "curl_multi_poll", c.multi_poll);
  find(library, "curl_multi_info_read", c.multi_info_read);
  find(library, "curl_multi_strerror", c.multi_strerror);
  find(library, "curl_multi_cleanup", c.multi_cleanup);
  if (c.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) fail("libcurl does not start");
  return c;
}

const CurlFunctions& curl() {
  static const CurlFunctions functions = load_curl({"libcurl.so.4", "libcurl-gnutls.so.4"});
  return functions;
}

Url parse_url(std::string_view text, const std::string& base) {
  const CurlFunctions& c = curl();
  const std::unique_ptr<CURLU, decltype(c.url_cleanup)> url(c.url(), c.url_cleanup);
  check(url != nullptr, "no memory for a URL");
  constexpr unsigned kFlags = CURLU_URLENCODE | CURLU_NON_SUPPORT_SCHEME;
  if (text.find('\0') != std::string_view::npos || trim(text).empty())
    fail_usage("'", printable(text), "': expected a URL such as https://example.org/a");
  if (!base.empty() && c.url_set(url.get(), CURLUPART_URL, base.c_str(), kFlags) != CURLUE_OK)
    fail_usage("'", printable(base), "': expected a URL");
  const CURLUcode code = c.url_set(url.get(), CURLUPART_URL, std::string(trim(text)).c_str(), kFlags);
  if (code != CURLUE_OK) {
    const bool relative = base.empty() && text.find("://") == std::string_view::npos;
    fail_usage("'", printable(text),
               "': ", relative ? "no http:// or https:// before it; for a list of paths say --base_url" : "is no URL");
  }
  Url out;
  out.scheme = lower_ascii(part_of(c, url.get(), CURLUPART_SCHEME));
  if (out.scheme != "http" && out.scheme != "https")
    fail_usage("'", printable(text), "': only http and https are fetched, not ", printable(out.scheme));
  c.url_set(url.get(), CURLUPART_FRAGMENT, nullptr, 0);
  out.host = lower_ascii(part_of(c, url.get(), CURLUPART_HOST));
  if (out.host.empty()) fail_usage("'", printable(text), "': has no host");
  c.url_set(url.get(), CURLUPART_HOST, out.host.c_str(), 0);
  out.port = part_of(c, url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  out.path = part_of(c, url.get(), CURLUPART_PATH);
  out.query = part_of(c, url.get(), CURLUPART_QUERY);
  out.text = part_of(c, url.get(), CURLUPART_URL, CURLU_NO_DEFAULT_PORT);
  c.url_set(url.get(), CURLUPART_USER, nullptr, 0);
  c.url_set(url.get(), CURLUPART_PASSWORD, nullptr, 0);
  out.shown = part_of(c, url.get(), CURLUPART_URL, CURLU_NO_DEFAULT_PORT);
  if (out.text.empty() || out.path.empty()) fail_usage("'", printable(text), "': is no URL");
  return out;
}

int64_t parse_http_date(const std::string& text) {
  return int64_t(curl().getdate(text.c_str(), nullptr));
}

}  // namespace r1::corpus
