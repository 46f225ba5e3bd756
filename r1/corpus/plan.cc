#include "r1/corpus/plan.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <charconv>
#include <fstream>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/corpus/reader_parts.h"
#include "r1/corpus/warc_cuts.h"
#include "r1/data/table_file.h"
#include "r1/data/unpack.h"

namespace r1::corpus {
namespace {

constexpr size_t kFilesOfShard = 4096;

// The first byte behind a line end at or after `at`.
int64_t next_line(std::ifstream& file, int64_t at, int64_t size) {
  file.clear();
  file.seekg(at - 1);
  std::string buffer(size_t{1} << 16, '\0');
  for (int64_t from = at - 1; from < size; from += int64_t(buffer.size())) {
    file.read(buffer.data(), std::streamsize(buffer.size()));
    const size_t end = buffer.substr(0, size_t(file.gcount())).find('\n');
    if (end != std::string::npos) return from + int64_t(end) + 1;
  }
  return size;
}

std::vector<int64_t> plain_line_cuts(const std::string& path, int64_t size, int64_t shard_bytes) {
  std::ifstream file(path, std::ios::binary);
  std::vector<int64_t> cuts;
  for (int64_t at = shard_bytes; at < size; at = (cuts.back() / shard_bytes + 1) * shard_bytes) cuts.push_back(next_line(file, at, size));
  if (!cuts.empty() && cuts.back() == size) cuts.pop_back();
  return cuts;
}

std::vector<InputShard> stretches(const std::string& path, const char* cut, std::vector<int64_t> cuts, int64_t size) {
  std::vector<InputShard> out;
  cuts.push_back(size);
  for (int64_t begin = 0; const int64_t end : cuts) {
    out.push_back({{path}, cut, begin, end, end - begin});
    begin = end;
  }
  return out;
}

// Of a file of rows, packed or not.
std::vector<InputShard> row_stretches(const std::string& path, const std::string& cut, const RowCuts& found, int64_t size, bool packed) {
  std::vector<InputShard> out = {{.files = {path}, .cut = cut, .member = packed ? 0 : -1}};
  for (const RowCut& c : found.cuts) {
    out.back().end = c.at;
    out.push_back({.files = {path},
                   .cut = cut,
                   .begin = c.at,
                   .member = packed ? c.member.stored : -1,
                   .skip = packed ? c.member.inside : 0,
                   .head = found.head});
  }
  // A packed file's last part goes on to wherever its packing ends, or breaks.
  out.back().end = packed ? INT64_MAX : size;
  for (size_t i = 0; i < out.size(); ++i) {
    const auto stored = [&](const InputShard& s) { return packed ? s.member : s.begin; };
    out[i].bytes = (i + 1 < out.size() ? stored(out[i + 1]) : size) - stored(out[i]);
  }
  return out;
}

std::vector<InputShard> rows_of_file(const std::string& path, const std::string& kind, data::Packing packing, int64_t size,
                                     int64_t shard_bytes) {
  const bool packed = packing != data::Packing::kNone;
  if (packed && !data::has_members(path, packing)) return {};
  if (kind == "jsonl" && !packed) {
    const std::string head = data::first_bytes_of(path, 2);
    if (head == "\xFF\xFE" || head == "\xFE\xFF") return {};  // UTF-16
    return stretches(path, "lines", plain_line_cuts(path, size, shard_bytes), size);
  }
  Input input{fs::path(path)};
  const RowCuts cuts = kind == "jsonl" ? line_cuts(std::move(input), shard_bytes) : table_cuts(std::move(input), kind, shard_bytes);
  return row_stretches(path, kind == "jsonl" ? "lines" : kind, cuts, size, packed);
}

std::vector<InputShard> row_groups(const std::string& path, data::TableForm form, int64_t shard_bytes) {
  std::vector<InputShard> out;
  int64_t row = 0;
  for (const auto& group : data::TableReader(path, form).groups()) {
    if (out.empty() || out.back().bytes + group.bytes > shard_bytes) out.push_back({{path}, "rows", row, row, 0});
    out.back().end = row += group.rows;
    out.back().bytes += group.bytes;
  }
  return out;
}

// A file of more than shard_bytes in parts; none if it has no places to be cut at, or cannot be read: who reads it says so.
std::vector<InputShard> parts_of(const std::string& path, int64_t size, int64_t shard_bytes, const std::string& kind) {
  try {
    Input input{fs::path(path)};
    const data::Packing packing = input.packing();
    const std::string found = kind_to_open(input, kind);
    if (found == "jsonl" || found == "csv" || found == "tsv") return rows_of_file(path, found, packing, size, shard_bytes);
    const bool packed = packing == data::Packing::kGzip, plain = packing == data::Packing::kNone;
    if (plain && (found == "parquet" || found == "arrow"))
      return row_groups(path, found == "parquet" ? data::TableForm::kParquet : data::TableForm::kArrow, shard_bytes);
    if (found != "warc" || (!packed && !plain)) return {};
    const std::vector<int64_t> cuts = packed ? warc_member_cuts(path, shard_bytes) : warc_record_cuts(path, shard_bytes);
    return stretches(path, packed ? "members" : "records", cuts, size);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kInterrupted) throw;
    return {};
  }
}

// The reader of a stretch of WARC records, whose places begin at 0, with those of the file.
class RecordStretch : public Reader {
 public:
  RecordStretch(const InputShard& shard, const ReadOptions& options) : begin_(shard.begin), file_(fs::path(shard.files[0])) {
    if (!file_.seek(begin_)) fail(shard.files[0], ": cannot be read from byte ", begin_, " on; has it changed?");
    reader_ = open_input(Input::part(file_, shard.end - begin_, shard.files[0]), {.options = options});
  }

  bool next(Document& d, Counts& counts) override {
    if (reader_ && reader_->next(d, counts_)) {
      d.offset += begin_;
      return true;
    }
    reader_.reset();
    Json moved = counts_.to_json();
    for (auto& [reason, dropped] : moved["dropped"].items())
      for (Json& example : dropped["examples"]) example = place(example.get<std::string>());
    counts.add(Counts::from_json(moved));
    counts_ = {};
    return false;
  }

 private:
  std::string place(const std::string& where) const {
    const size_t mark = where.rfind('#') + 1;
    int64_t at = 0;
    const auto [end, error] = std::from_chars(where.data() + mark, where.data() + where.size(), at);
    return error == std::errc() && end == where.data() + where.size() ? where.substr(0, mark) + std::to_string(at + begin_) : where;
  }

  int64_t begin_;
  Input file_;
  std::unique_ptr<Reader> reader_;
  Counts counts_;
};

}  // namespace

std::vector<InputShard> plan_shards(const std::vector<std::string>& files, int64_t shard_bytes, const std::string& kind) {
  std::vector<InputShard> out;
  InputShard open;
  const auto close = [&] {
    if (!open.files.empty()) out.push_back(std::move(open));
    open = {};
  };
  for (const std::string& path : files) {
    std::error_code error;
    const auto size = int64_t(fs::file_size(path, error));
    if (error) fail_usage(path, ": ", error.message());
    if (size > shard_bytes) {
      const std::vector<InputShard> parts = parts_of(path, size, shard_bytes, kind);
      if (parts.size() > 1) {
        close();
        out.insert(out.end(), parts.begin(), parts.end());
        continue;
      }
    }
    if (open.bytes + size > shard_bytes || open.files.size() == kFilesOfShard) close();
    open.files.push_back(path);
    open.bytes += size;
  }
  close();
  return out;
}

Json to_json(const std::vector<InputShard>& shards) {
  Json list = Json::array();
  for (const InputShard& s : shards) {
    Json row = {{"files", s.files}, {"bytes", s.bytes}};
    if (!s.cut.empty()) row["cut"] = s.cut, row["begin"] = s.begin;
    if (!s.cut.empty() && s.end < INT64_MAX) row["end"] = s.end;
    if (s.member >= 0) row["member"] = s.member, row["skip"] = s.skip;
    list.push_back(std::move(row));
  }
  return list;
}

std::vector<InputShard> shards_from_json(const Json& plan, const std::string& where) {
  std::vector<InputShard> out;
  try {
    for (const Json& row : plan.at("shards")) {
      out.emplace_back().files = row.at("files").get<std::vector<std::string>>();
      out.back().bytes = row.at("bytes").get<int64_t>();
    }
  } catch (const Json::exception& e) {
    fail(where, ": not the shards of a run (", e.what(), "); remove the folder and run again");
  }
  return out;
}

uint64_t change_of(const InputShard& shard) {
  uint64_t hash = 0;
  for (const std::string& file : shard.files) {
    std::error_code error;
    const auto time = int64_t(fs::last_write_time(file, error).time_since_epoch().count());
    hash = XXH3_64bits_withSeed(&time, sizeof time, hash);
  }
  return hash;
}

std::unique_ptr<Reader> open_shard(const InputShard& shard, const ReadOptions& options) {
  const std::string path = shard.files.empty() ? "" : shard.files[0];
  if (shard.cut == "lines" || shard.cut == "csv" || shard.cut == "tsv") {
    const Input::Stretch stretch = {.member = shard.member,
                                    .skip = shard.member < 0 ? shard.begin : shard.skip,
                                    .bytes = shard.end == INT64_MAX ? INT64_MAX : shard.end - shard.begin,
                                    .head = shard.head};
    const Opening opening = {.options = options, .first_byte = shard.begin, .head_bytes = int64_t(shard.head.size())};
    return open_as(shard.cut == "lines" ? "jsonl" : shard.cut, Input::stretch(path, stretch), opening);
  }
  if (shard.cut == "records") return std::make_unique<RecordStretch>(shard, options);
  if (shard.cut == "rows") return open_input(Input(fs::path(path)), {.options = options, .first_row = shard.begin, .end_row = shard.end});
  if (shard.cut == "members") {
    const bool last = shard.end == int64_t(fs::file_size(path));
    return open_input(Input::members(path, shard.begin, last ? INT64_MAX : shard.end), {.options = options});
  }
  return open_files(shard.files, options);
}

}  // namespace r1::corpus
