#include "r1/corpus/substring_dedup.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <mutex>

#include "r1/base/error.h"
#include "r1/base/strings.h"
#include "r1/base/threads.h"

namespace r1::corpus {
namespace {

struct Anchor {
  uint64_t hash, at;
  bool operator<(const Anchor& o) const { return hash != o.hash ? hash < o.hash : at < o.at; }
};

// splitmix64's finish: every bit of the rolling hash counts in the order of hashes.
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

void sort_and_join(std::vector<Stretch>& s) {
  std::sort(s.begin(), s.end(), [](const Stretch& a, const Stretch& b) { return a.begin < b.begin; });
  size_t n = 0;
  for (const Stretch& x : s) {
    if (n > 0 && x.begin <= s[n - 1].end)
      s[n - 1].end = std::max(s[n - 1].end, x.end);
    else
      s[n++] = x;
  }
  s.resize(n);
}

template <class Unit>
class RepeatFinder {
 public:
  RepeatFinder(std::span<const Unit> text, std::span<const uint64_t> ends, const RepeatOptions& options)
      : text_(text),
        ends_(ends),
        options_(options),
        length_(size_t(options.length)),
        gram_(std::max<size_t>(1, length_ / 2)),
        places_(length_ - gram_ + 1) {
    for (size_t i = 1; i < gram_; ++i) oldest_ *= kFactor;
  }

  std::vector<Stretch> run() {
    // About two anchors in every places_ + 1 units, more where text repeats at once.
    Parts<Anchor> parts(options_.folder, "substring.anchors", text_.size() / (places_ + 1) * 2 + 1024, options_.memory_bytes);
    const std::vector<Piece> pieces = cut_pieces();
    // Short documents together, so that a thread has something to do.
    std::vector<size_t> tasks{0};
    for (uint64_t i = 0, n = 0; i < pieces.size(); ++i)
      if ((n += pieces[i].end - pieces[i].begin + length_) >= kPiece || i + 1 == pieces.size()) {
        tasks.push_back(i + 1);
        n = 0;
      }
    std::vector<std::vector<Anchor>> found;
    found.resize(size_t(num_threads()));
    for (size_t i = 0; i + 1 < tasks.size(); i += found.size()) {
      in_threads(std::min(tasks.size() - 1 - i, found.size()), [&](size_t k) {
        for (size_t p = tasks[i + k]; p < tasks[i + k + 1]; ++p) anchors(pieces[p], found[k]);
      });
      for (std::vector<Anchor>& f : found) {
        for (const Anchor& a : f) parts.add(mix(a.hash + 1), a);  // least hashes are small: their own bits would fill the first part
        f.clear();
      }
    }
    found.clear();
    parts.each([&](std::vector<Anchor>& part) { groups(part); });
    sort_and_join(repeated_);
    return std::move(repeated_);
  }

 private:
  static constexpr uint64_t kFactor = 0x9E3779B97F4A7C15;
  static constexpr size_t kPiece = size_t{1} << 22;  // window beginnings that a thread takes at a time
  static constexpr size_t kFew = 48;                 // contexts of one anchor that are compared with each other

  // Window beginnings [begin, end) of one document.
  struct Piece {
    uint64_t begin, end;
  };

  std::vector<Piece> cut_pieces() const {
    std::vector<Piece> pieces;
    uint64_t begin = 0;
    for (const uint64_t end : ends_) {
      for (uint64_t i = begin; i + length_ <= end; i += kPiece) pieces.push_back({i, std::min(i + kPiece, end - length_ + 1)});
      begin = end;
    }
    return pieces;
  }

  void anchors(const Piece& piece, std::vector<Anchor>& out) const {
    const size_t n = size_t(piece.end - piece.begin) + places_ - 1;  // hashes
    thread_local std::vector<uint64_t> hashes;                       // working space
    constexpr size_t kChunk = 1 << 14;
    hashes.resize(kChunk + places_);
    const Unit* const t = text_.data() + piece.begin;
    uint64_t rolling = 0;
    for (size_t i = 0; i < gram_; ++i) rolling = rolling * kFactor + uint64_t(t[i]) + 1;
    size_t least = SIZE_MAX, last = SIZE_MAX;
    uint64_t least_hash = 0;
    // hashes[i - base]
    size_t base = 0, have = 0;
    for (size_t i = 0; i < n; ++i) {
      if (i == have) {  // the next chunk of hashes, after the places_ last ones
        const size_t keep = std::min(i, places_);
        std::copy(hashes.begin() + ptrdiff_t(i - keep - base), hashes.begin() + ptrdiff_t(i - base), hashes.begin());
        base = i - keep;
        const size_t more = std::min(kChunk, n - i);
        for (size_t k = 0; k < more; ++k) {
          const size_t at = i + k;
          if (at != 0) rolling = (rolling - (uint64_t(t[at - 1]) + 1) * oldest_) * kFactor + uint64_t(t[at + gram_ - 1]) + 1;
          hashes[keep + k] = mix(rolling);
        }
        have = i + more;
      }
      const uint64_t h = hashes[i - base];
      if (least == SIZE_MAX || h <= least_hash) {
        least = i;
        least_hash = h;
      } else if (i - least >= places_) {  // it has left the window: the last of the least ones
        least = i + 1 - places_;
        least_hash = hashes[least - base];
        for (size_t k = least + 1; k <= i; ++k)
          if (hashes[k - base] <= least_hash) least = k, least_hash = hashes[k - base];
      }
      if (i + 1 >= places_ && least != last) {
        out.push_back({least_hash, piece.begin + least});
        last = least;
      }
    }
  }

  // Equal hashes next to each other, in threads by the hash.
  void groups(std::vector<Anchor>& part) {
    constexpr size_t kBuckets = 256;
    std::vector<size_t> begins(kBuckets + 1, 0);
    const auto bucket = [](const Anchor& a) { return size_t(mix(a.hash + 1) & (kBuckets - 1)); };
    for (const Anchor& a : part) ++begins[bucket(a) + 1];
    for (size_t b = 0; b < kBuckets; ++b) begins[b + 1] += begins[b];
    std::vector<Anchor> sorted(part.size());
    std::vector<size_t> next(begins.begin(), begins.end() - 1);
    for (const Anchor& a : part) sorted[next[bucket(a)]++] = a;
    std::vector<Anchor>().swap(part);
    in_threads(kBuckets, [&](size_t b) {
      Anchor* const first = sorted.data() + begins[b];
      Anchor* const last = sorted.data() + begins[b + 1];
      std::sort(first, last);
      std::vector<Stretch> out;
      for (Anchor* i = first; i < last;) {
        Anchor* end = i + 1;
        while (end < last && end->hash == i->hash) ++end;
        if (end - i > 1) group({i, end}, out);
        i = end;
      }
      sort_and_join(out);
      const std::lock_guard hold(lock_);
      repeated_.insert(repeated_.end(), out.begin(), out.end());
    });
    sort_and_join(repeated_);
  }

  // A place with the hash of the group, and how far text around it belongs to windows that may have it as their anchor.
  struct Context {
    uint64_t at;
    uint64_t before, after;  // units to the left, and to the right with the gram itself
  };

  Context context(uint64_t at) const {
    const auto end = std::upper_bound(ends_.begin(), ends_.end(), at);
    const uint64_t begin = end == ends_.begin() ? 0 : *(end - 1);
    return {at, std::min<uint64_t>(at - begin, places_ - 1), std::min<uint64_t>(*end - at, length_)};
  }

  void group(std::span<const Anchor> members, std::vector<Stretch>& out) const {
    std::vector<Context> different;  // not wholly in an earlier one
    uint64_t last = UINT64_MAX;
    for (const Anchor& a : members) {
      if (a.at == last) continue;  // of two pieces
      last = a.at;
      const Context c = context(a.at);
      bool whole = false;
      for (const Context& d : different) {
        if (c.at - d.at < length_) continue;  // they overlap: the first one stays whole
        uint64_t right = 0, left = 0;
        const uint64_t most_right = std::min(c.after, d.after), most_left = std::min(c.before, d.before);
        right = same_right(c.at, d.at, most_right);
        if (right < gram_) continue;
        while (left < most_left && text_[c.at - left - 1] == text_[d.at - left - 1]) ++left;
        if (left + right >= length_) out.push_back({c.at - left, c.at + right});
        whole = left == c.before && right == c.after;
        if (whole) break;
      }
      if (whole) continue;
      different.push_back(c);
      if (different.size() > kFew) return many(members, out);
    }
  }

  uint64_t same_right(uint64_t a, uint64_t b, uint64_t most) const {
    const Unit* x = text_.data() + a;
    const Unit* y = text_.data() + b;
    uint64_t n = 0;
    constexpr uint64_t kStep = 8 / sizeof(Unit);
    for (; n + kStep <= most; n += kStep)
      if (std::memcmp(x + n, y + n, 8) != 0) break;
    while (n < most && x[n] == y[n]) ++n;
    return n;
  }

  // The same for a gram with many different surroundings (a ruled line, blanks): all windows that have it at one place, by their hash.
  void many(std::span<const Anchor> members, std::vector<Stretch>& out) const {
    std::vector<Anchor> windows;
    std::vector<uint64_t> firsts;
    std::vector<Context> contexts;
    uint64_t last = UINT64_MAX;
    for (const Anchor& a : members)
      if (a.at != last) contexts.push_back(context(last = a.at));
    for (uint64_t before = 0; before < places_; ++before) {
      windows.clear();
      for (const Context& c : contexts)
        if (c.before >= before && c.after >= length_ - before)
          windows.push_back({XXH3_64bits(text_.data() + (c.at - before), length_ * sizeof(Unit)), c.at - before});
      std::sort(windows.begin(), windows.end());
      for (size_t i = 0; i < windows.size();) {
        size_t end = i + 1;
        while (end < windows.size() && windows[end].hash == windows[i].hash) ++end;
        firsts.clear();
        for (size_t k = i; end - i > 1 && k < end; ++k) {
          const uint64_t w = windows[k].at;
          const auto it =
              std::find_if(firsts.begin(), firsts.end(), [&](uint64_t f) { return std::equal(&text_[f], &text_[f] + length_, &text_[w]); });
          if (it == firsts.end())
            firsts.push_back(w);
          else if (w - *it >= length_)
            out.push_back({w, w + length_});
        }
        i = end;
      }
      if (out.size() > size_t{1} << 16) sort_and_join(out);
    }
  }

  std::span<const Unit> text_;
  std::span<const uint64_t> ends_;
  const RepeatOptions& options_;
  size_t length_, gram_, places_;
  uint64_t oldest_ = 1;  // kFactor^(gram_ - 1)
  std::mutex lock_;
  std::vector<Stretch> repeated_;
};

template <class Unit>
std::vector<Stretch> find_repeats(std::span<const Unit> text, std::span<const uint64_t> ends, const RepeatOptions& options) {
  if (options.length < 2) fail_usage("[substring] a repeat has at least 2 units, not ", options.length);
  check(std::is_sorted(ends.begin(), ends.end()) && (ends.empty() ? text.empty() : ends.back() == text.size()),
        "[substring] ends do not fit the text");
  return RepeatFinder<Unit>(text, ends, options).run();
}

}  // namespace

std::vector<Stretch> repeats(std::span<const uint8_t> text, std::span<const uint64_t> ends, const RepeatOptions& options) {
  return find_repeats(text, ends, options);
}
std::vector<Stretch> repeats(std::span<const uint32_t> text, std::span<const uint64_t> ends, const RepeatOptions& options) {
  return find_repeats(text, ends, options);
}

void SubstringOptions::visit(Fields& v) {
  v("unit", unit, "what a repeat's length is counted in", OneOf{"bytes", "tokens"});
  v("length", length, "the shortest repeat that is cut; 0: 100 bytes or 50 tokens", Range{0, 1e6});
  v("memory_bytes", memory_bytes, "memory for the merge's tables", Range{1 << 20, 1e15});
}

// ---- shards

namespace {

constexpr const char* kRowsText = "substring rows";

struct DocumentEnd {
  Place place;
  uint64_t end;  // units of the shard's text
};

// Beside the shard, which holds the ends: the units, and of tokens where each begins in its document's text, in bytes.
fs::path beside(fs::path shard, const char* ending) {
  return shard.replace_extension(ending);
}

std::string shard_text(const SubstringOptions& options) {
  return "substring unit=" + options.unit;
}

const SubstringOptions& checked(const SubstringOptions& options, const text::Tokenizer* tokenizer) {
  const bool tokens = options.unit == "tokens";
  if (!tokens && options.unit != "bytes") fail_usage("[substring] unit is bytes or tokens, not ", printable(options.unit));
  if (tokens && tokenizer == nullptr) fail_usage("[substring] unit=tokens needs a tokenizer; give one, or unit=bytes");
  return options;
}

}  // namespace

struct SubstringShard::State {
  const text::Tokenizer* tokenizer;
  WorkerShard shard;
  std::unique_ptr<AtomicFile> units, offsets;
  uint64_t end = 0;

  State(const SubstringOptions& options, const text::Tokenizer* t, const fs::path& path)
      : tokenizer(t), shard("substring", path, shard_text(checked(options, t)), sizeof(DocumentEnd)) {
    if (!shard.is_open()) return;
    units = std::make_unique<AtomicFile>(beside(path, ".units"));
    if (options.unit == "tokens") offsets = std::make_unique<AtomicFile>(beside(path, ".offsets"));
  }
};

SubstringShard::SubstringShard(const SubstringOptions& options, const fs::path& folder, int64_t worker, int64_t of,
                               const text::Tokenizer* tokenizer)
    : state_(new State(options, tokenizer, shard_path(folder, "substring", worker, of))) {}
SubstringShard::~SubstringShard() = default;

bool SubstringShard::done() const {
  return state_->shard.done();
}

void SubstringShard::add(Place place, std::string_view text) {
  State& s = *state_;
  s.shard.begin(place);
  if (s.offsets) {
    const text::Encoding e = s.tokenizer->encode_with_offsets(text, {});
    std::vector<uint32_t> ids(e.ids.begin(), e.ids.end()), begins;
    for (const auto& [begin, end] : e.offsets) begins.push_back(begin);
    s.units->write({reinterpret_cast<const char*>(ids.data()), 4 * ids.size()});
    s.offsets->write({reinterpret_cast<const char*>(begins.data()), 4 * begins.size()});
    s.end += ids.size();
  } else {
    s.units->write(text);
    s.end += text.size();
  }
  const DocumentEnd row{place, s.end};
  s.shard.row(&row);
}

void SubstringShard::finish() {
  State& s = *state_;
  if (!s.shard.is_open()) return;
  s.units->commit();
  if (s.offsets) s.offsets->commit();
  s.shard.finish();
}

namespace {

// All texts in order of places, in one mapped file: the shard's own if there is one, else joined.
class Joined {
 public:
  Joined(const SubstringOptions& options, const fs::path& folder, int64_t of) : unit_(options.unit == "tokens" ? 4 : 1) {
    const std::vector<fs::path> paths = all_shards(folder, "substring", of);
    std::vector<MappedFile> units, offsets;
    struct From {
      Place place;
      uint32_t file;
      uint64_t begin, end;
    };
    std::vector<From> from;
    for (const fs::path& path : paths) {
      const ShardFile file(path, shard_text(options), sizeof(DocumentEnd));
      uint64_t begin = 0;
      for (size_t i = 0; i < file.size(); ++i) {
        const auto d = file.get<DocumentEnd>(i);
        from.push_back({d.place, uint32_t(units.size()), begin, d.end});
        begin = d.end;
      }
      units.emplace_back(beside(path, ".units"));
      if (unit_ == 4) offsets.emplace_back(beside(path, ".offsets"));
      check(units.back().size() == begin * unit_, beside(path, ".units").string(), ": of another length than ", path.string(), " says");
    }
    const auto by_place = [](const From& a, const From& b) { return a.place < b.place; };
    if (paths.size() > 1) {
      std::sort(from.begin(), from.end(), by_place);
      AtomicFile all(folder / "substring.units"), all_offsets(folder / "substring.offsets");
      for (const From& f : from) {
        all.write(units[f.file].bytes().subspan(f.begin * unit_, (f.end - f.begin) * unit_));
        if (unit_ == 4) all_offsets.write(offsets[f.file].bytes().subspan(f.begin * 4, (f.end - f.begin) * 4));
      }
      all.commit();
      all_offsets.commit();
      joined_ = folder;
      units_ = MappedFile(folder / "substring.units");
      offsets_ = MappedFile(folder / "substring.offsets");
    } else {
      units_ = std::move(units[0]);
      if (unit_ == 4) offsets_ = std::move(offsets[0]);
    }
    uint64_t end = 0;
    for (const From& f : from) {
      ends.push_back(end += f.end - f.begin);
      places.push_back(f.place);
    }
  }
  ~Joined() {
    std::error_code ignored;
    if (!joined_.empty()) {
      fs::remove(joined_ / "substring.units", ignored);
      fs::remove(joined_ / "substring.offsets", ignored);
    }
  }
  template <class Unit>
  std::span<const Unit> text() const {
    return {reinterpret_cast<const Unit*>(units_.bytes().data()), units_.size() / sizeof(Unit)};
  }
  // Of a stretch of document d (whose units begin at `first`), in bytes of its text. A token's end is where the next one begins.
  SubstringRow row(size_t d, uint64_t first, Stretch s) const {
    if (unit_ == 1) return {places[d], s.begin - first, s.end - first};
    const auto* begins = reinterpret_cast<const uint32_t*>(offsets_.bytes().data());
    return {places[d], begins[s.begin], s.end == ends[d] ? UINT64_MAX : begins[s.end]};
  }

  std::vector<uint64_t> ends;
  std::vector<Place> places;

 private:
  size_t unit_;
  fs::path joined_;
  MappedFile units_, offsets_;
};

}  // namespace

fs::path merge_substring(const SubstringOptions& options, const fs::path& folder, int64_t of) {
  const Joined all(options, folder, of);
  const RepeatOptions find{.length = options.units(), .memory_bytes = options.memory_bytes, .folder = folder};
  const std::vector<Stretch> found =
      options.unit == "tokens" ? repeats(all.text<uint32_t>(), all.ends, find) : repeats(all.text<uint8_t>(), all.ends, find);
  const fs::path path = folder / "substring.rows";
  ShardWriter out(path, kRowsText, sizeof(SubstringRow));
  size_t d = 0;
  for (Stretch s : found) {
    while (s.begin < s.end) {  // it may reach over several documents that are repeated from end to end
      while (all.ends[d] <= s.begin) ++d;
      const Stretch part{s.begin, std::min(s.end, all.ends[d])};
      const SubstringRow row = all.row(d, d == 0 ? 0 : all.ends[d - 1], part);
      out.row(&row);
      s.begin = part.end;
    }
  }
  out.commit();
  return path;
}

SubstringRows::SubstringRows(const fs::path& path) : file_(path, kRowsText, sizeof(SubstringRow)) {}

std::string SubstringRows::apply(Place place, Document& document) const {
  size_t low = file_.first_from(place);
  const std::string& text = document.text;
  const auto inside = [&](uint64_t i) { return i < text.size() && (uint8_t(text[i]) & 0xC0) == 0x80; };
  std::string left;
  uint64_t at = 0, cut = 0, stretches = 0;
  for (; low < size() && file_.get<Place>(low) == place; ++low) {
    auto row = file_.get<SubstringRow>(low);
    row.end = std::min<uint64_t>(row.end, text.size());
    while (inside(row.begin)) ++row.begin;
    while (row.end > row.begin && inside(row.end)) --row.end;
    if (row.begin >= row.end) continue;
    left.append(text, at, row.begin - at);
    cut += row.end - row.begin;
    at = row.end;
    ++stretches;
  }
  if (stretches == 0) return "";
  left.append(text, at);
  document.text = std::move(left);
  document.marks.push_back("substring:" + std::to_string(stretches) + "," + std::to_string(cut));
  return trim(document.text).empty() ? "substring:nothing_left" : "";
}

}  // namespace r1::corpus
