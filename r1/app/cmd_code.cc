// r1 code complete FILE:LINE[:COL]: the text that belongs at that place of a file, to standard output. r1 code tests FILE: unit tests for
// the functions of a Python file, run before they are shown, as a file for pytest. docs/code.md.
#include <cstdio>
#include <filesystem>

#include "r1/api/code_prompt.h"
#include "r1/app/command.h"
#include "r1/app/json_lines.h"
#include "r1/app/sampling_defaults.h"
#include "r1/base/file.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/eval/test_writer.h"
#include "r1/stages/run.h"

namespace r1::app {
namespace {

const engine::SamplingOptions kCodeSampling{.temperature = 0};

struct CompleteConfig {
  stages::InferenceArgs model;
  engine::EngineConfig engine;
  std::string place, language, stop_at = "block";
  std::vector<std::string> files;
  engine::SamplingOptions sampling = kCodeSampling;
  int64_t max_new_tokens = 128, n = 1, context_tokens = 8192;
  uint64_t seed = 0;

  void visit(Fields& v) {
    v("place", place, "FILE:LINE or FILE:LINE:COLUMN, counted from 1; without a column the line's end");
    v.group("", model);
    v("language", language, "of the file, where its name does not say");
    v("files", files, "other files that the model should see, the most important first");
    v("stop_at", stop_at, "where the completion ends by itself", OneOf{"block", "line", "none"});
    v("max_new_tokens", max_new_tokens, "longest completion, in tokens", Range{1, 1e6});
    v("n", n, "completions", Range{1, 1024});
    v("context_tokens", context_tokens, "longest prompt: the file around the place and the other files", Range{16, 1e7});
    v.group("", sampling);
    v("seed", seed, "same seed, same text", Range{0, 1.8e19});
    v.group("engine", engine);
  }
};

struct Place {
  std::string file;
  int64_t line = 0, column = 0;  // column 0: the line's end
};

Place parse_place(const std::string& text) {
  const auto number = [&](const std::string& digits) -> int64_t {
    if (digits.empty() || digits.size() > 9 || digits.find_first_not_of("0123456789") != std::string::npos) return 0;
    return std::stoll(digits);
  };
  const size_t last = text.rfind(':');
  if (last != std::string::npos && last > 0) {
    const size_t before = text.rfind(':', last - 1);
    const int64_t second = number(text.substr(last + 1));
    const int64_t first = before == std::string::npos ? 0 : number(text.substr(before + 1, last - before - 1));
    if (first > 0 && second > 0 && before > 0) return {text.substr(0, before), first, second};
    if (second > 0) return {text.substr(0, last), second, 0};
  }
  fail_usage("expected FILE:LINE or FILE:LINE:COLUMN, each counted from 1, got '", printable(text), "'");
}

// The byte of the text that the cursor stands before.
size_t cursor_of(const std::string& text, const Place& place) {
  size_t at = 0;
  for (int64_t line = 1; line < place.line; ++line) {
    const size_t newline = text.find('\n', at);
    if (newline == std::string::npos) fail_usage(place.file, " has ", line, " lines, there is no line ", place.line);
    at = newline + 1;
  }
  size_t end = std::min(text.find('\n', at), text.size());
  if (end > at && text[end - 1] == '\r') --end;
  if (place.column == 0) return end;
  int64_t column = 1;
  while (column < place.column && at < end) {
    ++at;
    while (at < end && (uint8_t(text[at]) & 0xc0) == 0x80) ++at;
    ++column;
  }
  if (column < place.column)
    fail_usage(place.file, ": line ", place.line, " ends at column ", column, ", there is no column ", place.column);
  return at;
}

api::CodePlace read_place(const CompleteConfig& c) {
  if (c.place.empty()) fail_usage("missing: FILE:LINE, where code is wanted");
  const Place at = parse_place(c.place);
  const std::string text = read_file(at.file);
  const size_t cursor = cursor_of(text, at);
  api::CodePlace place;
  place.prefix = text.substr(0, cursor);
  place.suffix = text.substr(cursor);
  place.path = at.file;
  place.language = c.language.empty() ? &api::code_language_of(at.file) : api::find_code_language(c.language);
  if (!place.language)
    fail_usage("--language: '", printable(c.language), "' is not among those that are known: ", api::code_language_names());
  for (const std::string& file : c.files) place.files.push_back({file, read_file(file)});
  api::unix_lines(place);
  return place;
}

int run_complete(const CompleteConfig& config, const CommonOptions& common) {
  const api::CodePlace place = read_place(config);
  const stages::LoadedModel loaded = stages::load(config.model, tensor::parse_device(common.device));
  engine::Engine engine(*loaded.model, config.engine);
  const int64_t room = engine.config().max_model_len - config.max_new_tokens;
  if (room < 16)
    fail_usage("max_new_tokens: ", config.max_new_tokens, " leave no room for a prompt in the context of ", engine.config().max_model_len);
  const api::CodePrompt prompt = api::make_code_prompt(place, *loaded.tokenizer, {.budget = std::min(config.context_tokens, room)});
  if (prompt.ids.empty()) fail_usage("nothing stands before the place, and the model has no tokens to fill in code with");
  if (!prompt.note.empty()) log_warning(prompt.note);
  if (prompt.truncated())
    log_info("left out of the prompt: ", prompt.dropped_prefix_lines, " lines before the place, ", prompt.dropped_suffix_lines,
             " behind it, ", prompt.dropped_files, " of the other files (--context_tokens)");

  engine::CompletionRequest request;
  request.prompt = prompt.ids;
  request.n = int(config.n);
  request.stop = config.sampling.stop;
  request.sampling = config.sampling.params(config.max_new_tokens);
  request.sampling.seed = config.seed;
  request.sampling.stop_ids = prompt.stop_ids;
  for (text::TokenId id : loaded.stop_ids) request.sampling.stop_ids.push_back(id);

  std::vector<api::CodeStop> stops(size_t(config.n), api::CodeStop(place, api::CodeStop::scope_named(config.stop_at)));
  std::vector<std::string> texts(size_t(config.n));
  const bool streams = !common.json && config.n == 1;
  const auto show = [&](int sample, const std::string& piece) {
    texts[size_t(sample)] += piece;
    return !streams || (std::fwrite(piece.data(), 1, piece.size(), stdout) == piece.size() && std::fflush(stdout) == 0);
  };
  install_interrupt_handler();
  engine::CompletionOptions options;
  options.on_step = [](int64_t, int64_t, const engine::EngineStats&) { return !interrupted(); };
  options.on_text = [&](size_t, int sample, const std::string& piece) {
    api::CodeStop& stop = stops[size_t(sample)];
    return show(sample, stop.push(piece)) && !stop.stopped();
  };
  const auto completions = complete(engine, *loaded.tokenizer, {request}, options)[0];
  for (int i = 0; i < int(config.n); ++i) {
    api::CodeStop& stop = stops[size_t(i)];
    show(i, stop.finish());
    const bool cut = *stop.reason() != 0;
    if (common.json)
      print_text(dump_json(Json{{"text", texts[size_t(i)]},
                                {"finish_reason", cut ? "stop" : engine::finish_reason_name(completions[size_t(i)].finish)},
                                {"stop_reason", cut ? Json(stop.reason()) : Json()},
                                {"language", place.language->name},
                                {"fim", prompt.family.empty() ? Json() : Json(prompt.family)},
                                {"prompt_tokens", prompt.ids.size()},
                                {"completion_tokens", completions[size_t(i)].ids.size()},
                                {"truncated", prompt.truncated()}}) +
                 "\n");
    else if (!streams)
      print_text(str("--- ", i + 1, " of ", config.n, "\n", texts[size_t(i)], "\n"));
    else
      print_text("\n");
  }
  return interrupted() ? int(ErrorKind::kInterrupted) : 0;
}

struct TestsConfig {
  stages::InferenceArgs model;
  engine::EngineConfig engine;
  std::string file, module, output;
  std::vector<std::string> function;
  eval::TestWriterArgs writer;
  int64_t mutants = 0;
  double test_seconds = 2;

  void visit(Fields& v) {
    v("file", file, "the Python file to test");
    v.group("", model);
    v("function", function, "test only this function or class; may be given several times");
    v("module", module, "how the tests import the file; empty: its name");
    v("output", output, "write the tests to this file; empty: standard output");
    v("mutants", mutants, "change the code in up to so many places and say which changes the tests notice", Range{0, 1000});
    v("test_seconds", test_seconds, "seconds that one test may take", Range{0.01, 600.0});
    v.group("", writer);
    v.group("engine", engine);
  }
};

Json to_json(const eval::TestedCode& c, const std::string& file, const std::vector<tasks::MutantRun>& mutants) {
  Json tests = Json::array(), changed = Json::array();
  for (size_t i = 0; i < c.selection.tests.size(); ++i) {
    int64_t killed = 0;
    for (const tasks::MutantRun& m : mutants) killed += m.failed_by[i];
    tests.push_back({{"function", c.selection.tests[i].target}, {"body", c.selection.tests[i].body}});
    if (!mutants.empty()) tests.back()["fails_on_mutants"] = killed;
  }
  for (const tasks::MutantRun& m : mutants) changed.push_back({{"change", m.change}, {"noticed", m.killed()}});
  Json out = {{"file", file},
              {"tests", tests},
              {"answers", c.answers.size()},
              {"candidates", c.selection.candidates},
              {"failing", c.selection.failing},
              {"not_asserting", c.selection.not_asserting},
              {"flaky", c.selection.flaky},
              {"left_out", c.reading.dropped}};
  if (!mutants.empty()) out["mutants"] = changed;
  return out;
}

int run_tests(const TestsConfig& config, const CommonOptions& common) {
  if (config.file.empty()) fail_usage("missing: the Python file to test");
  eval::TestedCode code;
  code.code = read_file(config.file);
  code.options.functions = config.function;
  code.options.module = config.module.empty() ? std::filesystem::path(config.file).stem().string() : config.module;
  code.options.test_seconds = config.test_seconds;
  const verify::judge::Judge judge({.warm = 2});
  const tasks::UnitTests tests(judge);
  tests.functions(code.code);  // what is no Python is found out before the model is loaded
  const stages::LoadedModel loaded = stages::load(config.model, tensor::parse_device(common.device));
  engine::Engine engine(*loaded.model, config.engine);
  install_interrupt_handler();
  std::vector<eval::TestedCode> codes = {std::move(code)};
  eval::write_tests(codes, engine, *loaded.tokenizer, loaded.chat.get(), loaded.stop_ids, tests, config.writer,
                    [](int64_t, int64_t) { return !interrupted(); });
  throw_if_interrupted();
  const eval::TestedCode& done = codes[0];
  const auto& kept = done.selection.tests;
  const std::string file = kept.empty() ? "" : tasks::test_file(kept, done.options.module);
  std::vector<tasks::MutantRun> mutants;
  if (!kept.empty()) mutants = tests.run_mutants(tests.mutants(done.code, done.options, config.mutants), kept, done.options);
  if (!config.output.empty() && !kept.empty()) write_file_atomic(config.output, file);
  if (common.json)
    print_text(dump_json(to_json(done, file, mutants)) + "\n");
  else if (config.output.empty())
    print_text(file);
  log_info(kept.size(), " tests of ", done.selection.candidates, " that ", done.answers.size(), " answers held: ", done.selection.failing,
           " do not pass, ", done.selection.not_asserting, " assert nothing, ", done.selection.flaky, " passed once only",
           done.enough ? "" : "; fewer than wanted: try --rounds or --num_samples");
  if (!mutants.empty()) {
    int64_t noticed = 0;
    for (const tasks::MutantRun& m : mutants) {
      noticed += m.killed();
      if (!m.killed()) log_info("not noticed: ", m.change);
    }
    log_info(noticed, " of ", mutants.size(), " changes of the code are noticed");
  }
  return kept.empty() ? 1 : 0;
}

}  // namespace

Command cmd_code_complete() {
  return make_command<CompleteConfig>("code complete", "the text that belongs at a place of a file", run_complete, {"place"});
}
Command cmd_code_tests() {
  return make_command<TestsConfig>("code tests", "unit tests for a Python file, run before they are shown", run_tests, {"file"});
}

}  // namespace r1::app
