#include "r1/http/assets.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/http/error.h"

namespace r1::http {
namespace {

constexpr size_t kMaxAssetBytes = 64 << 20, kMaxAssets = 4096;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

bool is_plain_name(std::string_view part) {
  return !part.empty() && part.front() != '.' && part.size() <= 128 && std::all_of(part.begin(), part.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
}

[[noreturn]] void not_there(std::string_view relative) {
  throw ApiError(404, str("there is no file ", printable(relative)), "", "not_found");
}

bool has_tag(std::string_view header, std::string_view etag) {
  while (!header.empty()) {
    const size_t end = std::min(header.find(','), header.size());
    std::string_view tag = header.substr(0, end);
    header.remove_prefix(std::min(end + 1, header.size()));
    while (tag.starts_with(' ')) tag.remove_prefix(1);
    while (tag.ends_with(' ')) tag.remove_suffix(1);
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == etag || tag == "*") return true;
  }
  return false;
}

// "/runs/index.html" also answers for "/runs" and "/runs/".
std::vector<std::string> paths_of(const std::string& path) {
  constexpr std::string_view kIndex = "/index.html";
  if (!path.ends_with(kIndex)) return {path};
  const std::string folder = path.substr(0, path.size() - kIndex.size());
  if (folder.empty()) return {path, "/"};
  return {path, folder, folder + "/"};
}

std::vector<std::string> files_below(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  std::vector<std::string> found;
  std::error_code ec;
  for (fs::recursive_directory_iterator at(folder, ec), end; !ec && at != end && found.size() < kMaxAssets; at.increment(ec)) {
    if (!is_plain_name(at->path().filename().string())) {
      at.disable_recursion_pending();
      continue;
    }
    if (at->symlink_status(ec).type() == fs::file_type::regular) found.push_back(at->path().lexically_relative(folder).generic_string());
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

std::string content_type_of(std::string_view path) {
  static constexpr std::pair<std::string_view, const char*> kTypes[] = {{".html", "text/html; charset=utf-8"},
                                                                        {".css", "text/css; charset=utf-8"},
                                                                        {".js", "text/javascript; charset=utf-8"},
                                                                        {".mjs", "text/javascript; charset=utf-8"},
                                                                        {".json", "application/json"},
                                                                        {".svg", "image/svg+xml"},
                                                                        {".webmanifest", "application/manifest+json"},
                                                                        {".png", "image/png"},
                                                                        {".ico", "image/x-icon"},
                                                                        {".woff2", "font/woff2"},
                                                                        {".txt", "text/plain; charset=utf-8"},
                                                                        {".jpg", "image/jpeg"},
                                                                        {".webp", "image/webp"}};
  for (const auto& [ending, type] : kTypes)
    if (path.ends_with(ending)) return type;
  return "application/octet-stream";
}

const Headers& page_headers() {
  static const Headers headers = {{"Content-Security-Policy",
                                   "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
                                   "connect-src 'self'; object-src 'none'; "
                                   "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
                                  {"X-Frame-Options", "DENY"},
                                  {"Referrer-Policy", "no-referrer"},
                                  {"Cross-Origin-Opener-Policy", "same-origin"},
                                  {"Cross-Origin-Resource-Policy", "same-origin"},
                                  {"Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()"}};
  return headers;
}

Response asset_response(const Request& request, std::string_view content_type, std::string_view etag, std::string_view bytes) {
  Response response{.status = 200, .body = "", .content_type = std::string(content_type), .headers = page_headers()};
  response.headers.emplace_back("ETag", etag);
  response.headers.emplace_back("Cache-Control", "no-cache");  // kept, but asked for with its ETag, so that a new build is seen at once
  if (has_tag(request.header("if-none-match"), etag))
    response.status = 304;
  else
    response.body = bytes;
  return response;
}

void add_assets(Router& router, const std::vector<Asset>& assets) {
  for (const Asset& asset : assets)
    for (const std::string& path : paths_of(asset.path))
      router.add({.method = "GET",
                  .pattern = path,
                  .handler =
                      [&asset](const RequestPtr& request, const ResponderPtr& responder) {
                        responder->send(asset_response(*request, asset.content_type, asset.etag, asset.bytes));
                      },
                  .open = true,
                  .quick = asset.bytes.size() <= 256 << 10});
}

void add_asset_folder(Router& router, const std::filesystem::path& folder) {
  const auto files = files_below(folder);
  if (files.empty()) fail_usage("[serve] --web_dir ", folder.string(), " has no files");
  for (const std::string& file : files)
    for (const std::string& path : paths_of("/" + file))
      router.add({.method = "GET",
                  .pattern = path,
                  .handler =
                      [folder, file](const RequestPtr& request, const ResponderPtr& responder) {
                        const std::string bytes = read_beneath(folder, file);
                        responder->send(asset_response(*request, content_type_of(file), "\"" + sha256(bytes).substr(0, 32) + "\"", bytes));
                      },
                  .open = true});
}

std::string read_beneath(const std::filesystem::path& folder, std::string_view relative) {
  Descriptor at(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (at.get() < 0) not_there(relative);
  for (std::string_view rest = relative;;) {
    const size_t slash = rest.find('/');
    const std::string part(rest.substr(0, slash));
    if (!is_plain_name(part)) not_there(relative);
    const bool last = slash == std::string_view::npos;
    at = Descriptor(::openat(at.get(), part.c_str(), O_CLOEXEC | O_NOFOLLOW | (last ? O_RDONLY | O_NONBLOCK : O_PATH | O_DIRECTORY)));
    if (at.get() < 0) not_there(relative);
    if (last) break;
    rest.remove_prefix(slash + 1);
  }
  struct stat status {};
  if (::fstat(at.get(), &status) != 0 || !S_ISREG(status.st_mode) || size_t(status.st_size) > kMaxAssetBytes) not_there(relative);
  std::string bytes(size_t(status.st_size), '\0');
  size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t n = ::read(at.get(), bytes.data() + filled, bytes.size() - filled);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    filled += size_t(n);
  }
  bytes.resize(filled);
  return bytes;
}

}  // namespace r1::http
