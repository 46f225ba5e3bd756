// libFuzzer target: bytes as a URL, by itself and below another: none, or one whose form is its own and whose file stays below the folder. Built like
// jinja_fuzz.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/corpus/fetch_list.h"

namespace {

void check(const r1::corpus::Url& url) {
  using namespace r1::corpus;
  if (url.scheme != "http" && url.scheme != "https") std::abort();
  if (url.host.empty() || url.path.empty() || url.path[0] != '/') std::abort();
  if (url.text.find('#') != std::string::npos) std::abort();
  const Url again = parse_url(url.text);
  if (again.text != url.text || again.origin() != url.origin() || again.target() != url.target()) std::abort();
  const std::string file = file_of_url(url);
  if (file != file_of_url(again) || file.size() > 1000) std::abort();
  const r1::fs::path path(file);
  if (file.empty() || path.is_absolute() || path.filename().empty()) std::abort();
  for (const r1::fs::path& part : path)
    if (part == ".." || part == "." || part.string().size() > 255) std::abort();
  for (const unsigned char c : file)
    if (c < 0x20 || c == 0x7F || c == '\\') std::abort();
  has_data_ending(url.path);
  has_packed_ending(url.path);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const char* base : {"", "https://example.org/a/b.warc.gz?x=1"}) {
    try {
      check(r1::corpus::parse_url(text, base));
    } catch (const r1::Error&) {
    }
  }
  r1::corpus::parse_http_date(text);
  return 0;
}
