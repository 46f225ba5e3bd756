#include "r1/data/unpack.h"

#include <bzlib.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <utility>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/utf8.h"
#include "r1/data/brotli.h"

namespace r1::data {
namespace {

using namespace std::literals;

constexpr size_t kMostWindow = size_t{128} << 20;
constexpr size_t kMostInput = size_t{1} << 30;  // the libraries count in unsigned int

// Members after one another are alike for all formats but Zstandard, which has them of its own: a member begins with its magic. Zeros between two are
// padding. Anything else behind a member is passed over if no further one follows; if one does, there is damage between the two.
class Members : public Unpacker {
 public:
  explicit Members(std::string_view magic) : magic_(magic) {}

  size_t unpack(std::string_view& in, char* out, size_t n, std::string& fault) override {
    while (!in.empty()) {
      if (!inside_ && is_padding(in)) {
        in.remove_prefix(std::min(in.find_first_not_of('\0'), in.size()));
        return 0;  // who counts members sees where the next one begins
      }
      if (!inside_ && !begin(in, fault)) {
        if (!fault.empty()) return 0;
        continue;
      }
      if (!inside_ || in.empty()) continue;  // the magic may be all that there is so far
      bool ended = false;
      const size_t before = in.size();
      const size_t got = step(in, out, n, ended, fault);
      if (!fault.empty()) return got;
      if (ended) close(), inside_ = false, first_ = false;
      if (got > 0 || ended) return got;
      if (in.size() == before) return fault = "no progress", 0;
    }
    return inside_ ? flush(out, n, fault) : 0;
  }
  bool inside() const override { return inside_ || !held_.empty(); }
  void reset() override {
    if (inside_) close();
    inside_ = false, first_ = true, passing_over_ = false;
    held_.clear();
    passed_.clear();
  }
  bool passing_over() const override { return passing_over_; }

 protected:
  virtual bool open(std::string& fault) = 0;
  virtual void close() = 0;
  // Some of a member: bytes written.
  virtual size_t step(std::string_view& in, char* out, size_t n, bool& ended, std::string& fault) = 0;
  // Bytes that are done, but did not fit into the last output.
  size_t flush(char* out, size_t n, std::string& fault) {
    std::string_view none;
    bool ended = false;
    const size_t got = step(none, out, n, ended, fault);
    if (ended) close(), inside_ = false, first_ = false;
    return got;
  }
  bool inside_ = false;

 private:
  bool is_padding(std::string_view in) const { return !first_ && !passing_over_ && held_.empty() && in[0] == '\0'; }
  // The magic may come in pieces: what was seen of it is held and given to the member at its opening.
  bool begin(std::string_view& in, std::string& fault) {
    if (passing_over_) return look_for_member(in, fault);
    while (!in.empty() && held_.size() < magic_.size() && in[0] == magic_[held_.size()]) held_ += in[0], in.remove_prefix(1);
    if (held_.size() < magic_.size()) {
      if (in.empty()) return false;
      if (first_) return fault = "no header", false;
      passing_over_ = true;
      passed_ = std::exchange(held_, {});
      return look_for_member(in, fault);
    }
    if (!open(fault)) return false;
    inside_ = true;
    std::string_view head = held_;
    bool ended = false;
    char nothing;
    step(head, &nothing, 0, ended, fault);
    held_.clear();
    return fault.empty();
  }

  // Takes all that is no member; a fault in front of one.
  bool look_for_member(std::string_view& in, std::string& fault) {
    constexpr size_t kHead = 6;  // bytes that say whether it is one
    passed_ += in;
    size_t hit = passed_.find(magic_);
    while (hit != std::string::npos && passed_.size() >= hit + kHead && !is_header(std::string_view(passed_).substr(hit)))
      hit = passed_.find(magic_, hit + 1);
    const bool found = hit != std::string::npos && passed_.size() >= hit + kHead;
    in.remove_prefix(found ? in.size() - std::min(in.size(), passed_.size() - hit) : in.size());
    if (found) return fault = "what stands between two members is none", false;
    passed_.erase(0, std::min(hit, passed_.size() - std::min(passed_.size(), magic_.size() - 1)));
    return false;
  }
  bool is_header(std::string_view head) const {
    return magic_ == magic_of(Packing::kGzip) ? (uint8_t(head[3]) & 0xE0) == 0 : packing_of(head) != Packing::kNone;
  }

  std::string_view magic_;
  std::string held_, passed_;
  bool first_ = true, passing_over_ = false;
};

class Gzip : public Members {
 public:
  Gzip() : Members("\x1F\x8B\x08"sv) {}
  ~Gzip() override {
    if (inside_) inflateEnd(&stream_);
  }

 private:
  bool open(std::string& fault) override {
    stream_ = {};
    if (inflateInit2(&stream_, 15 + 16) != Z_OK) return fault = "out of memory", false;
    return true;
  }
  void close() override { inflateEnd(&stream_); }
  size_t step(std::string_view& in, char* out, size_t n, bool& ended, std::string& fault) override {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    const uInt given = uInt(std::min(in.size(), kMostInput));
    stream_.avail_in = given;
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    const uInt room = uInt(std::min(n, kMostInput));
    stream_.avail_out = room;
    const int code = inflate(&stream_, Z_NO_FLUSH);
    in.remove_prefix(given - stream_.avail_in);
    if (code == Z_STREAM_END)
      ended = true;
    else if (code != Z_OK && code != Z_BUF_ERROR)
      fault = stream_.msg ? stream_.msg : "damaged";
    return room - stream_.avail_out;
  }

  z_stream stream_{};
};

class Bzip2 : public Members {
 public:
  Bzip2() : Members("BZh"sv) {}
  ~Bzip2() override {
    if (inside_) BZ2_bzDecompressEnd(&stream_);
  }

 private:
  bool open(std::string& fault) override {
    stream_ = {};
    if (BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK) return fault = "out of memory", false;
    return true;
  }
  void close() override { BZ2_bzDecompressEnd(&stream_); }
  size_t step(std::string_view& in, char* out, size_t n, bool& ended, std::string& fault) override {
    stream_.next_in = const_cast<char*>(in.data());
    const unsigned given = unsigned(std::min(in.size(), kMostInput));
    stream_.avail_in = given;
    stream_.next_out = out;
    const unsigned room = unsigned(std::min(n, kMostInput));
    stream_.avail_out = room;
    const int code = BZ2_bzDecompress(&stream_);
    in.remove_prefix(given - stream_.avail_in);
    if (code == BZ_STREAM_END)
      ended = true;
    else if (code == BZ_DATA_ERROR)
      fault = "incorrect data check";
    else if (code == BZ_DATA_ERROR_MAGIC)
      fault = "no bzip2 header";
    else if (code != BZ_OK)
      fault = "damaged";
    return room - stream_.avail_out;
  }

  bz_stream stream_{};
};

class Xz : public Members {
 public:
  Xz() : Members("\xFD\x37zXZ\0"sv) {}
  ~Xz() override { lzma_end(&stream_); }

 private:
  bool open(std::string& fault) override {
    stream_ = LZMA_STREAM_INIT;
    if (lzma_stream_decoder(&stream_, kMostWindow + (size_t{8} << 20), 0) != LZMA_OK) return fault = "out of memory", false;
    return true;
  }
  void close() override { lzma_end(&stream_); }
  size_t step(std::string_view& in, char* out, size_t n, bool& ended, std::string& fault) override {
    stream_.next_in = reinterpret_cast<const uint8_t*>(in.data());
    stream_.avail_in = in.size();
    stream_.next_out = reinterpret_cast<uint8_t*>(out);
    stream_.avail_out = n;
    const lzma_ret code = lzma_code(&stream_, LZMA_RUN);
    in.remove_prefix(in.size() - stream_.avail_in);
    switch (code) {
      case LZMA_OK:
      case LZMA_BUF_ERROR:
        break;
      case LZMA_STREAM_END:
        ended = true;
        break;
      case LZMA_MEMLIMIT_ERROR:
        fault = "it was made with a dictionary above 128 MiB; unpack it with unxz";
        break;
      default:
        fault = code == LZMA_OPTIONS_ERROR ? "an option of xz that is not known here" : "incorrect data check";
    }
    return n - stream_.avail_out;
  }

  lzma_stream stream_ = LZMA_STREAM_INIT;
};

class Zstandard : public Unpacker {
 public:
  ~Zstandard() override { ZSTD_freeDStream(stream_); }
  size_t unpack(std::string_view& in, char* out, size_t n, std::string& fault) override {
    if (in.empty() && !inside_) return 0;  // the library would begin a frame that is not there
    ZSTD_inBuffer from{in.data(), in.size(), 0};
    ZSTD_outBuffer to{out, n, 0};
    do {
      const size_t left = ZSTD_decompressStream(stream_, &to, &from);
      if (ZSTD_isError(left)) {
        fault = ZSTD_getErrorName(left);
        if (ZSTD_getErrorCode(left) == ZSTD_error_frameParameter_windowTooLarge)
          fault += ": it was made with a window above 128 MiB (zstd --long); unpack it with zstd -d --long=31";
        break;
      }
      inside_ = left != 0;
    } while (to.pos == 0 && from.pos < from.size);
    in.remove_prefix(from.pos);
    return to.pos;
  }
  bool inside() const override { return inside_; }
  void reset() override {
    ZSTD_DCtx_reset(stream_, ZSTD_reset_session_only);
    inside_ = false;
  }

 private:
  ZSTD_DStream* stream_ = ZSTD_createDStream();
  bool inside_ = false;
};

// One stream, that ends with the bytes. Its window has at most 16 MiB (the larger ones are not in RFC 7932, and are refused by the library).
class Brotli : public Unpacker {
 public:
  explicit Brotli(const BrotliDecoder& decoder) : decoder_(decoder) {}
  ~Brotli() override { reset(); }

  size_t unpack(std::string_view& in, char* out, size_t n, std::string& fault) override {
    if (in.empty() && !state_) return 0;
    if (ended_) return fault = "something follows its end", 0;
    if (!state_) state_ = decoder_.create(nullptr, nullptr, nullptr);
    if (!state_) return fault = "out of memory", 0;
    auto* from = reinterpret_cast<const uint8_t*>(in.data());
    auto* to = reinterpret_cast<uint8_t*>(out);
    size_t left_in = in.size(), left_out = n;
    const int result = decoder_.decompress(state_, &left_in, &from, &left_out, &to, nullptr);
    in.remove_prefix(in.size() - left_in);
    if (result == kBrotliError) fault = str("damaged (", decoder_.error_text(decoder_.error_code(state_)), ")");
    if (result == kBrotliEnd) {
      ended_ = true;
      close();
    }
    return n - left_out;
  }
  bool inside() const override { return state_ != nullptr; }
  void reset() override {
    close();
    ended_ = false;
  }

 private:
  void close() {
    if (state_) decoder_.destroy(state_);
    state_ = nullptr;
  }

  const BrotliDecoder& decoder_;
  void* state_ = nullptr;
  bool ended_ = false;
};

// UTF-8, but for a character that the end of the bytes cuts.
bool is_text(std::string_view bytes) {
  const char *p = bytes.data(), *const end = p + bytes.size();
  for (uint32_t cp = 0; p < end && cp != kInvalidChar;) p += decode_utf8(p, end, &cp) * (cp != kInvalidChar);
  return end - p < 4;
}

bool unpacks_as_brotli(std::string_view bytes) {
  const BrotliDecoder* decoder = brotli_decoder();
  if (!decoder) return false;
  Brotli unpacker(*decoder);
  std::string out(size_t{1} << 16, '\0'), fault;
  return unpacker.unpack(bytes, out.data(), out.size(), fault) > 0 && fault.empty();
}

}  // namespace

std::string_view magic_of(Packing packing) {
  switch (packing) {
    case Packing::kGzip:
      return "\x1F\x8B\x08"sv;
    case Packing::kZstd:
      return "\x28\xB5\x2F\xFD"sv;
    case Packing::kBzip2:
      return "BZh"sv;
    case Packing::kXz:
      return "\xFD\x37zXZ\0"sv;
    case Packing::kBrotli:
    case Packing::kNone:
      break;
  }
  return {};
}

Packing packing_of(std::string_view bytes) {
  for (const Packing p : {Packing::kGzip, Packing::kZstd, Packing::kXz})
    if (bytes.starts_with(magic_of(p))) return p;
  // a Zstandard frame to be skipped, which pzstd writes before each
  if (bytes.size() >= 4 && (uint8_t(bytes[0]) & 0xF0) == 0x50 && bytes.substr(1, 3) == "\x2A\x4D\x18") return Packing::kZstd;
  // "BZh" are letters: a text may begin with them
  return bytes.size() >= 5 && bytes.starts_with("BZh") && bytes[3] >= '1' && bytes[3] <= '9' && (bytes[4] == '1' || bytes[4] == '\x17')
             ? Packing::kBzip2
             : Packing::kNone;
}

bool is_packed_ending(std::string_view ending) {
  for (const std::string_view known : {".gz", ".zst", ".bz2", ".xz", ".br"})
    if (ending == known) return true;
  return false;
}

Packing packing_of_name(std::string_view ending, std::string_view first_bytes) {
  const std::string_view bytes = first_bytes.substr(0, kBrotliProbe);
  if (ending != ".br" || bytes.empty() || packing_of(bytes) != Packing::kNone || bytes.starts_with("\xFF\xFE") ||
      bytes.starts_with("\xFE\xFF"))
    return Packing::kNone;
  // packed bytes have control characters, a few dozen of them without one are rare
  if (std::ranges::any_of(bytes, [](unsigned char c) { return c < 0x20 && c != '\n' && c != '\r' && c != '\t' && c != '\f'; }))
    return Packing::kBrotli;
  return !is_text(bytes) && unpacks_as_brotli(bytes) ? Packing::kBrotli : Packing::kNone;
}

namespace {

// Do these bytes begin a gzip member? Its header says something that is, and what follows unpacks.
bool begins_gzip(std::string_view bytes) {
  if (bytes.size() < 18 || (uint8_t(bytes[3]) & 0xE0) != 0) return false;
  Gzip unpacker;
  std::string out(size_t{1} << 16, '\0'), fault;
  bytes = bytes.substr(0, out.size());
  while (!bytes.empty()) {
    const size_t got = unpacker.unpack(bytes, out.data(), out.size(), fault);
    if (!fault.empty()) return false;
    if (got > 0 || !unpacker.inside()) return true;
  }
  return true;
}

}  // namespace

bool has_members(const std::filesystem::path& path, Packing packing) {
  if (packing != Packing::kGzip && packing != Packing::kZstd) return false;
  const MappedFile file(path);
  const std::string_view bytes(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  if (packing == Packing::kGzip) {
    for (size_t at = 1; (at = bytes.find(magic_of(packing), at)) != std::string_view::npos; ++at)
      if (begins_gzip(bytes.substr(at))) return true;
    return false;
  }
  // Frames say where they end; those that are to be skipped (pzstd has one before each) are none.
  int frames = 0;
  for (size_t at = 0; at < bytes.size() && frames < 2;) {
    const size_t size = ZSTD_findFrameCompressedSize(bytes.data() + at, bytes.size() - at);
    if (ZSTD_isError(size)) break;
    frames += bytes.substr(at).starts_with(magic_of(packing));
    at += size;
  }
  return frames >= 2;
}

bool has_brotli() {
  return brotli_decoder() != nullptr;
}

std::unique_ptr<Unpacker> Unpacker::make(Packing packing) {
  switch (packing) {
    case Packing::kGzip:
      return std::make_unique<Gzip>();
    case Packing::kZstd:
      return std::make_unique<Zstandard>();
    case Packing::kBzip2:
      return std::make_unique<Bzip2>();
    case Packing::kXz:
      return std::make_unique<Xz>();
    case Packing::kBrotli:
      if (const BrotliDecoder* decoder = brotli_decoder()) return std::make_unique<Brotli>(*decoder);
      fail("[unpack] ", kNoBrotli);
    case Packing::kNone:
      break;
  }
  fail("[unpack] nothing to unpack");
}

}  // namespace r1::data
