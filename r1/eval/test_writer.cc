#include "r1/eval/test_writer.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <map>
#include <mutex>
#include <thread>

#include "r1/base/error.h"
#include "r1/base/strings.h"
#include "r1/base/threads.h"
#include "r1/data/prompt.h"

namespace r1::eval {

using tasks::CodeFunction;
using tasks::UnitTest;

void TestWriterArgs::visit(Fields& v) {
  v("num_samples", num_samples, "answers a function and round", Range{1, 1024});
  v("max_new_tokens", max_new_tokens, "longest answer, in tokens", Range{8, 1e6});
  v("min_tests", min_tests, "tests wanted of each function; with fewer it is asked about again", Range{1, 1000});
  v("max_tests", max_tests, "tests kept of each function", Range{1, 1000});
  v("rounds", rounds, "how often a function is asked about", Range{1, 100});
  v("temperature", temperature, "of the first round; later ones are warmer", Range{0, 2});
  v("top_p", top_p, "sample from the likeliest tokens that hold this much probability", Range{0, 1});
  v("seed", seed, "same seed, same tests", Range{0, 9e18});
}

TestPrompt test_prompt(const std::string& code, const CodeFunction& function, const text::Tokenizer& tokenizer,
                       const text::ChatTemplate* chat) {
  TestPrompt out;
  const std::string begun = function.method ? "def test_" + function.name + "():\n" : "assert " + function.name + "(";
  const std::string trimmed_code(trim(code));
  if (chat) {
    const std::string form = function.method
                                 ? "Write test functions for pytest, each with its own object and one or two assert statements."
                                 : "Write assert statements only, one a line, each with other arguments and the value that comes back.";
    const std::string request = "Test the " + std::string(function.method ? "class" : "function") + " `" + function.name +
                                "` of this Python module:\n```python\n" + trimmed_code + "\n```\n" + form +
                                " Begin with simple cases, then edge cases. Do not repeat the module.";
    const data::PromptMaker prompts(tokenizer, chat,
                                    {.prompt_format = "chat", .system_prompt = "", .prompt_suffix = "```python\n" + begun});
    out.ids = prompts.chat_prompt({{{"user", request}}, {}});
  } else {
    const std::string request = trimmed_code + "\n\n\n# Tests of " + function.name + ", each with other arguments.\n" + begun;
    out.ids = tokenizer.encode(request, {.add_special_tokens = tokenizer.add_bos()});
    out.stop = {"\nif __name__", "\nprint("};
    if (!function.method) out.stop.insert(out.stop.end(), {"\ndef ", "\nclass "});
  }
  out.stop.push_back("\n```");
  out.begun = begun;
  return out;
}

namespace {

// work(i) for each, on as many threads as there are CPUs; what one throws is thrown here, once all are done.
void for_each_of(size_t count, const std::function<void(size_t)>& work) {
  std::atomic<size_t> next = 0;
  std::exception_ptr error;
  std::mutex mutex;
  std::vector<std::thread> threads;
  for (size_t t = std::min<size_t>(count, size_t(usable_cpus())); t > 0; --t)
    threads.emplace_back([&] {
      for (size_t i; (i = next++) < count;) try {
          work(i);
        } catch (...) {
          const std::lock_guard lock(mutex);
          error = std::current_exception();
        }
    });
  for (std::thread& t : threads) t.join();
  if (error) std::rethrow_exception(error);
}

std::map<std::string, int64_t> counts(const std::vector<UnitTest>& tests) {
  std::map<std::string, int64_t> out;
  for (const UnitTest& t : tests) ++out[t.target];
  return out;
}

std::string base_of(const std::string& function) {
  return function.substr(0, function.find('.'));
}

void find_functions(TestedCode& c, const tasks::UnitTests& tests) {
  std::vector<CodeFunction> all = tests.functions(c.code);
  if (c.options.functions.empty()) {
    c.functions = std::move(all);
  } else {
    for (const std::string& wanted : c.options.functions) {
      const auto at = std::ranges::find(all, base_of(wanted), &CodeFunction::name);
      if (at == all.end()) {
        std::string names;
        for (const CodeFunction& f : all) names += (names.empty() ? "" : ", ") + f.name;
        fail_usage("no function or class '", printable(wanted), "' in the code; it has: ", names.empty() ? "none" : names);
      }
      c.functions.push_back(*at);
    }
  }
  if (c.functions.empty()) fail_usage("the code has no public function or class at the margin to test");
}

// At most `most` of each function, the first ones.
void cut(std::vector<UnitTest>& tests, int64_t most) {
  std::map<std::string, int64_t> seen;
  std::erase_if(tests, [&](const UnitTest& t) { return ++seen[t.target] > most; });
}

struct Asked {
  size_t code;
  TestPrompt prompt;
};

}  // namespace

void write_tests(std::vector<TestedCode>& codes, engine::Engine& engine, const text::Tokenizer& tokenizer, const text::ChatTemplate* chat,
                 const std::vector<text::TokenId>& stop_ids, const tasks::UnitTests& tests, const TestWriterArgs& args,
                 const std::function<bool(int64_t, int64_t)>& progress) {
  for_each_of(codes.size(), [&](size_t i) { find_functions(codes[i], tests); });
  bool stopped = false;
  for (int64_t round = 0; round < args.rounds && !stopped; ++round) {
    std::vector<Asked> asked;
    std::vector<engine::CompletionRequest> requests;
    for (size_t i = 0; i < codes.size(); ++i) {
      if (codes[i].enough) continue;
      const auto have = counts(codes[i].selection.tests);
      for (const CodeFunction& f : codes[i].functions) {
        if (have.contains(f.name) && have.at(f.name) >= args.min_tests) continue;
        asked.push_back({i, test_prompt(codes[i].code, f, tokenizer, chat)});
        engine::CompletionRequest r;
        r.prompt = asked.back().prompt.ids;
        r.stop = asked.back().prompt.stop;
        r.n = int(args.num_samples);
        r.sampling.temperature = std::min(args.temperature + 0.2 * double(round), 2.0);
        r.sampling.top_p = args.top_p;
        r.sampling.max_new_tokens = args.max_new_tokens;
        r.sampling.seed = uint64_t(args.seed) + uint64_t(round) * 1000003 + requests.size();
        r.sampling.stop_ids = stop_ids;
        requests.push_back(std::move(r));
      }
    }
    if (requests.empty()) break;
    engine::CompletionOptions options;
    options.on_step = [&](int64_t done, int64_t total, const engine::EngineStats&) {
      stopped = progress && !progress(done, total);
      return !stopped;
    };
    const auto completions = complete(engine, tokenizer, requests, options);
    std::vector<bool> changed(codes.size(), false);
    for (size_t k = 0; k < asked.size(); ++k)
      for (const engine::Completion& c : completions[k]) {
        codes[asked[k].code].answers.push_back(asked[k].prompt.begun + c.text);
        changed[asked[k].code] = true;
      }
    for_each_of(codes.size(), [&](size_t i) {
      TestedCode& c = codes[i];
      if (!changed[i]) return;
      c.reading = tests.read(c.code, c.answers, c.options);
      c.selection = tests.select(c.code, c.reading.tests, c.options);
      cut(c.selection.tests, args.max_tests);
      const auto have = counts(c.selection.tests);
      c.enough = std::ranges::all_of(c.functions,
                                     [&](const CodeFunction& f) { return have.contains(f.name) && have.at(f.name) >= args.min_tests; });
    });
  }
}

}  // namespace r1::eval
