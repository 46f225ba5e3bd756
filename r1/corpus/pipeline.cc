#include "r1/corpus/pipeline.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/base/threads.h"
#include "r1/corpus/document_file.h"
#include "r1/corpus/outputs.h"
#include "r1/corpus/pipeline_stages.h"
#include "r1/corpus/plan.h"
#include "r1/corpus/shards.h"
#include "r1/data/jsonl.h"

namespace r1::corpus {
namespace {

constexpr size_t kBatchDocuments = 512, kBatchBytes = size_t{8} << 20;
constexpr size_t kExamples = 12;  // of each comparison
constexpr const char* kItemsFile = "decontaminate_items.jsonl";

std::string five(int64_t n) {
  char text[32];
  std::snprintf(text, sizeof text, "%05lld", static_cast<long long>(n));
  return text;
}

bool compares(const std::string& stage) {
  return std::ranges::any_of(stage_kinds(), [&](const StageKind& s) { return s.name == stage && s.compares; });
}

struct Pass {
  std::string comparison;  // "" of the first one
  std::vector<std::string> stages;
  fs::path folder;
  bool last = false;

  fs::path documents(int64_t shard) const { return folder / (five(shard) + ".jsonl.zst"); }
  fs::path counts(int64_t shard) const { return folder / (five(shard) + ".counts.json"); }
  bool done(int64_t shard) const { return fs::exists(counts(shard)); }
};

std::vector<Pass> passes_of(const PipelineConfig& c) {
  std::vector<Pass> passes(1);
  for (const std::string& stage : c.stages) {
    if (compares(stage))
      passes.push_back({stage, {}, {}, false});
    else
      passes.back().stages.push_back(stage);
  }
  for (size_t i = 0; i < passes.size(); ++i)
    passes[i].folder = fs::path(c.output) / str(i, "-", passes[i].comparison.empty() ? "read" : passes[i].comparison);
  passes.back().last = true;
  return passes;
}

// What one shard's way through a pass leaves: OUT/1-exact/00012.counts.json.
struct ShardCounts {
  std::vector<std::pair<std::string, Counts>> stages;
  Survey survey;
  Json found = Json::object();  // rows by stage

  Json to_json() const {
    Json list = Json::array();
    for (const auto& [name, counts] : stages) list.push_back({{"stage", name}, {"counts", counts.to_json()}});
    return {{"stages", list}, {"survey", survey.to_json()}, {"found", found}};
  }
  static ShardCounts from_file(const fs::path& path) {
    const Json json = parse_json_file(path);
    try {
      ShardCounts out;
      for (const Json& row : json.at("stages"))
        out.stages.emplace_back(row.at("stage").get<std::string>(), Counts::from_json(row.at("counts")));
      out.survey = Survey::from_json(json.at("survey"));
      out.found = json.at("found");
      return out;
    } catch (const Json::exception& e) {
      fail(path.string(), ": not the counts of a shard (", e.what(), "); remove the file and run again");
    }
  }
};

// A document on its way through a pass.
struct Item {
  Place place = 0;
  Document document;
};

// A page as it came is markup, not text: its tokens say nothing.
bool is_page(const Document& d) {
  return d.extra.is_object() && d.extra.value("html", Json()) == true;
}

bool cuts_text(const std::string& stage) {
  for (const char* name : {"quality", "length", "lines", "substring", "decontaminate"})
    if (stage == name) return true;
  return false;
}

uint64_t text_hash(const std::string& text) {
  return XXH3_64bits(text.data(), text.size());
}

class Pipeline {
 public:
  Pipeline(PipelineConfig config, OpenModel open_model)
      : config_(std::move(config)), open_model_(std::move(open_model)), passes_(passes_of(config_)), out_(config_.output) {
    if (!config_.tokenizer.empty()) tokenizer_.emplace(text::Tokenizer::load(config_.tokenizer));
    if (std::ranges::find(config_.stages, "augment") == config_.stages.end()) return;
    // What it lacks is said now, not when the last pass begins.
    make_stage("augment", config_, tokenizer(), open_model_);
    if (config_.augment.has("fim")) sentinels_ = fim_sentinels(config_.augment.fim);
  }

  bool run(bool merge) {
    prepare(merge);
    const auto shards = int64_t(shards_.size());
    do_pass(0);
    if (config_.of > 1) {
      // After a merge there is nothing left to be compared, and nothing to compare.
      if (passes_.size() > 1 && !all_done(1)) sign(1);
      return false;
    }
    for (size_t k = 1; k < passes_.size(); ++k) {
      if (!all_done(k)) {
        sign(k);
        decide(k);
        do_pass(k);
      }
      if (!config_.keep_passes) remove_work(k);
    }
    write_token_manifests(config_, tokenizer(), shards);
    finish();
    return true;
  }

 private:
  bool mine(int64_t shard) const { return shard % config_.of == config_.worker; }
  bool all_done(size_t k) const {
    for (int64_t i = 0; i < int64_t(shards_.size()); ++i)
      if (!passes_[k].done(i)) return false;
    return true;
  }

  // The folder is this run's, new or begun; the shards are what they were. A merge takes them as the workers found them: nothing is read of the input
  // any more, which need not even be there.
  void prepare(bool merge) {
    refuse_foreign();
    make_folder(out_);
    lock_folder();
    const std::vector<std::string> found = merge ? std::vector<std::string>{} : files();  // a name that is not there begins no run
    same_or_new("config.json", config_.identity(), "was begun with other options");
    write_file_atomic(out_ / "machine.json", dump_json(config_.machine(), 1) + "\n");
    same_or_new("made_of.json", config_.contents(tokenizer()), "was begun with files that held something else then");
    if (merge) {
      shards_ = shards_from_json(parse_json_file(out_ / "plan.json"), (out_ / "plan.json").string());
      refuse_missing();
    } else {
      shards_ = plan_shards(found, config_.shard_bytes, config_.kind);
      if (shards_.empty()) fail_usage("input: there is no file in it");
      same_or_new("plan.json", {{"shards", to_json(shards_)}}, "was begun with another input");
      refuse_changed();
    }
    remove_temporaries(out_, config_.worker, config_.of);
  }

  void refuse_foreign() const {
    std::error_code ignored;
    if (!fs::exists(out_, ignored)) return;
    bool other = false;
    for (const auto& entry : fs::directory_iterator(out_)) other |= !entry.path().filename().string().starts_with('.');
    // Looked for afterwards: another worker may begin the folder this moment, and writes this first.
    if (other && !fs::exists(out_ / "config.json") && !fs::exists(out_ / "plan.json"))
      fail_usage(out_.string(), ": holds files that are not of a run of r1 data; name another --output");
  }

  // One process a folder, or one for each worker; who does the whole of it holds the workers' places too, so that nobody merges while one of them writes.
  void lock_folder() {
    const std::string complaint = out_.string() + ": another process does this run right now";
    if (config_.of > 1) {
      locks_.push_back(std::make_unique<FileLock>(out_ / str(".lock-", config_.worker, "-of-", config_.of), complaint));
      return;
    }
    locks_.push_back(std::make_unique<FileLock>(out_ / ".lock", complaint));
    std::vector<fs::path> workers;
    for (const auto& entry : fs::directory_iterator(out_))
      if (const std::string name = entry.path().filename().string(); name.starts_with(".lock-") && !name.ends_with(".json"))
        workers.push_back(entry.path());
    for (const fs::path& path : workers)
      locks_.push_back(
          std::make_unique<FileLock>(path, str(out_.string(), ": worker ", path.filename().string().substr(6), " is at work right now")));
  }

  // A file that was rewritten between a kill and now, of the size that it had: half of the output would be of the one, half of the other. Times of
  // change are this process's own knowledge (workers may have copies of the input), so they stand beside its lock.
  void refuse_changed() const {
    const fs::path path = out_ / (config_.of > 1 ? str(".lock-", config_.worker, "-of-", config_.of, ".input.json") : ".lock.input.json");
    Json now = Json::array();
    for (const InputShard& shard : shards_) now.push_back(change_of(shard));
    if (!fs::exists(path)) return write_file_atomic(path, dump_json(now) + "\n");
    const Json before = parse_json_file(path);
    for (size_t i = 0; i < shards_.size() && i < before.size(); ++i)
      if (before[i] != now[i] && !passes_.back().done(int64_t(i)))
        fail_usage(printable(shards_[i].files[0]),
                   shards_[i].files.size() > 1 ? str(", or one of the ", shards_[i].files.size() - 1, " files after it,") : "",
                   " was written to since this run began: a part of the output would be of the old text, a part of the new. Name another "
                   "--output; or, if it holds what it held, remove ",
                   path.string());
  }

  // What the run itself writes is none of its input, where the one folder lies in the other.
  std::vector<std::string> files() const {
    std::vector<std::string> all = named_files();
    const fs::path own = fs::canonical(out_);
    const auto is_own = [&](const std::string& file) {
      std::error_code ignored;
      const fs::path at = fs::canonical(file, ignored);
      return std::mismatch(own.begin(), own.end(), at.begin(), at.end()).first == own.end();
    };
    const size_t before = all.size();
    std::erase_if(all, is_own);
    if (all.empty() && before > 0)
      fail_usage("input: all of it lies in ", out_.string(), ", the output of this run; name another --output");
    return all;
  }

  std::vector<std::string> named_files() const {
    if (!config_.optional_input) return input_files(config_.input);
    std::vector<std::string> all;
    for (const std::string& name : config_.input) {
      try {
        for (std::string& file : input_files({name})) all.push_back(std::move(file));
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::kUsage) throw;
        log_info("left out: ", error.what());
      }
    }
    return all;
  }

  void same_or_new(const char* name, const Json& now, const char* complaint) const {
    const fs::path path = out_ / name;
    if (!fs::exists(path)) return write_file_atomic(path, dump_json(now, 1) + "\n");
    const Json before = parse_json_file(path), same = parse_json(dump_json(now), name);  // names that are no UTF-8 as they were written
    if (before == same) return;
    const std::string difference = json_diff(before, same);
    fail_usage(path.string(), ": the run there ", complaint, ":\n", difference.substr(0, 2000),
               "\nname another --output, or remove that folder");
  }

  void refuse_missing() const {
    std::string missing;
    for (int64_t i = 0; i < int64_t(shards_.size()); ++i)
      if (!passes_[0].done(i) && missing.size() < 300) missing += (missing.empty() ? "" : ", ") + std::to_string(i);
    if (!missing.empty())
      fail_usage(out_.string(), ": of ", shards_.size(), " shards these are not there yet: ", missing,
                 "; run their workers (shard number % of), then merge");
  }

  // Calls work(i) of each shard that is mine: side by side if there are enough to give every thread one, else one after another, in each of
  // which batches use the threads.
  void each_shard(const std::string& title, const std::function<void(int64_t)>& work) const {
    std::vector<int64_t> numbers;
    for (int64_t i = 0; i < int64_t(shards_.size()); ++i)
      if (mine(i)) numbers.push_back(i);
    Progress bar(title, int64_t(numbers.size()), "shard");
    std::mutex lock;
    int64_t done = 0;
    const auto one = [&](size_t i) {
      throw_if_interrupted();
      work(numbers[i]);
      const std::lock_guard hold(lock);
      bar.update(++done);
    };
    if (int64_t(numbers.size()) >= num_threads())
      in_threads(numbers.size(), one);
    else
      for (size_t i = 0; i < numbers.size(); ++i) one(i);
  }

  void sign(size_t k) const {
    const auto comparison = make_comparison(passes_[k].comparison, config_, tokenizer());
    make_folder(passes_[k].folder);
    if (comparison->merged(passes_[k].folder)) return;
    each_shard(passes_[k].comparison + ": hashes", [&](int64_t shard) {
      comparison->add_shard(passes_[k].folder, shard, int64_t(shards_.size()), passes_[k - 1].documents(shard));
    });
  }

  void decide(size_t k) const {
    const auto comparison = make_comparison(passes_[k].comparison, config_, tokenizer());
    const fs::path& folder = passes_[k].folder;
    if (!comparison->merged(folder)) comparison->merge(folder, int64_t(shards_.size()));
    if (!fs::exists(folder / "examples.json")) {
      const Json examples = shown(passes_[k].comparison, comparison->examples(folder, kExamples), passes_[k - 1]);
      write_file_atomic(folder / "examples.json", dump_json(examples) + "\n");
    }
  }

  // The documents at some places, to look at.
  Json shown(const std::string& stage, const std::vector<std::pair<Place, Place>>& pairs, const Pass& from) const {
    std::map<Place, Document> documents;
    for (const auto& [a, b] : pairs) documents[a], documents[b];
    for (auto next = documents.begin(); next != documents.end();) {
      const Place first = next->first;
      DocumentReader reader(from.documents(int64_t(first >> 40)));
      uint64_t number = 0;
      for (Document d; next != documents.end() && next->first >> 40 == first >> 40 && reader.next(d); ++number)
        if (place_of(first >> 40, number) == next->first) (next++)->second = std::move(d);
      if (next != documents.end() && next->first >> 40 == first >> 40) fail("[data] ", stage, ": no document has the place ", next->first);
    }
    Json out = Json::array();
    for (const auto& [goes, stays] : pairs) {
      const Document &a = documents[goes], &b = documents[stays];
      out.push_back(
          {{"stage", stage}, {"document", a.id()}, {"text", excerpt(a.text)}, {"stays", b.id()}, {"stays_text", excerpt(b.text)}});
    }
    return out;
  }

  static std::string excerpt(const std::string& text) {
    size_t end = std::min(text.size(), Survey::kExcerpt);
    while (end < text.size() && end > 0 && (uint8_t(text[end]) & 0xc0) == 0x80) --end;
    return text.substr(0, end);
  }

  void do_pass(size_t k) const {
    const Pass& pass = passes_[k];
    if (all_done(k)) return;
    make_folder(pass.folder);
    std::vector<std::unique_ptr<DocumentStage>> stages;
    if (k > 0) stages.push_back(make_comparison(pass.comparison, config_, tokenizer())->decided(pass.folder));
    for (const std::string& stage : pass.stages) stages.push_back(make_stage(stage, config_, tokenizer(), open_model_));
    each_shard(k == 0 ? "read" : pass.comparison, [&](int64_t shard) {
      if (!pass.done(shard)) do_shard(k, shard, stages);
    });
  }

  void do_shard(size_t k, int64_t shard, const std::vector<std::unique_ptr<DocumentStage>>& stages) const {
    const Pass& pass = passes_[k];
    ShardCounts counts;
    if (k == 0) counts.stages.emplace_back("read", Counts());
    for (const auto& stage : stages) counts.stages.emplace_back(stage->name(), Counts());
    std::optional<Outputs> outputs;
    std::optional<DocumentWriter> writer;
    if (pass.last)
      outputs.emplace(config_, tokenizer(), shard);
    else
      writer.emplace(pass.documents(shard));

    const auto next = source_of(k, shard, counts);
    uint64_t number = 0;
    for (bool more = true; more;) {
      throw_if_interrupted();
      std::vector<Item> batch;
      Item item;
      for (size_t bytes = 0; batch.size() < kBatchDocuments && bytes < kBatchBytes && (more = next(item.document));) {
        item.place = place_of(uint64_t(shard), number++);
        bytes += item.document.text.size();
        batch.push_back(std::move(item));
      }
      if (k == 0) count_read(batch, counts.stages[0].second);
      for (size_t s = 0; s < stages.size(); ++s) batch = through(*stages[s], std::move(batch), counts.stages[s + (k == 0)].second, counts);
      if (pass.last) {
        write(std::move(batch), *outputs, counts.survey);
      } else {
        for (const Item& i : batch) writer->add(i.document);
      }
    }
    for (const auto& [name, c] : counts.stages) c.check(name);
    if (outputs)
      outputs->commit();
    else
      writer->commit();
    write_file_atomic(pass.counts(shard), dump_json(counts.to_json()) + "\n");
  }

  // Documents of the input, counted, or those of the pass before.
  std::function<bool(Document&)> source_of(size_t k, int64_t shard, ShardCounts& counts) const {
    if (k > 0) {
      auto reader = std::make_shared<DocumentReader>(passes_[k - 1].documents(shard));
      return [reader](Document& d) { return reader->next(d); };
    }
    std::shared_ptr<Reader> reader = open_shard(shards_[size_t(shard)], config_.read_options());
    return [reader, &read = counts.stages[0].second](Document& d) {
      d = {};
      return reader->next(d, read);
    };
  }

  void count_read(std::vector<Item>& batch, Counts& read) const {
    if (tokenizer_) in_threads(batch.size(), [&](size_t i) { count_tokens(batch[i].document); });
    for (const Item& item : batch) {
      read.in(item.document);
      read.out(item.document);
    }
  }

  void count_tokens(Document& d) const { d.tokens = is_page(d) ? -1 : int64_t(tokenizer_->encode(d.text).size()); }

  // A stage on one document. The tokens of what it changed are counted anew. A conversation has its words a second time, in turns: what a stage took
  // out of the text would be in these still, so they go (pii masks both).
  Outcome applied(const DocumentStage& stage, Item& item) const {
    const bool cuts = cuts_text(stage.name()) && item.document.extra.is_object() && item.document.extra.contains("messages");
    if (!tokenizer_ && !cuts) return stage.apply(item.place, std::move(item.document));
    const uint64_t before = text_hash(item.document.text);
    Outcome outcome = stage.apply(item.place, std::move(item.document));
    const auto count = [&](Document& d) {
      const bool changed = text_hash(d.text) != before;
      if (changed && cuts) {
        d.extra.erase("messages");
        if (d.extra.empty()) d.extra = {};
      }
      if (tokenizer_ && (d.tokens < 0 || changed)) count_tokens(d);
    };
    for (Document& d : outcome.kept) count(d);
    for (auto& [d, reason] : outcome.dropped) count(d);
    return outcome;
  }

  std::vector<Item> through(const DocumentStage& stage, std::vector<Item> batch, Counts& counts, ShardCounts& all) const {
    std::vector<Outcome> outcomes(batch.size());
    for (const Item& item : batch) counts.in(item.document);
    in_threads(batch.size(), [&](size_t i) { outcomes[i] = applied(stage, batch[i]); });
    std::vector<Item> out;
    for (size_t i = 0; i < batch.size(); ++i) {
      Outcome& o = outcomes[i];
      const auto parts = int64_t(o.kept.size() + o.dropped.size());
      check(parts > 0, "[data] ", stage.name(), " lost a document");
      if (parts > 1) counts.split(o.kept.empty() ? o.dropped[0].first : o.kept[0], parts);
      for (const auto& [document, reason] : o.dropped) {
        counts.drop(document, reason);
        all.survey.dropped(document, stage.name(), reason);
      }
      for (Document& d : o.kept) {
        counts.out(d);
        out.push_back({batch[i].place, std::move(d)});
      }
      if (!o.found.is_null()) all.found[stage.name()].push_back(std::move(o.found));
    }
    return out;
  }

  void write(std::vector<Item> batch, Outputs& outputs, Survey& survey) const {
    std::vector<std::vector<int32_t>> ids(batch.size());
    const bool wanted = tokenizer_ && (sentinels_ || std::ranges::find(config_.formats, "tokens") != config_.formats.end());
    if (wanted) in_threads(batch.size(), [&](size_t i) { ids[i] = ids_of(batch[i].document); });
    for (size_t i = 0; i < batch.size(); ++i) {
      Document& d = batch[i].document;
      const int64_t tokens = wanted ? int64_t(ids[i].size()) : std::exchange(d.tokens, -1);
      d.tokens = -1;
      outputs.add(d, ids[i]);
      survey.kept(d, tokens);
    }
  }

  // What pass k was made of: documents of the one before, and its own comparison. The counts stay: they say that it is done.
  void remove_work(size_t k) const {
    std::error_code ignored;
    for (int64_t i = 0; i < int64_t(shards_.size()); ++i) fs::remove(passes_[k - 1].documents(i), ignored);
    std::vector<fs::path> gone;
    for (const auto& entry : fs::directory_iterator(passes_[k].folder)) {
      const std::string name = entry.path().filename().string();
      if (!name.ends_with(".counts.json") && !name.ends_with(".jsonl.zst") && name != "examples.json") gone.push_back(entry.path());
    }
    for (const fs::path& path : gone) fs::remove(path, ignored);
  }

  void finish() const {
    RunCounts all;
    Json found = Json::object();
    for (const Pass& pass : passes_) {
      const size_t first = all.stages.size();
      for (int64_t i = 0; i < int64_t(shards_.size()); ++i) {
        const ShardCounts shard = ShardCounts::from_file(pass.counts(i));
        for (size_t s = 0; s < shard.stages.size(); ++s) {
          if (all.stages.size() == first + s) all.stages.emplace_back(shard.stages[s].first, Counts());
          check(all.stages[first + s].first == shard.stages[s].first, pass.counts(i).string(), ": is of other stages");
          all.stages[first + s].second.add(shard.stages[s].second);
        }
        all.survey.add(shard.survey);
        for (const auto& [stage, rows] : shard.found.items())
          for (const Json& row : rows) found[stage].push_back(row);
      }
      if (fs::exists(pass.folder / "examples.json"))
        for (const Json& example : parse_json_file(pass.folder / "examples.json")) all.examples.push_back(example);
    }
    all.check();
    for (const auto& [stage, rows] : found.items()) write_rows(stage + ".jsonl", rows.get<std::vector<Json>>());
    if (found.contains("decontaminate")) write_rows(kItemsFile, by_item(found["decontaminate"].get<std::vector<Json>>()));
    write_file_atomic(out_ / "survey.json", dump_json(all.survey.to_json(), 1) + "\n");
    write_file_atomic(out_ / "examples.json", dump_json(all.examples, 1) + "\n");
    write_file_atomic(out_ / "counts.json", dump_json(all.to_json(), 1) + "\n");
  }

  void write_rows(const std::string& name, const std::vector<Json>& rows) const {
    std::string lines;
    for (const Json& row : rows) lines += dump_json(row) + "\n";
    write_file_atomic(out_ / name, lines);
  }

  std::vector<int32_t> ids_of(const Document& d) const {
    return sentinels_ ? encode_with_control(d, *sentinels_, *tokenizer_) : tokenizer_->encode(d.text);
  }
  const text::Tokenizer* tokenizer() const { return tokenizer_ ? &*tokenizer_ : nullptr; }

  PipelineConfig config_;
  OpenModel open_model_;
  std::vector<Pass> passes_;
  fs::path out_;
  std::optional<text::Tokenizer> tokenizer_;
  std::optional<FimSentinels> sentinels_;  // if the run has fim
  std::vector<std::unique_ptr<FileLock>> locks_;
  std::vector<InputShard> shards_;
};

}  // namespace

void RunCounts::check() const {
  for (size_t i = 0; i < stages.size(); ++i) {
    const auto& [name, counts] = stages[i];
    counts.check(name);
    if (i > 0 && counts.documents_in() != stages[i - 1].second.documents_out())
      fail("[data] ", name, " got ", counts.documents_in(), " documents, but ", stages[i - 1].first, " gave ",
           stages[i - 1].second.documents_out());
  }
  int64_t kept = 0;
  for (const auto& [part, amount] : survey.parts()) kept += amount.documents;
  if (!stages.empty() && kept != stages.back().second.documents_out())
    fail("[data] ", kept, " documents were written, but ", stages.back().first, " gave ", stages.back().second.documents_out());
}

Json RunCounts::to_json() const {
  Json list = Json::array();
  for (const auto& [name, counts] : stages) {
    Json row = {{"stage", name}};
    row.update(counts.to_json());
    list.push_back(std::move(row));
  }
  Json parts = Json::object();
  for (const auto& [part, a] : survey.parts()) parts[part] = {{"documents", a.documents}, {"bytes", a.bytes}, {"tokens", a.tokens}};
  return {{"stages", list}, {"parts", parts}};
}

bool run_pipeline(PipelineConfig config, OpenModel open_model) {
  config.resolve();
  return Pipeline(std::move(config), std::move(open_model)).run(false);
}

void merge_pipeline(const std::string& output, OpenModel open_model) {
  PipelineConfig config;
  const Json before = read_run_config(output);
  apply_settings(config, json_settings(before, output + "/config.json"));
  if (const fs::path path = fs::path(output) / "machine.json"; fs::exists(path))
    apply_settings(config, json_settings(parse_json_file(path), path.string()));
  config.output = output;
  config.resolve();
  Pipeline(std::move(config), std::move(open_model)).run(true);
}

Json read_run_config(const std::string& output) {
  const fs::path path = fs::path(output) / "config.json";
  if (!fs::exists(path)) fail_usage(output, ": no run of r1 data is there (it has no config.json)");
  return parse_json_file(path);
}

RunCounts read_counts(const std::string& output) {
  const fs::path out(output);
  read_run_config(output);
  if (!fs::exists(out / "counts.json"))
    fail_usage(output, ": the run is not done yet (it has no counts.json); the same command goes on with it");
  const Json json = parse_json_file(out / "counts.json");
  RunCounts all;
  try {
    for (const Json& row : json.at("stages")) all.stages.emplace_back(row.at("stage").get<std::string>(), Counts::from_json(row));
    all.survey = Survey::from_json(parse_json_file(out / "survey.json"));
    all.examples = parse_json_file(out / "examples.json");
    if (fs::exists(out / kItemsFile)) {
      data::LineReader lines(out / kItemsFile);
      for (std::string line; lines.next(line);) all.items_found.push_back(parse_json(line, lines.where()));
    }
  } catch (const Json::exception& e) {
    fail((out / "counts.json").string(), ": not the counts of a run: ", e.what());
  }
  all.check();
  return all;
}

}  // namespace r1::corpus
