// Pages as WARC response records (ISO 28500), a gzip member each: DIR/pages/00000.warc.gz and so on, in which r1 data run finds the text of a
// page together with its URL and date. A page is one write at the end of the last file; what a kill left behind the last page that the ledger
// knows is cut off when the next process opens it.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "r1/base/file.h"

namespace r1::corpus {

struct Page {
  std::string url, date;  // "2025-01-31T23:59:59Z"
  std::string head;       // of the answer, as it came
  std::string_view body;  // joined, not chunked; packed as it came
  std::string peer;       // "": not known
};

// The record, not packed.
std::string warc_record(const Page& page);

class WarcWriter {
 public:
  static constexpr int64_t kMaxFile = int64_t{1} << 30;

  struct Place {
    std::string file;  // "pages/00000.warc.gz"
    int64_t offset = 0, length = 0;
  };

  // `ends`: where the last known page of each file ends. Longer files are cut there.
  WarcWriter(const fs::path& root, const std::map<std::string, int64_t>& ends);
  ~WarcWriter();
  WarcWriter(const WarcWriter&) = delete;
  WarcWriter& operator=(const WarcWriter&) = delete;

  Place add(const Page& page);
  void sync();  // to the disk

 private:
  std::string name() const;
  void open();

  fs::path root_;
  int64_t number_ = 0, size_ = 0;
  int fd_ = -1;
};

}  // namespace r1::corpus
