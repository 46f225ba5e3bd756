#include "r1/data/webdataset.h"

#include <algorithm>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/is_utf8.h"
#include "r1/base/strings.h"
#include "r1/data/unpack.h"

namespace r1::data {
namespace {

constexpr size_t kChunk = size_t{1} << 18;

SampleMember::Form form_of_ending(std::string_view last) {
  for (const std::string_view text : {"txt", "text", "md", "html", "caption", "transcript", "cls"})
    if (last == text) return SampleMember::Form::kText;
  if (last == "json") return SampleMember::Form::kJson;
  return last == "jsonl" || last == "ndjson" ? SampleMember::Form::kJsonLines : SampleMember::Form::kOther;
}

// "__meta__/x.json"
bool is_reserved(std::string_view name) {
  const std::string_view first = name.substr(0, name.find('/'));
  return first.size() < name.size() && first.size() > 4 && first.starts_with("__") && first.ends_with("__");
}

// A name is any bytes, a text of JSON is not.
std::string as_text(const std::string& name) {
  return is_utf8(name) ? name : printable(name);
}

std::string packed_ending(std::string_view name) {
  const size_t dot = name.rfind('.');
  const std::string ending = dot == std::string_view::npos ? "" : lower_ascii(std::string(name.substr(dot)));
  return is_packed_ending(ending) ? ending : "";
}

}  // namespace

SampleMember sample_member(std::string_view name) {
  SampleMember m;
  while (name.starts_with("./")) name.remove_prefix(2);
  const size_t slash = name.rfind('/') + 1, dot = name.find('.', slash);  // npos + 1 == 0
  if (dot == std::string_view::npos || dot == slash || is_reserved(name)) return m;
  m.key = name.substr(0, dot);
  std::string_view ending = name.substr(dot + 1);
  ending.remove_suffix(std::min(packed_ending(name.substr(dot)).size(), ending.size()));
  m.ending = lower_ascii(std::string(ending));
  const size_t last = m.ending.rfind('.') + 1;
  m.form = form_of_ending(std::string_view(m.ending).substr(last));
  if (last > 0)
    m.field = m.ending.substr(0, last - 1);
  else if (m.form == SampleMember::Form::kText && m.ending != "txt" && m.ending != "text")
    m.field = m.ending;
  return m;
}

bool is_tar_name(const std::filesystem::path& path) {
  const std::string name = lower_ascii(path.filename().string());
  for (const std::string_view ending : {".tar", ".tgz", ".tbz2", ".txz", ".tzst"})
    if (name.ends_with(ending)) return true;
  const std::string packed = packed_ending(name);
  return !packed.empty() && std::string_view(name).substr(0, name.size() - packed.size()).ends_with(".tar");
}

WebDatasetReader::WebDatasetReader(std::filesystem::path path, size_t max_row_bytes)
    : path_(std::move(path)), max_row_bytes_(max_row_bytes), source_(path_) {}

std::string WebDatasetReader::name_of_member() const {
  return str(path_.string(), "!", printable(tar_.name));
}

void WebDatasetReader::fail_cut(const std::string& what) const {
  fail(path_.string(), ": ends ", what, ", at byte ", at_, "; was its download or its writer cut off?");
}

// ---- bytes

std::string_view WebDatasetReader::peek(size_t n) {
  while (buffer_.size() - begin_ < n && !ended_) {
    buffer_.erase(0, begin_);
    begin_ = 0;
    const size_t old = buffer_.size();
    buffer_.resize(old + kChunk);
    size_t got = 0;
    try {
      got = source_.read(buffer_.data() + old, kChunk, rows_ + 1);
    } catch (const Error& error) {
      fail(error.what(), " (byte ", at_ + int64_t(old), " of the archive",
           tar_.name.empty() ? "" : str(", ", at_ < member_end_ ? "in " : "after ", printable(tar_.name)), ")");
    }
    buffer_.resize(old + got);
    ended_ = got == 0;
  }
  return std::string_view(buffer_).substr(begin_);
}

size_t WebDatasetReader::read(char* out, size_t n) {
  n = std::min(n, peek(1).size());
  std::copy_n(buffer_.data() + begin_, n, out);
  begin_ += n;
  at_ += int64_t(n);
  return n;
}

void WebDatasetReader::skip(int64_t n) {
  while (n > 0) {
    const int64_t some = std::min<int64_t>(n, int64_t(peek(1).size()));
    if (some == 0) return;
    begin_ += size_t(some);
    at_ += some;
    n -= some;
  }
}

size_t WebDatasetReader::read_member(char* out, size_t n) {
  n = size_t(std::min<int64_t>(left_, int64_t(n)));
  const size_t got = n > 0 ? read(out, n) : 0;
  if (got == 0 && left_ > 0 && n > 0) fail_cut(str("inside of ", printable(tar_.name), ", ", left_, " bytes before its end"));
  left_ -= int64_t(got);
  return got;
}

std::function<size_t(char*, size_t)> WebDatasetReader::bytes_of_member() {
  const std::string ending = packed_ending(tar_.name);
  const std::string_view head =
      peek(size_t(std::min<int64_t>(left_, kBrotliProbe))).substr(0, size_t(std::min<int64_t>(left_, kBrotliProbe)));
  const Packing packing = ending.empty()                       ? Packing::kNone
                          : packing_of(head) != Packing::kNone ? packing_of(head)
                                                               : packing_of_name(ending, head);
  if (packing == Packing::kNone) return [this](char* out, size_t n) { return read_member(out, n); };
  if (packing == Packing::kBrotli && !has_brotli()) fail(name_of_member(), ": is ", kNoBrotli);
  struct State {
    std::unique_ptr<Unpacker> unpacker;
    std::vector<char> bytes = std::vector<char>(size_t{1} << 16);
    std::string_view in;
  };
  const auto state = std::make_shared<State>();
  state->unpacker = Unpacker::make(packing);
  return [this, state](char* out, size_t n) -> size_t {
    std::string fault;
    while (true) {
      const size_t got = state->unpacker->unpack(state->in, out, n, fault);
      if (!fault.empty()) fail(name_of_member(), ": cannot read: ", fault);
      if (got > 0) return got;
      if (!state->in.empty()) continue;
      state->in = {state->bytes.data(), read_member(state->bytes.data(), state->bytes.size())};
      if (!state->in.empty()) continue;
      if (state->unpacker->inside()) fail(name_of_member(), ": cannot read: unexpected end of file");
      return 0;
    }
  };
}

std::string WebDatasetReader::whole_member() {
  const auto bytes = bytes_of_member();
  std::string whole;
  while (true) {
    const size_t old = whole.size();
    whole.resize(old + kChunk);
    const size_t got = bytes(whole.data() + old, kChunk);
    whole.resize(old + got);
    if (bytes_ + whole.size() > max_row_bytes_)
      fail(path_.string(), ", sample ", printable(key_), ": is longer than ", max_row_bytes_, " bytes");
    if (got == 0) break;
  }
  bytes_ += whole.size();
  if (whole.starts_with("\xEF\xBB\xBF")) whole.erase(0, 3);
  if (!is_utf8(whole)) fail(name_of_member(), ": is no UTF-8 text");
  return whole;
}

// ---- members and samples

// To the next member that is of a sample; false at the end of the archive.
bool WebDatasetReader::next_member() {
  int64_t first_header = -1;
  while (true) {
    skip(member_end_ - at_);
    if (at_ < data_end_) fail_cut(str("inside of ", printable(tar_.name)));
    const std::string_view block = peek(kTarBlock).substr(0, kTarBlock);
    if (block.empty() && first_header < 0) return false;
    if (block.size() < kTarBlock) fail_cut("inside of a header");
    if (block.find_first_not_of('\0') == std::string_view::npos) {
      skip(int64_t(kTarBlock));  // two of them end an archive; another may follow
      member_end_ = at_;
      continue;
    }
    if (!is_tar_header(block))
      fail(path_.string(), ": byte ", at_, tar_.name.empty() ? "" : str(", after ", printable(tar_.name)),
           ": no header of a tar archive is there; is it damaged, or no archive?");
    if (first_header < 0) first_header = at_;
    const TarMember header = headers_.header(block);
    if (header.size < 0) fail(path_.string(), ": byte ", at_, ": a header that says no size");
    skip(int64_t(kTarBlock));
    if (TarHeaders::is_of_next(header)) {
      member_end_ = tar_end(at_, header.size);
      data_end_ = at_ + header.size;
      std::string bytes(size_t(std::min<int64_t>(header.size, int64_t(kMaxTarName))), '\0');
      for (size_t have = 0; have < bytes.size();) {
        const size_t got = read(bytes.data() + have, bytes.size() - have);
        if (got == 0) fail_cut("inside of a header");
        have += got;
      }
      headers_.take(header, bytes);
      continue;
    }
    tar_ = header;
    member_end_ = tar_end(at_, tar_.stored());
    data_end_ = at_ + tar_.stored();
    member_ = sample_member(tar_.name);
    if (tar_.type == 'S' && !member_.key.empty())
      fail(name_of_member(), ": is stored as a sparse file, which is not read here; pack the archive without --sparse");
    if (!tar_.is_file() || tar_.is_folder() || member_.key.empty()) {
      first_header = -1;
      continue;
    }
    member_header_ = first_header;
    left_ = tar_.size;
    return has_member_ = true;
  }
}

void WebDatasetReader::begin_sample() {
  key_ = member_.key;
  if (keys_.contains(std::hash<std::string>()(key_)))
    fail(path_.string(), ", sample ", printable(key_), ": its members do not stand together (", printable(tar_.name),
         " comes after others); pack the archive with its names sorted: tar --sort=name");
  sample_begin_ = member_header_;
  given_ = 0;
  object_ = fields_ = Json::object();
  endings_.clear();
  bytes_ = 0;
  has_lines_ = false;
  in_sample_ = true;
}

// False if it has no row of its own.
bool WebDatasetReader::end_sample(std::string& row) {
  in_sample_ = false;
  keys_.insert(std::hash<std::string>()(key_));
  if (object_.empty() && fields_.empty()) return false;
  for (auto& [field, value] : fields_.items()) object_[field] = std::move(value);
  object_["__key__"] = as_text(key_);
  row = dump_json(object_);
  where_ = str(path_.string(), ", sample ", printable(key_));
  return true;
}

void WebDatasetReader::set_field(const std::string& field, Json value) {
  if (fields_.contains(as_text(field))) fail(name_of_member(), ": its sample has a '", printable(field), "' already");
  fields_[as_text(field)] = std::move(value);
}

void WebDatasetReader::take_member() {
  has_member_ = false;
  if (!endings_.insert(member_.ending).second) fail(name_of_member(), ": its sample has a member of that ending already");
  switch (member_.form) {
    case SampleMember::Form::kOther:
      return;
    case SampleMember::Form::kText:
      return set_field(member_.field.empty() ? "text" : member_.field, whole_member());
    case SampleMember::Form::kJson: {
      Json value = parse_json(whole_member(), name_of_member());
      if (member_.field.empty() && value.is_object())
        object_ = std::move(value);
      else
        set_field(member_.field.empty() ? "json" : member_.field, std::move(value));
      return;
    }
    case SampleMember::Form::kJsonLines:
      has_lines_ = true;
      lines_ =
          std::make_unique<LineReader>(ByteSource({.read = bytes_of_member(), .seek = [](int64_t) { return false; }}, name_of_member()),
                                       name_of_member(), max_row_bytes_);
  }
}

bool WebDatasetReader::next(std::string& row) {
  const auto given = [&] {
    ++given_;
    ++rows_;
    return true;
  };
  while (true) {
    if (lines_) {
      while (lines_->next(row)) {
        if (row.find_first_not_of(" \t") == std::string::npos) continue;
        where_ = lines_->where();
        return given();
      }
      lines_.reset();
    }
    if (!has_member_) next_member();
    if (in_sample_ && (!has_member_ || member_.key != key_)) {
      if (end_sample(row)) return given();
      continue;
    }
    if (!has_member_) return false;
    if (!in_sample_) begin_sample();
    take_member();
  }
}

void WebDatasetReader::seek(LineReader::Position position) {
  const int64_t begin = (position.byte >> 32) * int64_t(kTarBlock), part = position.byte & 0xFFFF'FFFF;
  source_.seek(begin);
  buffer_.clear();
  begin_ = 0;
  at_ = member_end_ = data_end_ = sample_begin_ = begin;
  ended_ = has_member_ = in_sample_ = false;
  headers_ = {};
  tar_ = {};
  lines_.reset();
  keys_.clear();
  given_ = 0;
  rows_ = position.line - part;
  std::string row;
  for (int64_t i = 0; i < part; ++i)
    if (!next(row)) fail(path_.string(), ": has no row ", position.line, "; has it changed?");
}

}  // namespace r1::data
