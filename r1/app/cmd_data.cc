// r1 data run | merge | report | mix | kinds | language | ngram train, and r1 preprocess: the data road from raw files to training data. docs/data.md.
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <optional>

#include "r1/app/command.h"
#include "r1/base/error.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/corpus/language.h"
#include "r1/corpus/mixture.h"
#include "r1/corpus/ngram_lm.h"
#include "r1/corpus/ngram_train.h"
#include "r1/corpus/pipeline.h"
#include "r1/corpus/pipeline_report.h"
#include "r1/corpus/reader.h"
#include "r1/data/jsonl.h"
#include "r1/stages/prepare_data.h"

namespace r1::app {
namespace {

std::string padded(std::string text, size_t width) {
  text.resize(std::max(text.size() + 1, width), ' ');
  return text;
}

// A line a stage, what it dropped for behind it.
std::string table_of(const corpus::RunCounts& run) {
  const bool tokens = std::ranges::any_of(run.stages, [](const auto& stage) { return stage.second.tokens_out() > 0; });
  std::string out = padded("stage", 16) + padded("in", 12) + padded("out", 12) + padded("bytes out", 12) +
                    (tokens ? padded("tokens out", 12) : "") + "dropped\n";
  for (const auto& [name, c] : run.stages) {
    std::vector<std::pair<int64_t, std::string>> reasons;
    for (const auto& [reason, r] : c.dropped()) reasons.emplace_back(r.documents, reason);
    std::ranges::sort(reasons, [](const auto& a, const auto& b) { return a.first != b.first ? a.first > b.first : a.second < b.second; });
    std::string dropped;
    for (size_t i = 0; i < std::min<size_t>(4, reasons.size()); ++i)
      dropped += str(i ? ", " : "", reasons[i].second, " ", reasons[i].first);
    if (reasons.size() > 4) dropped += str(", ", reasons.size() - 4, " more reasons");
    out += padded(name, 16) + padded(std::to_string(c.documents_in()), 12) + padded(std::to_string(c.documents_out()), 12) +
           padded(human_bytes(double(c.bytes_out())), 12) + (tokens ? padded(human_count(double(c.tokens_out())), 12) : "") + dropped +
           "\n";
  }
  for (const auto& [part, a] : run.survey.parts())
    out += str(part, ": ", a.documents, " documents, ", human_bytes(double(a.bytes)), a.tokens ? str(", ", a.tokens, " tokens") : "", "\n");
  return out;
}

int show(const std::string& output, const CommonOptions& common) {
  const corpus::RunCounts run = corpus::read_counts(output);
  const std::string report = corpus::write_pipeline_report(output);
  print_text(common.json ? dump_json(run.to_json()) + "\n" : table_of(run));
  log_info("report: ", report);
  return 0;
}

int run_pipeline(const corpus::PipelineConfig& config, const CommonOptions& common) {
  install_interrupt_handler();
  if (!corpus::run_pipeline(config, stages::model_opener(common.device))) {
    log_info("worker ", config.worker, " of ", config.of, " is done; when all are: r1 data merge ", config.output);
    return 0;
  }
  return show(config.output, common);
}

struct FolderConfig {
  std::string output;
  void visit(Fields& v) { v("output", output, "folder of a run", Required{}); }
};

int run_merge(const FolderConfig& config, const CommonOptions& common) {
  install_interrupt_handler();
  corpus::merge_pipeline(config.output, stages::model_opener(common.device));
  return show(config.output, common);
}

int run_report(const FolderConfig& config, const CommonOptions& common) {
  return show(config.output, common);
}

// The same road under the names that articles on language models use: raw folder in, clean folder out.
struct PreprocessConfig {
  std::string input_dir, output_dir, tokenizer;
  double filter_threshold = 0.7;
  int64_t dedup_window = 100, min_length = 50, max_length = 1'000'000;
  bool mask_pii = true;
  void visit(Fields& v) {
    v("input_dir", input_dir, "folder (or file, or pattern) of raw data", Required{});
    v("output_dir", output_dir, "folder of the run; the documents are in its folder data", Required{});
    v("filter_threshold", filter_threshold, "least quality score, 0 to 1, of a document that is kept", Range{0, 1});
    v("dedup_window", dedup_window, "near duplicates of one of so many documents before go; 0: of any document", Range{0, 1e6});
    v("min_length", min_length, "characters of the shortest document", Range{0, 1e9});
    v("max_length", max_length, "characters of the longest; longer ones are cut at paragraphs", Range{16, 1e12});
    v("mask_pii", mask_pii, "mask mail addresses, telephone numbers and their like");
    v("tokenizer", tokenizer, "writes token shards too");
  }
};

int run_preprocess(const PreprocessConfig& config, const CommonOptions& common) {
  if (config.min_length > config.max_length)
    fail_usage("min_length (", config.min_length, ") is above max_length (", config.max_length, ")");
  corpus::PipelineConfig c;
  c.input = {config.input_dir};
  c.output = config.output_dir;
  c.stages = {"html", "clean"};
  if (config.mask_pii) c.stages.emplace_back("pii");
  for (const char* stage : {"score", "length", "exact"}) c.stages.emplace_back(stage);
  c.stages.emplace_back(config.dedup_window > 0 ? "window" : "near");
  c.score.filter_threshold = config.filter_threshold;
  c.window = std::max<int64_t>(1, config.dedup_window);
  c.length.unit = "characters";
  c.length.min_characters = config.min_length;
  c.length.max = config.max_length;
  c.tokenizer = config.tokenizer;
  if (!config.tokenizer.empty()) c.formats = {"jsonl", "tokens"};
  return run_pipeline(c, common);
}

int run_mix(const corpus::MixConfig& config, const CommonOptions& common) {
  install_interrupt_handler();
  const Json told = corpus::mix(config);
  if (common.json) return print_text(dump_json(told) + "\n"), 0;
  print_text(padded("share", 8) + padded("epochs", 8) + padded("documents", 12) + "source\n");
  for (const Json& s : told["sources"]) {
    char numbers[64];
    std::snprintf(numbers, sizeof numbers, "%-8.4f%-8.2f", s["share"].get<double>(), s["epochs"].get<double>());
    print_text(numbers + padded(std::to_string(s["documents"].get<int64_t>()), 12) + s["source"].get<std::string>() + "\n");
  }
  return 0;
}

struct NoConfig {
  void visit(Fields&) {}
};

int run_kinds(const NoConfig&, const CommonOptions& common) {
  Json list = Json::array();
  std::string table;
  for (const corpus::ReaderKind& kind : corpus::reader_kinds()) {
    std::string endings;
    for (const std::string& ending : kind.endings) endings += (endings.empty() ? "" : " ") + ending;
    list.push_back({{"kind", kind.name}, {"what", kind.what}, {"endings", kind.endings}});
    table += padded(kind.name, 16) + kind.what + (endings.empty() ? "" : " (" + endings + ")") + "\n";
  }
  print_text(common.json ? dump_json(list) + "\n" : table);
  return 0;
}

struct LanguageCommand {
  std::vector<std::string> files;
  corpus::LanguageConfig language;
  void visit(Fields& v) {
    v("files", files, "files, folders or patterns; none: lines of standard input");
    v.group("", language);
  }
};

int run_language(const LanguageCommand& config, const CommonOptions& common) {
  if (config.language.model.empty()) fail_usage("missing: --model, a fastText model of languages (lid.176.ftz)");
  const corpus::LanguageIdentifier identifier(config.language);
  std::optional<corpus::Cld2> second;
  if (config.language.second_opinion == "cld2") second.emplace();
  const auto line_of = [&](const std::string& name, const std::string& text) {
    const corpus::LanguageGuess guess = identifier.identify(text);
    Json row = {{"document", name}, {"language", guess.language}, {"probability", guess.probability}};
    std::string other;
    if (second) {
      const auto said = second->language(text);
      row["second_opinion"] = said ? Json(*said) : Json();
      other = str(said.value_or("-"), "\t");
    }
    print_text(common.json ? dump_json(row) + "\n"
                           : str(guess.language.empty() ? "-" : guess.language, "\t", guess.probability, "\t", other, name, "\n"));
  };
  if (config.files.empty()) {
    int64_t number = 0;
    for (std::string line; std::getline(std::cin, line);) line_of(str("line ", ++number), line);
    return 0;
  }
  const auto reader = corpus::open_readers(config.files);
  corpus::Counts counts;
  for (corpus::Document d; reader->next(d, counts);) line_of(d.id(), d.text);
  for (const auto& [reason, r] : counts.dropped()) log_warning(r.documents, " left out: ", reason, ", the first ", r.examples[0]);
  return 0;
}

struct NgramCommand {
  std::vector<std::string> files;
  std::string output;
  bool sentences = false;
  corpus::NgramTrainOptions train;
  void visit(Fields& v) {
    v("files", files, "files, folders or patterns of any kind that r1 data reads", Required{});
    v("output", output, "file of the model", Required{});
    v("sentences", sentences, "the files are text with a sentence a line, taken as it stands");
    v.group("", train);
  }
};

int run_ngram(const NgramCommand& config, const CommonOptions& common) {
  install_interrupt_handler();
  corpus::NgramTrainer trainer(config.train);
  if (config.sentences) {
    for (const std::string& file : corpus::input_files(config.files)) {
      data::LineReader lines(file);
      for (std::string line; lines.next(line);) trainer.add_sentence(line);
      throw_if_interrupted();
    }
  } else {
    const auto reader = corpus::open_readers(config.files);
    corpus::Counts counts;
    for (corpus::Document d; reader->next(d, counts);) {
      trainer.add_document(d.text);
      throw_if_interrupted();
    }
  }
  const corpus::NgramTable table = trainer.finish();
  corpus::NgramModel(table).write(config.output);
  const auto& s = trainer.statistics();
  Json discounts = Json::array();
  for (const auto& d : s.discounts) discounts.push_back({d[0], d[1], d[2]});
  if (common.json)
    print_text(
        dump_json(Json{{"sentences", s.sentences}, {"words", s.words}, {"ngrams", s.ngrams}, {"kept", s.kept}, {"discounts", discounts}}) +
        "\n");
  else
    log_info(s.sentences, " sentences, ", s.words, " words -> ", config.output);
  return 0;
}

}  // namespace

Command cmd_data_run() {
  return make_command<corpus::PipelineConfig>("data run", "raw files to training data: read, clean, filter, find duplicates, write",
                                              run_pipeline);
}
Command cmd_data_merge() {
  return make_command<FolderConfig>("data merge", "what workers of r1 data run have begun, over all shards", run_merge, {"output"});
}
Command cmd_data_report() {
  return make_command<FolderConfig>("data report", "a run's counts, and its page report.html", run_report, {"output"});
}
Command cmd_data_mix() {
  return make_command<corpus::MixConfig>("data mix", "several sources as one, in given proportions", run_mix);
}
Command cmd_data_kinds() {
  return make_command<NoConfig>("data kinds", "the kinds of files that are read", run_kinds);
}
Command cmd_data_language() {
  return make_command<LanguageCommand>("data language", "the language of each document", run_language, {"files"});
}
Command cmd_data_ngram_train() {
  return make_command<NgramCommand>("data ngram train", "an n-gram model of text, for quality scores", run_ngram, {"files"});
}
Command cmd_preprocess() {
  return make_command<PreprocessConfig>("preprocess", "raw data to clean documents in one command (r1 data run has all options)",
                                        run_preprocess);
}

}  // namespace r1::app
