#include "r1/corpus/exact_dedup.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

#include "r1/base/error.h"
#include "r1/base/strings.h"
#include "r1/base/utf8.h"
#include "r1/corpus/compared_words.h"
#include "r1/text/unicode.h"

namespace r1::corpus {
namespace {

constexpr const char* kRowsText = "exact rows";

struct Record {
  Hash128 hash;
  Place place;
  uint64_t part;
  bool operator<(const Record& o) const {
    if (hash != o.hash) return hash < o.hash;
    return place != o.place ? place < o.place : part < o.part;
  }
};

size_t characters(std::string_view text) {
  return size_t(std::count_if(text.begin(), text.end(), [](char c) { return (uint8_t(c) & 0xC0) != 0x80; }));
}

// Calls use(number, begin, end) for every paragraph or line with what belongs to it up to the next one.
template <class Use>
void each_part(std::string_view text, const std::string& level, const Use& use) {
  uint64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.find('\n', begin);
    if (level == "paragraph") {
      // Up to a line end that only blanks and another one follow, and all blank lines after it.
      while (end != std::string_view::npos) {
        size_t next = text.find_first_not_of(" \t\r\n", end);
        next = next == std::string_view::npos ? text.size() : next;
        const auto lines = std::count(text.begin() + ptrdiff_t(end), text.begin() + ptrdiff_t(next), '\n');
        if (lines > 1 || next == text.size()) {
          end = next == text.size() ? next - 1 : text.rfind('\n', next);  // the next paragraph keeps its indentation
          break;
        }
        end = text.find('\n', end + 1);
      }
    }
    end = end == std::string_view::npos ? text.size() : end + 1;
    use(number++, begin, end);
    begin = end;
  }
}

}  // namespace

void ExactOptions::visit(Fields& v) {
  v("level", level, "what is compared", OneOf{"document", "paragraph", "line"});
  v("lower", lower, "capitals make no difference");
  v("blanks", blanks, "nor how many blanks there are");
  v("punctuation", punctuation, "nor punctuation");
  v("min_length", min_length, "characters of the shortest paragraph or line that is cut", Range{0, 1e9});
  v("max_count", max_count, "how many of a paragraph or line stay", Range{1, 1e9});
  v("memory_bytes", memory_bytes, "memory for the merge's tables", Range{1 << 20, 1e15});
}

std::string ExactOptions::hash_text() const {
  return str("exact level=", level, " lower=", lower, " blanks=", blanks, " punctuation=", punctuation, " min_length=", min_length);
}

std::string normalised(std::string_view text, const ExactOptions& options) {
  std::string out;
  out.reserve(text.size());
  const uint8_t* const flags = text::char_flags();
  bool blank = false;
  for (const char *p = text.data(), *end = p + text.size(); p < end;) {
    uint32_t c = 0;
    const int n = decode_utf8(p, end, &c);
    const bool drop =
        options.punctuation && (c < 0x80 ? c > ' ' && !(flags[c] & (text::kLetter | text::kNumber)) : flags[c] & text::kPunctSymbol);
    if ((options.blanks && flags[c] & text::kSpace) || drop) {
      blank = true;
      p += n;
      continue;
    }
    if (blank && !out.empty()) out += ' ';
    blank = false;
    if (!options.lower)
      out.append(p, size_t(n));
    else if (c < 0x80)
      out += char(c >= 'A' && c <= 'Z' ? c + 32 : c);
    else
      append_lower(out, {p, size_t(n)});
    p += n;
  }
  return out;
}

// What two documents are compared by. One of which nothing is left, of punctuation alone, is no copy of all others of this kind.
static std::string compared(std::string_view text, const ExactOptions& options) {
  std::string normal = normalised(text, options);
  return normal.empty() ? std::string(text) : normal;
}

Hash128 exact_hash(std::string_view text, const ExactOptions& options) {
  const std::string t = compared(text, options);
  const XXH128_hash_t h = XXH3_128bits(t.data(), t.size());
  return {h.high64, h.low64};
}

static const ExactOptions& checked(const ExactOptions& options) {
  if (options.level != "document" && options.level != "paragraph" && options.level != "line")
    fail_usage("[exact] level is document, paragraph or line, not ", printable(options.level));
  return options;
}

struct ExactShard::State {
  ExactOptions options;
  WorkerShard shard;
};

ExactShard::ExactShard(const ExactOptions& options, const fs::path& folder, int64_t worker, int64_t of)
    : state_(new State{checked(options),
                       {"exact", shard_path(folder, "exact_" + options.level, worker, of), options.hash_text(), sizeof(Record)}}) {}
ExactShard::~ExactShard() = default;

bool ExactShard::done() const {
  return state_->shard.done();
}

void ExactShard::add(Place place, std::string_view text) {
  State& s = *state_;
  s.shard.begin(place);
  const auto record = [&](uint64_t part, const std::string& t) {
    const XXH128_hash_t h = XXH3_128bits(t.data(), t.size());
    const Record r{{h.high64, h.low64}, place, part};
    s.shard.row(&r);
  };
  if (s.options.level == "document") return record(0, compared(text, s.options));
  each_part(text, s.options.level, [&](uint64_t number, size_t begin, size_t end) {
    const std::string t = normalised(text.substr(begin, end - begin), s.options);
    if (!t.empty() && characters(t) >= size_t(s.options.min_length)) record(number, t);
  });
}

void ExactShard::finish() {
  state_->shard.finish();
}

fs::path merge_exact(const ExactOptions& options, const fs::path& folder, int64_t of) {
  const std::string stage = "exact_" + options.level;
  std::vector<ShardFile> files;
  uint64_t n = 0;
  for (const fs::path& path : all_shards(folder, stage, of)) n += files.emplace_back(path, options.hash_text(), sizeof(Record)).size();

  Parts<Record> parts(folder, stage, n, options.memory_bytes);
  for (const ShardFile& file : files)
    for (size_t i = 0; i < file.size(); ++i) {
      const auto r = file.get<Record>(i);
      parts.add(r.hash.low, r);
    }
  const auto stays = uint64_t(options.level == "document" ? 1 : options.max_count);
  const auto by_place = [](const ExactRow& a, const ExactRow& b) { return a.place != b.place ? a.place < b.place : a.part < b.part; };
  std::vector<ExactRow> gone;
  parts.each([&](std::vector<Record>& part) {
    std::sort(part.begin(), part.end());
    for (size_t i = 0, first = 0; i < part.size(); ++i) {
      if (part[i].hash != part[first].hash) first = i;
      if (i - first >= stays) gone.push_back({part[i].place, part[i].part, part[first].place});
    }
  });
  std::sort(gone.begin(), gone.end(), by_place);
  const fs::path path = folder / (stage + ".rows");
  ShardWriter out(path, kRowsText, sizeof(ExactRow));
  out.rows(gone.data(), gone.size());
  out.commit();
  return path;
}

ExactRows::ExactRows(const fs::path& path, const ExactOptions& options) : options_(options), file_(path, kRowsText, sizeof(ExactRow)) {}

std::string ExactRows::apply(Place place, Document& document) const {
  size_t low = file_.first_from(place);
  if (low == size() || file_.get<Place>(low) != place) return "";
  if (options_.level == "document") return "exact";
  std::string left;
  int64_t gone = 0;
  each_part(document.text, options_.level, [&](uint64_t number, size_t begin, size_t end) {
    if (low < size() && file_.get<Place>(low) == place && (*this)[low].part == number) {
      ++low;
      ++gone;
    } else {
      left.append(document.text, begin, end - begin);
    }
  });
  document.text = std::move(left);
  const std::string name = "exact_" + options_.level;
  document.marks.push_back(name + ":" + std::to_string(gone));
  return trim(document.text).empty() ? name + ":nothing_left" : "";
}

}  // namespace r1::corpus
