#include "r1/corpus/pipeline_stages.h"

#include <algorithm>

#include "r1/base/error.h"
#include "r1/corpus/clean.h"
#include "r1/corpus/document_file.h"
#include "r1/corpus/pii.h"
#include "r1/corpus/survey.h"

namespace r1::corpus {
namespace {

Outcome one(Document document, const std::string& reason) {
  Outcome out;
  if (reason.empty())
    out.kept.push_back(std::move(document));
  else
    out.dropped.emplace_back(std::move(document), reason);
  return out;
}

class FilterStage : public DocumentStage {
 public:
  FilterStage(std::string name, std::unique_ptr<Filter> filter, std::vector<std::string> let_pass = {})
      : name_(std::move(name)), filter_(std::move(filter)), let_pass_(std::move(let_pass)) {}
  std::string name() const override { return name_; }
  Outcome apply(Place, Document d) const override {
    if (std::ranges::find(let_pass_, d.kind) != let_pass_.end()) return one(std::move(d), "");
    const std::string reason = filter_->apply(d);
    // Filters that change or measure a document leave a mark of their own.
    if (reason.empty() && name_ == "quality") d.marks.push_back(name_);
    return one(std::move(d), reason);
  }

 private:
  std::string name_;
  std::unique_ptr<Filter> filter_;
  std::vector<std::string> let_pass_;
};

// Pages that the readers hand on as HTML; other documents pass.
class HtmlStage : public DocumentStage {
 public:
  explicit HtmlStage(const PipelineConfig::Html& c)
      : options_{.tables = c.tables, .code = c.code, .lists = c.lists, .links = c.links, .comments = c.comments, .charset = "utf-8"} {}
  std::string name() const override { return "html"; }
  Outcome apply(Place, Document d) const override {
    if (!d.extra.is_object() || d.extra.value("html", Json()) != true) return one(std::move(d), "");
    const Document before = d;
    read_html_into(d, before.text, options_);
    // What the transport said stays where the page says nothing.
    for (const auto field : {&Document::title, &Document::author, &Document::date, &Document::language, &Document::licence})
      if ((d.*field).empty()) d.*field = before.*field;
    d.extra.erase("html");
    if (d.extra.empty()) d.extra = {};
    d.marks.emplace_back("html");
    return one(std::move(d), d.text.empty() ? "html:no_text" : "");
  }

 private:
  HtmlOptions options_;
};

class LengthStage : public DocumentStage {
 public:
  LengthStage(const LengthConfig& config, const text::Tokenizer* tokenizer) : window_(config, tokenizer) {}
  std::string name() const override { return "length"; }
  Outcome apply(Place, Document d) const override {
    std::vector<std::string> texts = window_.parts(d.text);
    if (texts.empty()) return one(std::move(d), "length:too_short");
    Outcome out;
    for (size_t i = 0; i < texts.size(); ++i) {
      Document part = d;
      part.text = std::move(texts[i]);
      part.marks.emplace_back("length");
      if (texts.size() > 1) part.marks.push_back(str("part:", i + 1, "/", texts.size()));
      if (window_.too_short(part.text))
        out.dropped.emplace_back(std::move(part), "length:too_short");
      else
        out.kept.push_back(std::move(part));
    }
    return out;
  }

 private:
  LengthWindow window_;
};

class DecontaminateStage : public DocumentStage {
 public:
  explicit DecontaminateStage(const DecontaminateOptions& options) : filter_(options) {}
  std::string name() const override { return "decontaminate"; }
  Outcome apply(Place, Document d) const override {
    Json found;
    const std::string reason = filter_.apply(d, &found);
    if (found.is_null()) d.marks.emplace_back("decontaminate");
    Outcome out = one(std::move(d), reason);
    out.found = std::move(found);
    return out;
  }

 private:
  Decontaminate filter_;
};

// The part of a document's cluster, as `near` left it in a mark; without that of what is exactly the same.
class SplitStage : public DocumentStage {
 public:
  explicit SplitStage(const SplitOptions& options) : options_(options) {}
  std::string name() const override { return "split"; }
  Outcome apply(Place, Document d) const override {
    // Of a row that was augmented before: its original may be in another part.
    if (is_augmented_copy(d)) return one(std::move(d), "split:augmented_copy");
    const std::string cluster = mark_value(d, "cluster");
    const uint64_t key = cluster.empty() ? exact_hash(d.text, {}).low : std::stoull(cluster, nullptr, 16);
    d.marks.push_back(str("split:", name_of(part_of(key, options_))));
    return one(std::move(d), "");
  }

 private:
  SplitOptions options_;
};

class AugmentStage : public DocumentStage {
 public:
  AugmentStage(const AugmentOptions& options, const text::Tokenizer* tokenizer) : augmenter_(options, tokenizer) {}
  std::string name() const override { return "augment"; }
  Outcome apply(Place, Document d) const override {
    Outcome out;
    out.kept = augmenter_.apply(std::move(d));
    return out;
  }

 private:
  Augmenter augmenter_;
};

// ---- comparisons

template <class Shard>
void fill(Shard& shard, int64_t number, const fs::path& documents) {
  if (shard.done()) return;
  DocumentReader reader(documents);
  uint64_t i = 0;
  for (Document d; reader.next(d);) shard.add(place_of(uint64_t(number), i++), d.text);
  shard.finish();
}

// Rows of a merge as a stage. A document that it keeps as it was has the stage's name as its mark.
template <class Rows>
class RowsStage : public DocumentStage {
 public:
  template <class... Args>
  RowsStage(std::string name, Args&&... args) : name_(std::move(name)), rows_(std::forward<Args>(args)...) {}
  std::string name() const override { return name_; }
  Outcome apply(Place place, Document d) const override {
    const size_t marks = d.marks.size();
    const std::string reason = rows_.apply(place, d);
    if (reason.empty() && d.marks.size() == marks) d.marks.push_back(name_);
    return one(std::move(d), reason);
  }

 private:
  std::string name_;
  Rows rows_;
};

class NearStage : public DocumentStage {
 public:
  explicit NearStage(const fs::path& path) : rows_(path) {}
  std::string name() const override { return "near"; }
  Outcome apply(Place place, Document d) const override {
    const MinhashRow row = rows_.at(place);
    if (row.dropped) return one(std::move(d), "near");
    char cluster[32];
    std::snprintf(cluster, sizeof cluster, "cluster:%016llx", static_cast<unsigned long long>(row.cluster));
    d.marks.emplace_back(cluster);
    return one(std::move(d), "");
  }

 private:
  MinhashRows rows_;
};

// Every so manieth of what is there, so that examples come from everywhere.
template <class Rows, class Pair>
std::vector<std::pair<Place, Place>> spread(const Rows& rows, size_t most, Pair pair) {
  std::vector<std::pair<Place, Place>> out;
  const size_t step = std::max<size_t>(1, rows.size() / (4 * most));
  for (size_t i = 0; i < rows.size() && out.size() < most; i += step)
    if (const auto [goes, stays] = pair(rows[i]); goes != stays) out.emplace_back(goes, stays);
  return out;
}

class ExactComparison : public Comparison {
 public:
  ExactComparison(std::string name, const ExactOptions& options) : name_(std::move(name)), options_(options) {}
  void add_shard(const fs::path& folder, int64_t shard, int64_t of, const fs::path& documents) const override {
    ExactShard s(options_, folder, shard, of);
    fill(s, shard, documents);
  }
  bool merged(const fs::path& folder) const override { return fs::exists(rows(folder)); }
  void merge(const fs::path& folder, int64_t of) const override { merge_exact(options_, folder, of); }
  std::vector<std::pair<Place, Place>> examples(const fs::path& folder, size_t most) const override {
    if (options_.level != "document") return {};
    return spread(ExactRows(rows(folder), options_), most, [](const ExactRow& r) { return std::pair(r.place, r.first); });
  }
  std::unique_ptr<DocumentStage> decided(const fs::path& folder) const override {
    return std::make_unique<RowsStage<ExactRows>>(name_, rows(folder), options_);
  }

 private:
  fs::path rows(const fs::path& folder) const { return folder / ("exact_" + options_.level + ".rows"); }
  std::string name_;
  ExactOptions options_;
};

class NearComparison : public Comparison {
 public:
  explicit NearComparison(const MinhashOptions& options) : options_(options) {}
  void add_shard(const fs::path& folder, int64_t shard, int64_t of, const fs::path& documents) const override {
    MinhashShard s(options_, folder, shard, of);
    fill(s, shard, documents);
  }
  bool merged(const fs::path& folder) const override { return fs::exists(folder / "minhash.rows"); }
  void merge(const fs::path& folder, int64_t of) const override { merge_minhash(options_, folder, of); }
  std::vector<std::pair<Place, Place>> examples(const fs::path& folder, size_t most) const override {
    // Few rows are of documents that go, so all of them are looked at.
    const MinhashRows rows(folder / "minhash.rows");
    std::vector<std::pair<Place, Place>> all, out;
    for (size_t i = 0; i < rows.size(); ++i)
      if (const MinhashRow r = rows[i]; r.dropped) all.emplace_back(r.place, r.stays);
    for (size_t i = 0; i < all.size() && out.size() < most; i += std::max<size_t>(1, all.size() / most)) out.push_back(all[i]);
    return out;
  }
  std::unique_ptr<DocumentStage> decided(const fs::path& folder) const override {
    return std::make_unique<NearStage>(folder / "minhash.rows");
  }

 private:
  MinhashOptions options_;
};

class WindowStage : public DocumentStage {
 public:
  explicit WindowStage(const fs::path& path) : rows_(path) {}
  std::string name() const override { return "window"; }
  Outcome apply(Place place, Document d) const override {
    if (rows_.drops(place)) return one(std::move(d), "window");
    d.marks.emplace_back("window");
    return one(std::move(d), "");
  }

 private:
  WindowRows rows_;
};

class WindowComparison : public Comparison {
 public:
  WindowComparison(MinhashOptions options, int64_t window) : options_(std::move(options)), window_(window) {
    options_.verify = "signature";
  }
  void add_shard(const fs::path& folder, int64_t shard, int64_t of, const fs::path& documents) const override {
    MinhashShard s(options_, folder, shard, of);
    fill(s, shard, documents);
  }
  bool merged(const fs::path& folder) const override { return fs::exists(folder / "window.rows"); }
  void merge(const fs::path& folder, int64_t of) const override { merge_window(options_, window_, folder, of); }
  std::vector<std::pair<Place, Place>> examples(const fs::path& folder, size_t most) const override {
    return spread(WindowRows(folder / "window.rows"), most, [](const WindowRow& r) { return std::pair(r.place, r.stays); });
  }
  std::unique_ptr<DocumentStage> decided(const fs::path& folder) const override {
    return std::make_unique<WindowStage>(folder / "window.rows");
  }

 private:
  MinhashOptions options_;
  int64_t window_;
};

class SubstringComparison : public Comparison {
 public:
  SubstringComparison(const SubstringOptions& options, const text::Tokenizer* tokenizer) : options_(options), tokenizer_(tokenizer) {}
  void add_shard(const fs::path& folder, int64_t shard, int64_t of, const fs::path& documents) const override {
    SubstringShard s(options_, folder, shard, of, options_.unit == "tokens" ? tokenizer_ : nullptr);
    fill(s, shard, documents);
  }
  bool merged(const fs::path& folder) const override { return fs::exists(folder / "substring.rows"); }
  void merge(const fs::path& folder, int64_t of) const override { merge_substring(options_, folder, of); }
  std::vector<std::pair<Place, Place>> examples(const fs::path&, size_t) const override { return {}; }
  std::unique_ptr<DocumentStage> decided(const fs::path& folder) const override {
    return std::make_unique<RowsStage<SubstringRows>>("substring", folder / "substring.rows");
  }

 private:
  SubstringOptions options_;
  const text::Tokenizer* tokenizer_;
};

}  // namespace

std::unique_ptr<DocumentStage> make_stage(const std::string& name, const PipelineConfig& c, const text::Tokenizer* tokenizer,
                                          const OpenModel& open_model) {
  const auto filter = [&](std::unique_ptr<Filter> f, bool prose) {
    return std::make_unique<FilterStage>(name, std::move(f), prose ? c.not_prose : std::vector<std::string>{});
  };
  if (name == "html") return std::make_unique<HtmlStage>(c.html);
  if (name == "clean") return filter(clean_filter({.unicode = c.clean.unicode, .lines = c.clean.lines, .blanks = c.clean.blanks}), false);
  if (name == "pii") {
    PiiOptions options;
    options.mask = pii_kinds(c.pii.kinds);
    options.private_addresses = c.pii.private_addresses;
    return filter(pii_filter(std::move(options)), false);
  }
  if (name == "language") return filter(std::make_unique<LanguageFilter>(c.language), true);
  if (name == "quality") return filter(std::make_unique<QualityFilter>(c.quality), true);
  if (name == "score") return filter(std::make_unique<ScoreFilter>(c.score, open_model), true);
  if (name == "length") return std::make_unique<LengthStage>(c.length, tokenizer);
  if (name == "decontaminate") return std::make_unique<DecontaminateStage>(c.decontaminate);
  if (name == "split") return std::make_unique<SplitStage>(c.split);
  if (name == "augment") return std::make_unique<AugmentStage>(c.augment, tokenizer);
  fail("[data] no stage of single documents is called ", name);
}

std::unique_ptr<Comparison> make_comparison(const std::string& name, const PipelineConfig& c, const text::Tokenizer* tokenizer) {
  if (name == "exact") return std::make_unique<ExactComparison>(name, c.exact);
  if (name == "lines") return std::make_unique<ExactComparison>(name, c.lines);
  if (name == "near") return std::make_unique<NearComparison>(c.near);
  if (name == "window") return std::make_unique<WindowComparison>(c.near, c.window);
  if (name == "substring") return std::make_unique<SubstringComparison>(c.substring, tokenizer);
  fail("[data] no stage that compares documents is called ", name);
}

}  // namespace r1::corpus
