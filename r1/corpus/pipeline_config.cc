#include "r1/corpus/pipeline_config.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/log.h"

namespace r1::corpus {

const std::vector<StageKind>& stage_kinds() {
  static const std::vector<StageKind> all = {
      {"html", "the main text of web pages"},
      {"clean", "broken Unicode mended, boilerplate lines and superfluous blanks out"},
      {"pii", "personal data masked"},
      {"language", "languages that are not wanted out (language.model)"},
      {"quality", "what breaks the rules of Gopher, C4 and FineWeb out"},
      {"score", "what scores below score.filter_threshold out"},
      {"length", "too short ones out, too long ones cut at paragraphs"},
      {"exact", "documents that were there already out", true},
      {"lines", "lines (or paragraphs) that many documents have out", true},
      {"near", "near duplicates out, by MinHash", true},
      {"substring", "stretches of text that were there already out", true},
      {"window", "near duplicates of one of the last documents out", true},
      {"decontaminate", "what shares text with evaluation data out (decontaminate.files)"},
      {"split", "train, validation and test parts, near duplicates in the same one"},
      {"augment", "copies with something changed (augment.transforms); the last stage"},
  };
  return all;
}

namespace {

constexpr const char* kWithMemory[] = {"exact", "lines", "near", "substring"};
constexpr const char* kDefault[] = {"html", "clean", "pii", "language", "quality", "length", "exact", "near", "decontaminate", "split"};

std::string all_stages() {
  std::string names;
  for (const StageKind& s : stage_kinds()) names += (names.empty() ? "" : ", ") + s.name;
  return names;
}

// What a stage lacks to work; "" if nothing.
std::string lacking(const PipelineConfig& c, const std::string& stage) {
  if (stage == "language" && c.language.model.empty()) return "language.model, a fastText model of languages (lid.176.ftz)";
  if (stage == "decontaminate" && c.decontaminate.files.empty()) return "decontaminate.files, the evaluation data";
  return "";
}

}  // namespace

void PipelineConfig::Html::visit(Fields& v) {
  v("tables", tables, "tables of data as Markdown");
  v("code", code, "listings");
  v("lists", lists, "lists");
  v("links", links, "links as [text](address)");
  v("comments", comments, "readers' comments too");
}

void PipelineConfig::Clean::visit(Fields& v) {
  v("unicode", unicode, "mend encodings, NFC, control characters out");
  v("lines", lines, "lines of the page around a text out");
  v("blanks", blanks, "one blank between words, one empty line between paragraphs");
}

void PipelineConfig::Pii::visit(Fields& v) {
  v("kinds", kinds, "what is masked: mail, phone, ip, card, iban");
  v("private_addresses", private_addresses, "addresses of private networks too");
}

void PipelineConfig::visit(Fields& v) {
  v("input", input, "files, folders and patterns");
  v("optional_input", optional_input, "what of the input is not there is left out with a word, not an error");
  v("output_dir", output, "folder of the run; a run that was stopped goes on there");
  v.alias("output", "output_dir");
  v("stages", stages,
    "in their order, by default html, clean, pii, language, quality, length, exact, near, decontaminate, split; also score, lines, "
    "substring, window, augment");
  v("kind", kind, "what the files are, where their content does not tell (r1 data kinds)");
  v("text_column", text_column, "of rows: the column with the text; auto: by name");
  v("mail_quotes", mail_quotes, "keep what a mail quotes of an earlier one");
  v("shard_bytes", shard_bytes, "input of one shard, what is done at once and written as one file", Range{1024, 1e12});
  v("tokenizer", tokenizer, "tokenizer.json, GGUF or folder: counts tokens, for length in tokens and the format tokens");
  v("formats", formats, "what is written: jsonl, tokens, webdataset");
  v("keep_passes", keep_passes, "keep the documents between passes");
  v("worker", worker, "number of this process among `of`: it does the shards whose number leaves it as rest", Range{0, 1e6});
  v("of", of, "how many processes share the first pass; then r1 data merge OUTPUT", Range{1, 1e6});
  v("not_prose", not_prose, "kinds that language, quality and score let pass");
  v.group("html", html, "stage html");
  v.group("clean", clean, "stage clean");
  v.group("pii", pii, "stage pii");
  v.group("language", language, "stage language");
  v.group("quality", quality, "stage quality");
  v.group("score", score, "stage score");
  v.group("length", length, "stage length");
  v.group("exact", exact, "stage exact");
  v.group("lines", lines, "stage lines");
  v.group("near", near, "stage near, and window");
  v.group("substring", substring, "stage substring");
  v("window", window, "stage window: how many documents it remembers", Range{1, 1e6});
  v.group("decontaminate", decontaminate, "stage decontaminate");
  v.group("split", split, "stage split");
  v.group("augment", augment, "stage augment");
}

void PipelineConfig::resolve() {
  if (output.empty()) fail_usage("missing: --output, the folder of the run");
  if (input.empty()) fail_usage("missing: --input, what is to be read");
  if (worker >= of) fail_usage("worker ", worker, " of ", of, ": workers are numbered from 0 to ", of - 1);
  const bool named = !stages.empty();
  if (!named)
    for (const char* stage : kDefault)
      if (lacking(*this, stage).empty()) stages.emplace_back(stage);
  if (!stages.empty() && stages.front() == "read") stages.erase(stages.begin());
  if (!stages.empty() && stages.back() == "write") stages.pop_back();
  std::set<std::string> seen;
  for (const std::string& stage : stages) {
    if (std::ranges::none_of(stage_kinds(), [&](const StageKind& s) { return s.name == stage; })) {
      std::vector<std::string> names;
      for (const StageKind& s : stage_kinds()) names.push_back(s.name);
      fail_usage("stages: there is no stage '", printable(stage), "'", did_you_mean(stage, names), "; there are: ", all_stages());
    }
    if (!seen.insert(stage).second) fail_usage("stages: '", stage, "' stands there twice");
    if (const std::string what = lacking(*this, stage); !what.empty()) fail_usage("stage ", stage, " needs ", what);
  }
  if (formats.empty()) fail_usage("formats: none; there are jsonl, tokens, webdataset");
  for (const std::string& format : formats)
    if (format != "jsonl" && format != "tokens" && format != "webdataset")
      fail_usage("formats: '", printable(format), "' is none; there are jsonl, tokens, webdataset");
  const bool tokens = std::ranges::find(formats, "tokens") != formats.end();
  if (tokens && tokenizer.empty()) fail_usage("the format tokens needs --tokenizer");
  if (seen.contains("substring") && substring.unit == "tokens" && tokenizer.empty())
    fail_usage("substring.unit is tokens: that needs --tokenizer");
  length = length.resolved(!tokenizer.empty());
  if (seen.contains("split")) split.resolve();
  if (!seen.contains("augment")) return;
  augment.check_transforms();
  if (stages.back() != "augment")
    fail_usage("stages: augment stands before ", *(std::ranges::find(stages, "augment") + 1),
               "; it is the last one: copies are not to be compared, filtered or split apart from their originals");
  if (augment.has("fim") && tokenizer.empty()) fail_usage("augment: fim needs --tokenizer, in which its control tokens must be");
}

Json PipelineConfig::identity() const {
  Json all = config_to_json(*this);
  for (const char* key : {"output_dir", "worker", "of", "keep_passes", "optional_input"}) all.erase(key);
  for (const char* stage : kWithMemory) all[stage].erase("memory_bytes");
  all["split"].erase("preset");  // the shares say it
  // A folder that was begun before there was this stage is known again.
  if (std::ranges::find(stages, "augment") == stages.end()) all.erase("augment");
  return all;
}

Json PipelineConfig::machine() const {
  const Json all = config_to_json(*this);
  Json out = {{"keep_passes", keep_passes}};
  for (const char* stage : kWithMemory) out[stage] = {{"memory_bytes", all[stage]["memory_bytes"]}};
  return out;
}

Json PipelineConfig::contents(const text::Tokenizer* loaded) const {
  Json all = Json::object();
  if (loaded) all["tokenizer"] = loaded->hash();
  const auto has = [&](const char* stage) { return std::ranges::find(stages, stage) != stages.end(); };
  const auto add = [&](const std::string& option, const std::string& path) {
    if (!fs::is_regular_file(path)) return;  // the stage says what is wrong with it
    const MappedFile file{fs::path(path)};
    const XXH128_hash_t hash = XXH3_128bits(file.bytes().data(), file.size());
    char digits[33];
    std::snprintf(digits, sizeof digits, "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                  static_cast<unsigned long long>(hash.low64));
    all[option].push_back(digits);
  };
  if (has("language")) add("language.model", language.model);
  if (has("score")) add("score.perplexity_model", score.perplexity_model);
  if (has("score")) add("score.classifier", score.classifier);
  if (has("decontaminate"))
    for (const std::string& file : decontaminate.files) add("decontaminate.files", file);
  if (has("augment")) add("augment.synonyms", augment.synonyms);
  return all;
}

ReadOptions PipelineConfig::read_options() const {
  return {.kind = kind, .text_column = text_column, .mail_quotes = mail_quotes};
}

}  // namespace r1::corpus
