// Asks a model for unit tests of Python code and keeps those that hold (tasks/unit_tests.h). Any number of modules share the engine's batches.
//
// A chat model is shown the module and asked for asserts, a line each, and its answer is begun for it, "assert f("; a model without a chat
// template goes on behind the module, where the same words stand. What has too few tests after a round is asked for again, warmer and with
// other random numbers.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "r1/engine/completion.h"
#include "r1/tasks/unit_tests.h"
#include "r1/text/chat_template.h"

namespace r1::eval {

struct TestWriterArgs {
  int64_t num_samples = 8, max_new_tokens = 160, min_tests = 3, max_tests = 10, rounds = 2, seed = 0;
  double temperature = 0.8, top_p = 0.95;

  void visit(Fields& v);
};

// One module and what was made of it. The caller fills code and options.
struct TestedCode {
  std::string code;
  tasks::UnitTestOptions options;

  std::vector<tasks::CodeFunction> functions;  // that were asked about
  std::vector<std::string> answers;            // with the beginning that was given
  tasks::TestReading reading;
  tasks::TestSelection selection;  // its tests: at most max_tests a function
  bool enough = false;             // every function has min_tests
};

// `progress`: finished and total samples of a round; false stops (what is there by then is read and run).
void write_tests(std::vector<TestedCode>& codes, engine::Engine& engine, const text::Tokenizer& tokenizer, const text::ChatTemplate* chat,
                 const std::vector<text::TokenId>& stop_ids, const tasks::UnitTests& tests, const TestWriterArgs& args,
                 const std::function<bool(int64_t, int64_t)>& progress = {});

// The prompt about one function, and the beginning of its answer, which is its end.
struct TestPrompt {
  std::vector<text::TokenId> ids;
  std::string begun;
  std::vector<std::string> stop;
};
TestPrompt test_prompt(const std::string& code, const tasks::CodeFunction& function, const text::Tokenizer& tokenizer,
                       const text::ChatTemplate* chat);

}  // namespace r1::eval
