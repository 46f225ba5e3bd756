#include "r1/corpus/input.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <iterator>
#include <vector>

#include "r1/base/error.h"
#include "r1/corpus/encoding.h"

namespace r1::corpus {
namespace {

constexpr size_t kChunk = size_t{1} << 17;
constexpr int64_t kMostUnread = int64_t{64} << 20;  // that unread() is ever given

// The bytes as they are stored.
struct Stored {
  virtual ~Stored() = default;
  virtual size_t read(char* out, size_t n) = 0;
  virtual bool seek(int64_t at) = 0;
};

struct StoredFile : Stored {
  std::FILE* file = nullptr;
  std::string name;
  ~StoredFile() override {
    if (file) std::fclose(file);
  }
  size_t read(char* out, size_t n) override {
    const size_t got = std::fread(out, 1, n, file);
    if (std::ferror(file)) fail(name, ": cannot read: ", std::strerror(errno));
    return got;
  }
  bool seek(int64_t at) override { return fseeko(file, at, SEEK_SET) == 0; }
};

struct StoredBytes : Stored {
  std::string bytes;
  size_t at = 0;
  size_t read(char* out, size_t n) override {
    n = std::min(n, bytes.size() - at);
    std::memcpy(out, bytes.data() + at, n);
    at += n;
    return n;
  }
  bool seek(int64_t to) override { return at = std::min(bytes.size(), size_t(to)), true; }
};

struct StoredPart : Stored {
  Input* parent = nullptr;
  int64_t left = 0;
  size_t read(char* out, size_t n) override {
    const size_t got = parent->read(out, size_t(std::min<int64_t>(left, int64_t(n))));
    left -= int64_t(got);
    return got;
  }
  bool seek(int64_t) override { return false; }
};

struct StoredUtf16 : Stored {
  Input* parent = nullptr;
  bool big = false;
  std::string out;
  size_t given = 0;
  int64_t start = 0;
  size_t read(char* to, size_t n) override {
    if (given == out.size() && !more()) return 0;
    n = std::min(n, out.size() - given);
    std::memcpy(to, out.data() + given, n);
    given += n;
    return n;
  }
  bool seek(int64_t at) override {
    out.clear();
    given = 0;
    return at == 0 && parent->seek(start);
  }
  bool more() {
    out.clear();
    given = 0;
    std::string_view ahead = parent->peek(size_t{1} << 16).substr(0, size_t{1} << 16);
    ahead = ahead.substr(0, ahead.size() / 2 * 2);
    if (ahead.size() > 2 && (uint8_t(ahead[ahead.size() - (big ? 2 : 1)]) & 0xFC) == 0xD8) ahead.remove_suffix(2);  // half of a pair
    if (ahead.empty()) return false;
    out = utf8_of_utf16(ahead, big);
    parent->skip(int64_t(ahead.size()));
    return true;
  }
};

}  // namespace

struct Input::Raw {
  std::unique_ptr<Stored> stored;
  std::unique_ptr<data::Unpacker> unpacker;  // null: as they are
  data::Packing packing = data::Packing::kNone;
  std::vector<char> bytes;
  std::string_view in;
  int64_t stored_at = 0;                 // bytes taken from `stored`
  int64_t member = 0;                    // where the one that is being unpacked began, in stored bytes
  int64_t unpacked = 0;                  // bytes that came out
  int64_t first = 0, limit = INT64_MAX;  // members(): the stored bytes in which members begin
  bool stretch = false;                  // of a file that somebody else has looked at
  int64_t left = INT64_MAX;              // of a stretch: unpacked bytes that are still to come
  // Of gzip and Zstandard: where members began, unpacked and stored; those that nobody can come back to are forgotten.
  struct Began {
    int64_t unpacked, stored;
  };
  std::deque<Began> began;

  std::string_view more() {
    bytes.resize(kChunk);
    in = {bytes.data(), stored->read(bytes.data(), bytes.size())};
    stored_at += int64_t(in.size());
    return in;
  }
};

Input::Input(Input&&) noexcept = default;
Input& Input::operator=(Input&&) noexcept = default;
Input::~Input() = default;

Input::Input(const std::filesystem::path& path) : Input(open(path)) {
  begin();
}

Input Input::open(const std::filesystem::path& path) {
  Input input;
  input.raw_ = std::make_unique<Raw>();
  input.name_ = path.string();
  input.path_ = path;
  if (std::filesystem::is_directory(path)) fail_usage(input.name_, ": is a folder, expected a file");
  auto file = std::make_unique<StoredFile>();
  file->file = std::fopen(path.c_str(), "rb");
  if (!file->file) fail_usage(input.name_, ": cannot open: ", std::strerror(errno));
  file->name = input.name_;
  input.raw_->stored = std::move(file);
  return input;
}

Input Input::members(const std::filesystem::path& path, int64_t begin, int64_t end) {
  Input input = open(path);
  Raw& r = *input.raw_;
  if (!r.stored->seek(begin)) fail(input.name_, ": cannot be read from byte ", begin, " on; has it changed?");
  r.stored_at = r.member = r.first = begin;
  r.limit = end;
  input.begin();
  if (r.packing != data::Packing::kGzip) fail(input.name_, ": no gzip member begins at byte ", begin, "; has it changed?");
  return input;
}

Input Input::stretch(const std::filesystem::path& path, const Stretch& stretch) {
  Input input = open(path);
  Raw& r = *input.raw_;
  const int64_t from = stretch.member < 0 ? stretch.skip : stretch.member;
  if (!r.stored->seek(from)) fail(input.name_, ": cannot be read from byte ", from, " on; has it changed?");
  r.stored_at = r.member = r.first = from;
  r.stretch = true;
  if (stretch.member >= 0) {
    r.packing = data::packing_of(data::first_bytes_of(path, 8));
    if (r.packing == data::Packing::kNone) fail(input.name_, ": is not packed; has it changed?");
    r.unpacker = data::Unpacker::make(r.packing);
    input.skip(stretch.skip);
  }
  input.at_ = 0;
  input.buffer_.erase(0, input.begin_);
  input.begin_ = 0;
  input.buffer_.resize(size_t(std::min(int64_t(input.buffer_.size()), stretch.bytes)));
  r.left = stretch.bytes - int64_t(input.buffer_.size());
  input.buffer_.insert(0, stretch.head);
  return input;
}

Input Input::memory(std::string bytes, std::string name) {
  Input input;
  input.raw_ = std::make_unique<Raw>();
  input.name_ = std::move(name);
  auto stored = std::make_unique<StoredBytes>();
  stored->bytes = std::move(bytes);
  input.raw_->stored = std::move(stored);
  input.begin();
  return input;
}

Input Input::brotli(std::string bytes) {
  Input input;
  input.raw_ = std::make_unique<Raw>();
  auto stored = std::make_unique<StoredBytes>();
  stored->bytes = std::move(bytes);
  input.raw_->stored = std::move(stored);
  input.raw_->unpacker = data::Unpacker::make(input.raw_->packing = data::Packing::kBrotli);
  return input;
}

Input Input::part(Input& parent, int64_t size, std::string name) {
  Input input;
  input.raw_ = std::make_unique<Raw>();
  input.name_ = std::move(name);
  auto stored = std::make_unique<StoredPart>();
  stored->parent = &parent;
  stored->left = size;
  input.raw_->stored = std::move(stored);
  input.begin();
  return input;
}

Input Input::of_utf16(Input& parent, bool big_endian) {
  Input input;
  input.raw_ = std::make_unique<Raw>();
  input.name_ = parent.name_;
  input.path_ = parent.path_;
  auto stored = std::make_unique<StoredUtf16>();
  stored->parent = &parent;
  stored->big = big_endian;
  stored->start = parent.at_;
  input.raw_->stored = std::move(stored);
  return input;
}

void Input::begin() {
  raw_->packing = data::packing_of(raw_->more());
  if (raw_->packing == data::Packing::kNone)
    raw_->packing = data::packing_of_name(std::filesystem::path(name_).extension().string(), raw_->in);
  if (raw_->packing == data::Packing::kBrotli && !data::has_brotli()) fail_usage(name_, ": is ", data::kNoBrotli);
  if (raw_->packing != data::Packing::kNone) raw_->unpacker = data::Unpacker::make(raw_->packing);
}

// More bytes into the buffer; false at the end or at a fault.
bool Input::fill() {
  if (!fault_.empty() || raw_->left == 0) return false;
  if (begin_ > kChunk || begin_ == buffer_.size()) buffer_.erase(0, begin_), begin_ = 0;
  Raw& r = *raw_;
  if (!r.unpacker) {
    if (r.in.empty() && r.more().empty()) return false;
    r.in = r.in.substr(0, size_t(std::min(int64_t(r.in.size()), r.left)));
    r.left -= int64_t(r.in.size());
    buffer_.append(r.in);
    r.in = {};
    return true;
  }
  const size_t old = buffer_.size();
  buffer_.resize(old + kChunk);
  std::string damage;
  size_t got = 0;
  while (true) {
    const bool was_inside = r.unpacker->inside();
    if (!was_inside && !r.unpacker->passing_over()) {
      r.member = r.stored_at - int64_t(r.in.size());
      if (r.member >= r.limit) break;
    }
    got = r.unpacker->unpack(r.in, buffer_.data() + old, kChunk, damage);
    if (got > 0 && (r.packing == data::Packing::kGzip || r.packing == data::Packing::kZstd) &&
        (r.began.empty() || r.began.back().stored != r.member))
      r.began.push_back({r.unpacked, r.member});
    if ((was_inside || got > 0) && damage.empty() && !r.unpacker->inside() && r.stored_at - int64_t(r.in.size()) > r.limit)
      fail(name_, ": byte ", r.limit,
           " looks like a record's beginning, but is inside of the one before; give --shard_bytes above the file's ",
           "size, so that it is read as a whole");
    if (got > 0 || !damage.empty()) break;
    if (!r.in.empty()) continue;
    if (r.more().empty()) {
      if (r.unpacker->inside()) fault_ = "truncated";
      break;
    }
  }
  if (int64_t(got) >= r.left) {
    got = size_t(r.left);
    damage.clear();  // that is behind the stretch
  }
  r.left -= int64_t(got);
  buffer_.resize(old + got);
  r.unpacked += int64_t(got);
  if (!damage.empty()) fault_ = "damaged_packing";
  if (!r.stretch && r.unpacked > kBombBytes && r.unpacked / kBombRatio > r.stored_at - r.first) fault_ = "bomb";
  while (r.began.size() > 1 && r.began[1].unpacked < at_ - kMostUnread) r.began.pop_front();
  return got > 0;
}

std::string_view Input::peek(size_t n) {
  n = std::min(n, kMaxPeek);
  while (buffer_.size() - begin_ < n && fill()) {
  }
  return std::string_view(buffer_).substr(begin_);
}

size_t Input::read(char* out, size_t n) {
  if (begin_ == buffer_.size() && !fill()) return 0;
  n = std::min(n, buffer_.size() - begin_);
  std::memcpy(out, buffer_.data() + begin_, n);
  begin_ += n;
  at_ += int64_t(n);
  return n;
}

bool Input::until(char end, std::string& out, size_t most, bool& cut) {
  out.clear();
  cut = false;
  bool any = false;
  for (bool found = false; !found && (begin_ < buffer_.size() || fill());) {
    any = true;
    const char* from = buffer_.data() + begin_;
    const size_t left = buffer_.size() - begin_;
    const void* hit = std::memchr(from, end, left);
    const size_t n = hit ? size_t(static_cast<const char*>(hit) - from) + 1 : left;
    found = hit != nullptr;
    const size_t kept = std::min(n, most - out.size());
    out.append(from, kept);
    cut |= kept < n;
    begin_ += n;
    at_ += int64_t(n);
  }
  return any;
}

bool Input::line(std::string& out, size_t most, bool& cut) {
  if (!until('\n', out, most, cut)) return false;
  if (!cut && out.ends_with('\n')) out.pop_back();
  if (!cut && out.ends_with('\r')) out.pop_back();
  return true;
}

void Input::skip(int64_t n) {
  while (n > 0 && (begin_ < buffer_.size() || fill())) {
    const int64_t some = std::min<int64_t>(n, int64_t(buffer_.size() - begin_));
    begin_ += size_t(some);
    at_ += some;
    n -= some;
  }
}

std::string Input::rest(size_t most, bool& cut) {
  std::string out;
  while (begin_ < buffer_.size() || fill()) {
    const size_t some = std::min(buffer_.size() - begin_, most - out.size());
    out.append(buffer_, begin_, some);
    begin_ += some;
    at_ += int64_t(some);
    if (out.size() == most) break;
  }
  cut = !at_end();
  return out;
}

void Input::unread(std::string_view bytes) {
  buffer_.replace(0, begin_, bytes);
  begin_ = 0;
  at_ -= int64_t(bytes.size());
}

Input::Member Input::member_of(int64_t at) const {
  const auto& began = raw_->began;
  const auto next = std::ranges::upper_bound(began, at, {}, &Raw::Began::unpacked);
  return next == began.begin() ? Member{at, 0} : Member{std::prev(next)->stored, at - std::prev(next)->unpacked};
}

int64_t Input::place() const {
  if (raw_->packing != data::Packing::kGzip) return at_;
  const Member member = member_of(at_);
  return member.stored + member.inside;
}

data::Packing Input::packing() const {
  return raw_->packing;
}

bool Input::resync() {
  Raw& r = *raw_;
  if (fault_.empty() || fault_ == "bomb" || !r.unpacker) return false;
  const std::string_view magic = data::magic_of(r.packing);
  if (magic.empty()) return false;  // Brotli: one stream, without a mark
  // The damage may have shown well behind its place: the next member is looked for right after the broken one's beginning, where the bytes
  // can be had once more.
  std::string window;
  if (r.stored->seek(r.member + 1)) {
    r.stored_at = r.member + 1;
    r.in = {};
  } else {
    window = r.in;
  }
  int64_t base = r.stored_at - int64_t(window.size());  // the place of window[0]
  while (true) {
    const size_t hit = window.find(magic);
    if (hit != std::string::npos && window.size() >= hit + 6) {
      // a header that says something: flags that exist, a level, a window
      const std::string_view head = std::string_view(window).substr(hit);
      if (r.packing == data::Packing::kGzip ? (uint8_t(head[3]) & 0xE0) == 0 : data::packing_of(head) == r.packing) {
        if (base + int64_t(hit) >= r.limit) return false;
        r.bytes.assign(window.begin() + int64_t(hit), window.end());
        r.in = {r.bytes.data(), r.bytes.size()};
        r.stored_at = base + int64_t(window.size());
        r.unpacker->reset();
        fault_.clear();
        return true;
      }
      window.erase(0, hit + 1);
      base += int64_t(hit) + 1;
      continue;
    }
    const size_t keep = std::min<size_t>(window.size(), hit != std::string::npos ? window.size() - hit : magic.size() - 1);
    base += int64_t(window.size() - keep);
    window.erase(0, window.size() - keep);
    if (base >= r.limit) return false;
    const size_t old = window.size();
    window.resize(old + kChunk);
    window.resize(old + r.stored->read(window.data() + old, kChunk));
    if (window.size() == old) return false;
  }
}

bool Input::seek(int64_t at) {
  Raw& r = *raw_;
  if (r.stretch || !r.stored->seek(r.first)) return false;
  r.stored_at = r.member = r.first;
  r.unpacked = 0;
  r.began.clear();
  r.in = {};
  if (r.unpacker) r.unpacker->reset();
  fault_.clear();
  buffer_.clear();
  begin_ = 0;
  at_ = 0;
  skip(at);
  return at_ == at;
}

data::ByteSource Input::source() {
  return data::ByteSource({.read = [this](char* out, size_t n) { return read(out, n); }, .seek = [this](int64_t at) { return seek(at); }},
                          name_);
}

}  // namespace r1::corpus
