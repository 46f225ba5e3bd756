#include "r1/corpus/decontaminate.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <map>
#include <set>

#include "r1/base/error.h"
#include "r1/base/strings.h"
#include "r1/data/rows.h"

namespace r1::corpus {
namespace {

constexpr size_t kReportText = 400;  // bytes of a shared stretch in the report

struct Item {
  std::string name;
  std::string words;  // with one blank between
  std::vector<uint32_t> ends;
  int64_t runs = 0;  // different ones
};

struct Run {
  uint32_t item, first;  // its first word
};

// A word's hash times a power for its place in a run: the next run's hash is worked out from the last one's.
constexpr uint64_t kFactor = 0x9E3779B97F4A7C15;

std::vector<uint64_t> word_hashes(const Words& words) {
  std::vector<uint64_t> hashes(words.size());
  for (size_t i = 0; i < hashes.size(); ++i) {
    const std::string_view w = words[i];
    hashes[i] = XXH3_64bits(w.data(), w.size());
  }
  return hashes;
}

// Calls use(first, hash) for all runs of n words.
template <class Use>
void each_run(const std::vector<uint64_t>& words, size_t n, const Use& use) {
  if (words.size() < n || n == 0) return;
  uint64_t top = 1, h = 0;
  for (size_t i = 1; i < n; ++i) top *= kFactor;
  for (size_t i = 0; i < n; ++i) h = h * kFactor + words[i];
  use(size_t{0}, h);
  for (size_t i = n; i < words.size(); ++i) {
    h = (h - words[i - n] * top) * kFactor + words[i];
    use(i - n + 1, h);
  }
}

void texts_of(const Json& value, std::vector<std::string>& out) {
  if (value.is_string()) out.push_back(value.get<std::string>());
  if (value.is_structured())
    for (const Json& part : value) texts_of(part, out);
}

std::string shortened(std::string_view text) {
  if (text.size() <= kReportText) return std::string(text);
  size_t n = kReportText;
  while (n > 0 && (uint8_t(text[n]) & 0xC0) == 0x80) --n;
  return std::string(text.substr(0, n)) + "...";
}

}  // namespace

struct Decontaminate::Index {
  std::vector<Item> items;
  // By length: one table for runs of `ngram` words, one for each length of shorter items.
  struct Table {
    std::vector<uint64_t> filter;  // a bit for each hash: most runs of a document end here
    uint64_t mask = 0;
    std::unordered_map<uint64_t, std::vector<Run>> runs;
  };
  std::map<size_t, Table> tables;

  std::string_view words_of(const Run& run, size_t n) const {
    const Item& item = items[run.item];
    const uint32_t begin = run.first == 0 ? 0 : item.ends[run.first - 1] + 1;
    return std::string_view(item.words).substr(begin, item.ends[run.first + n - 1] - begin);
  }

  void add(const DecontaminateOptions& options, const std::string& name, std::string_view text) {
    Words words;
    words.assign(text);
    const size_t n = std::min(words.size(), size_t(options.ngram));
    if (words.empty() || n < size_t(std::min(options.short_item, options.ngram))) return;
    check(items.size() < UINT32_MAX, "[decontaminate] too many items");
    Item item{name, std::string(words.stretch(0, words.size())), {}, 0};
    for (size_t i = 0, end = 0; i < words.size(); ++i) {
      end += words[i].size() + (i != 0);
      item.ends.push_back(uint32_t(end));
    }
    const auto number = uint32_t(items.size());
    items.push_back(std::move(item));
    Table& table = tables[n];
    each_run(word_hashes(words), n, [&](size_t first, uint64_t hash) {
      std::vector<Run>& runs = table.runs[hash];
      const Run run{number, uint32_t(first)};
      for (const Run& r : runs)  // the same run again in this item
        if (r.item == number && words_of(r, n) == words_of(run, n)) return;
      runs.push_back(run);
      ++items[number].runs;
    });
  }

  void finish() {
    for (auto& [n, table] : tables) {
      size_t bits = 1024;
      while (bits < table.runs.size() * 16) bits *= 2;
      table.filter.assign(bits / 64, 0);
      table.mask = bits - 1;
      for (const auto& [hash, runs] : table.runs) table.filter[(hash >> 20 & table.mask) / 64] |= uint64_t{1} << (hash >> 20 & 63);
    }
  }
};

void DecontaminateOptions::visit(Fields& v) {
  v("files", files, "evaluation data: JSON lines, JSON, CSV, TSV or text");
  v("fields", fields, "fields of its rows; none: every text of a row");
  v("ngram", ngram, "words of a run that must not be shared", Range{1, 64});
  v("short_item", short_item, "shorter items count as a whole, from this many words", Range{1, 64});
  v("min_matches", min_matches, "different runs of one item that a document must have", Range{1, 1e9});
  v("min_share", min_share, "and the share of the item's runs", Range{0.0, 1.0});
  v("action", action, "the document goes, or what it shares", OneOf{"drop", "cut"});
}

Decontaminate::Decontaminate(const DecontaminateOptions& options) : index_(new Index), options_(options) {
  if (options.ngram < 1) fail_usage("[decontaminate] ngram is a number of words, at least 1, not ", options.ngram);
  if (options.action != "drop" && options.action != "cut")
    fail_usage("[decontaminate] action is drop or cut, not ", printable(options.action));
  if (options.files.empty()) fail_usage("[decontaminate] no evaluation files are given (files)");
  for (const std::string& path : options.files) {
    const size_t before = index_->items.size();
    if (data::form_of(path) == data::FileForm::kText) {
      data::LineReader lines(path);
      for (std::string line; lines.next(line);) index_->add(options, lines.where(), line);
    } else {
      data::RowReader rows(path);
      while (const std::optional<Json> row = rows.next()) {
        for (const auto& [key, value] : row->items()) {
          if (!options.fields.empty() && std::find(options.fields.begin(), options.fields.end(), key) == options.fields.end()) continue;
          std::vector<std::string> texts;
          texts_of(value, texts);
          for (const std::string& text : texts) index_->add(options, rows.where() + " " + key, text);
        }
      }
    }
    if (index_->items.size() == before)
      fail_usage("[decontaminate] ", path, ": no text of ", options.short_item, " or more words",
                 options.fields.empty() ? "" : " in the fields named", "; nothing would be found");
  }
  index_->finish();
}
Decontaminate::~Decontaminate() = default;

size_t Decontaminate::items() const {
  return index_->items.size();
}
std::string Decontaminate::item_name(uint32_t item) const {
  return index_->items[item].name;
}

std::vector<Decontaminate::Match> Decontaminate::matches(std::string_view text) const {
  thread_local Words words;  // working space
  words.assign(text, {.sources = true});
  const std::vector<uint64_t> hashes = word_hashes(words);
  struct Hit {
    uint32_t item, first;  // the run in the item
    size_t begin, end;     // bytes of the document
  };
  std::vector<Hit> hits;
  for (const auto& [n, table] : index_->tables) {
    each_run(hashes, n, [&, n = n, &table = table](size_t first, uint64_t hash) {
      if (!(table.filter[(hash >> 20 & table.mask) / 64] >> (hash >> 20 & 63) & 1)) return;
      const auto it = table.runs.find(hash);
      if (it == table.runs.end()) return;
      const std::string_view run = words.stretch(first, n);
      for (const Run& r : it->second)
        if (index_->words_of(r, n) == run) hits.push_back({r.item, r.first, words.source(first).first, words.source(first + n - 1).second});
    });
  }
  std::sort(hits.begin(), hits.end(), [](const Hit& a, const Hit& b) { return a.item != b.item ? a.item < b.item : a.begin < b.begin; });
  std::vector<Match> out;
  for (size_t i = 0; i < hits.size();) {
    Match m{.item = hits[i].item};
    std::set<uint32_t> runs;
    for (; i < hits.size() && hits[i].item == m.item; ++i) {
      runs.insert(hits[i].first);
      if (!m.stretches.empty() && hits[i].begin <= m.stretches.back().second)
        m.stretches.back().second = std::max(m.stretches.back().second, hits[i].end);
      else
        m.stretches.emplace_back(hits[i].begin, hits[i].end);
    }
    m.runs = int64_t(runs.size());
    m.of = index_->items[m.item].runs;
    m.begin = m.stretches[0].first;
    m.end = m.stretches[0].second;
    // A short item has one run: it needs no more.
    if (m.runs >= std::min(options_.min_matches, m.of) && double(m.runs) >= options_.min_share * double(m.of)) out.push_back(std::move(m));
  }
  return out;
}

std::string Decontaminate::apply(Document& document, Json* told) const {
  const std::vector<Match> found = matches(document.text);
  if (found.empty()) return "";
  Json items = Json::array();
  std::vector<std::pair<size_t, size_t>> stretches;
  for (const Match& m : found) {
    items.push_back(
        {{"item", item_name(m.item)}, {"runs", m.runs}, {"of", m.of}, {"text", document.text.substr(m.begin, m.end - m.begin)}});
    stretches.insert(stretches.end(), m.stretches.begin(), m.stretches.end());
  }
  if (told) *told = {{"document", document.id()}, {"items", std::move(items)}};
  if (options_.action == "drop") return "decontaminate";
  std::sort(stretches.begin(), stretches.end());
  std::string left;
  size_t at = 0, cut = 0, n = 0;
  for (const auto& [begin, end] : stretches) {
    if (end <= at) continue;
    if (begin > at || n == 0) ++n;
    const size_t from = std::max(begin, at);
    left.append(document.text, at, from - at);
    cut += end - from;
    at = end;
  }
  left.append(document.text, at);
  document.text = std::move(left);
  document.marks.push_back("decontaminate:" + std::to_string(n) + "," + std::to_string(cut));
  return trim(document.text).empty() ? "decontaminate:nothing_left" : "";
}

std::vector<Json> by_item(const std::vector<Json>& rows) {
  std::map<std::string, Json> items;
  for (const Json& row : rows)
    for (const Json& found : row.at("items")) {
      Json& item = items[found.at("item").get<std::string>()];
      if (item.is_null()) item = {{"item", found["item"]}, {"count", 0}, {"documents", Json::array()}};
      item["count"] = item["count"].get<int64_t>() + 1;
      if (item["documents"].size() < kReportDocuments)
        item["documents"].push_back(
            {{"document", row.at("document")}, {"text", shortened(found.at("text").get_ref<const std::string&>())}});
    }
  std::vector<Json> out;
  for (auto& [name, item] : items) out.push_back(std::move(item));
  return out;
}

}  // namespace r1::corpus
