// The pages' own files (web/): built into the program, or for developers read from a folder at each request. A route of its own for each file,
// open and exact, so that no request ever names a path; index.html also stands for its folder. Answers carry an ETag and a content security
// policy without inline script.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "r1/http/router.h"

namespace r1::http {

struct Asset {
  std::string path;  // "/index.html", "/runs/chart.js"
  std::string content_type;
  std::string etag;  // with its quotes; of the bytes
  std::string_view bytes;
};

// web/ as it was when the program was built.
const std::vector<Asset>& web_assets();

// By the name's ending; application/octet-stream for what no page needs.
std::string content_type_of(std::string_view path);

// 200, or 304 where If-None-Match has the file already.
Response asset_response(const Request& request, std::string_view content_type, std::string_view etag, std::string_view bytes);

// GET routes for `assets`, which outlive the router.
void add_assets(Router& router, const std::vector<Asset>& assets);
// GET routes for the files that `folder` has now (regular files under names of letters, digits and ._-; no links); their bytes are read anew at
// each request. Throws (kUsage) if there are none.
void add_asset_folder(Router& router, const std::filesystem::path& folder);

// The bytes of folder/relative, without following any link on the way; throws ApiError 404 if that is no regular file, or over 64 MiB.
std::string read_beneath(const std::filesystem::path& folder, std::string_view relative);

// What every answer of a page's file carries beside nosniff: content security policy, no framing, no referrer.
const Headers& page_headers();

}  // namespace r1::http
