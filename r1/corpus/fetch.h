// Lists of URLs to a folder that r1 data run reads: files as they are, pages as WARC records with their URL. What was interrupted at any moment
// goes on with the next call; nothing is fetched twice, no file stands at its place before it is whole and right, and every URL ends up in
// DIR/fetch.jsonl with what became of it.
//
//   DIR/example.org/a/b.jsonl.gz   files (fetch_list.h has the names)
//   DIR/pages/00000.warc.gz        pages (fetch_warc.h)
//   DIR/fetch.jsonl                a line a URL (fetch_ledger.h)
//   DIR/.fetch/                    what is not whole yet (fetch_part.h)
//
// One thread: the waiting is the network's. Requests to one site (scheme, host and port) are few at a time and at least a delay apart; a site
// that asks for patience (429, 503, Retry-After) gets it from all of them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "r1/base/config.h"
#include "r1/base/json.h"

namespace r1::corpus {

struct FetchConfig {
  std::vector<std::string> urls;
  std::string output, base_url;
  std::string as = "auto";
  int64_t parallel = 16, per_host = 4;
  std::string rate, max_bytes;
  double delay = 0, connect_timeout = 30, timeout = 60, max_time = 0;
  int64_t retries = 8;
  double retry_wait = 1, max_wait = 600;
  int64_t redirects = 10;
  bool allow_downgrade = false;
  std::string robots = "auto", robots_agent, user_agent = "r1-data-fetch";
  std::vector<std::string> header;
  std::string ca_file;

  void visit(Fields& v);
};

struct FetchCounts {
  int64_t urls = 0, done = 0, there = 0, failed = 0, refused = 0;  // urls is the sum of the others
  int64_t repeated = 0;                                            // lines of the list that say what another one says
  int64_t bytes = 0;                                               // of what was done
  int64_t unsized = 0;  // of those done: the server did not say how long they are, so a cut would not show
  struct Reason {
    int64_t urls = 0;
    std::vector<std::string> examples;  // "https://..: what happened", the first kExamples
  };
  static constexpr size_t kExamples = 5;
  std::map<std::string, Reason> reasons;  // of those failed and refused

  Json to_json() const;
};

// kUsage for what is wrong with config or list, kInterrupted after Ctrl-C (all is kept), kFailed where it cannot go on (a full disk).
FetchCounts fetch(const FetchConfig& config);

}  // namespace r1::corpus
