// What is to be fetched: lists of URLs as people and crawls write them, and the name of the file that each becomes.
//
//   # blank lines and lines of # are left out
//   https://example.org/a.jsonl.gz
//   https://example.org/b.jsonl.gz  sha256=9f86d0.. out=books/b.jsonl.gz
//   crawl-data/CC-MAIN-2024-10/segments/../warc/x.warc.gz             with a base URL, as in Common Crawl's warc.paths.gz
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "r1/corpus/fetch_url.h"

namespace r1::corpus {

struct FetchItem {
  Url url;
  std::string file;         // below the folder, if it becomes a file of its own
  std::string sha256, md5;  // lower case; "" where the list says none
  bool named = false;       // by out=
  bool data_file = false;   // by the ending of its path, else a page, as far as one can tell before
  std::string where;        // "urls.txt:17"
};

struct FetchList {
  std::vector<FetchItem> items;  // each URL once
  int64_t repeated = 0;          // lines left out because they say the same as one before
};

// `named`: files of URLs (packed or not), "-" for standard input, or URLs themselves. kUsage "urls.txt:17: ..." for what cannot be meant: no URL,
// an unknown column, a checksum of a wrong length, two URLs that would become one file.
FetchList read_fetch_list(const std::vector<std::string>& named, const std::string& base_url);

// "example.org/data/part-00000.jsonl.gz": host and path, made safe. Other URLs have other names, and the same URL has the same one always: where
// something had to be changed, left out or shortened (a query, strange characters, length), ten digits of the URL's hash are in it.
std::string file_of_url(const Url& url);

// Does the path end as files of data do (.warc.gz, .jsonl.zst, .parquet, .zip, .txt)? The others are pages.
bool has_data_ending(std::string_view path);
// Is it packed or binary, so that it can be no HTML?
bool has_packed_ending(std::string_view path);

}  // namespace r1::corpus
