#include "r1/http/assets.h"

#include <algorithm>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/files_below.h"
#include "r1/base/strings.h"
#include "r1/http/error.h"

namespace r1::http {
namespace {

constexpr int64_t kMaxAssetBytes = 64 << 20;
constexpr size_t kMaxAssets = 4096;

bool has_tag(std::string_view header, std::string_view etag) {
  while (!header.empty()) {
    const size_t end = std::min(header.find(','), header.size());
    std::string_view tag = trim(header.substr(0, end));
    header.remove_prefix(std::min(end + 1, header.size()));
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
    std::string path = at->path().lexically_relative(folder).generic_string();
    if (at->path().filename().string().starts_with('.') || !is_plain_path(path))
      at.disable_recursion_pending();
    else if (at->symlink_status(ec).type() == fs::file_type::regular)
      found.push_back(std::move(path));
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
  if (auto bytes = FilesBelow(folder, Links::kNone).read(std::string(relative), kMaxAssetBytes)) return std::move(*bytes);
  throw ApiError(404, str("there is no file ", printable(relative)), "", "not_found");
}

}  // namespace r1::http
