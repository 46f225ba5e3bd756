// WebDataset archives as rows: a tar, packed or not, whose members stand together if they are of one sample. A sample's key is its members' name up to
// the first dot behind the last slash, what follows says what each is (https://github.com/webdataset/webdataset). docs/data.md, "WebDataset".
//
//   0001.txt, 0001.text        the row's "text"              0001.md, .html, .caption, .transcript, .cls    the row's "md", ...
//   0001.json                  an object's keys are the row's; anything else is the row's "json"
//   0001.jsonl, .ndjson        a row a line, each by itself
//   0001.prompt.txt, 0001.meta.json                          the row's "prompt" and "meta"
//
// Each may be packed (0001.json.gz). "__key__" is the sample's key. Members of other kinds (images, arrays) are passed over, and so is a sample that has
// no others: it is no row. So are names without an ending, hidden ones and those in a folder __so_called__, which WebDataset keeps for itself. Streams: memory is a sample.
//
// Errors name archive, member and place: a header that is none, an archive that ends inside of a member, a member twice, members of one sample that
// stand apart (which others take for two samples that each lack something).
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>

#include "r1/data/jsonl.h"
#include "r1/data/tar.h"

namespace r1::data {

// What the name of a member says.
struct SampleMember {
  enum class Form { kOther, kText, kJson, kJsonLines };
  std::string key;     // "train/0001"; "": of no sample
  std::string ending;  // "prompt.txt": in lower case, without what says that it is packed
  std::string field;   // "prompt" of "prompt.txt", "md" of "md"; "" of "txt", "text", "json" and lines
  Form form = Form::kOther;
};
SampleMember sample_member(std::string_view name);

// ".tar", ".tgz" and its like, ".tar.gz": does a name say that the file is an archive?
bool is_tar_name(const std::filesystem::path& path);

class WebDatasetReader {
 public:
  explicit WebDatasetReader(std::filesystem::path path, size_t max_row_bytes = kMaxLineBytes);
  WebDatasetReader(WebDatasetReader&&) = delete;

  // The row's JSON object as text; false at the end.
  bool next(std::string& row);
  // Not bytes and lines: the block (of 512 bytes) that a sample begins at with the number of its rows that were read, and of all rows.
  LineReader::Position position() const { return {sample_begin_ / int64_t(kTarBlock) << 32 | given_, rows_}; }
  void seek(LineReader::Position position);
  // "x.tar, sample train/0001", "x.tar!0001.jsonl:17": of the row read last.
  std::string where() const { return where_; }

 private:
  bool next_member();
  void begin_sample();
  bool end_sample(std::string& row);
  void take_member();
  void set_field(const std::string& field, Json value);
  // The bytes of the member, unpacked.
  std::function<size_t(char* out, size_t n)> bytes_of_member();
  std::string whole_member();

  std::string_view peek(size_t n);
  size_t read(char* out, size_t n);
  size_t read_member(char* out, size_t n);
  void skip(int64_t n);
  std::string name_of_member() const;
  [[noreturn]] void fail_cut(const std::string& what) const;

  std::filesystem::path path_;
  size_t max_row_bytes_;
  ByteSource source_;
  std::string buffer_;
  size_t begin_ = 0;  // of the unread part of buffer_
  int64_t at_ = 0;    // its place in the archive
  bool ended_ = false;

  // The member whose header was read last.
  TarHeaders headers_;
  TarMember tar_;
  SampleMember member_;
  int64_t member_header_ = 0, data_end_ = 0, member_end_ = 0;  // where its first header is, its bytes end, the next header is
  int64_t left_ = 0;                                           // of its bytes
  bool has_member_ = false;                                    // it is not taken yet

  // The sample.
  std::string key_, where_;
  Json object_, fields_;           // what its .json says; what its other members say
  std::set<std::string> endings_;  // of its members
  size_t bytes_ = 0;               // that are held of it
  bool in_sample_ = false, has_lines_ = false;
  std::unique_ptr<LineReader> lines_;  // of the member that is read line by line
  int64_t sample_begin_ = 0, given_ = 0, rows_ = 0;
  std::unordered_set<size_t> keys_;  // hashes of those that are done
};

}  // namespace r1::data
