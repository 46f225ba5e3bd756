// Source code in other words: without its comments, or with other names of a function's own variables. The program stays what it was.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "r1/base/rng.h"
#include "r1/corpus/code_spans.h"

namespace r1::corpus {

struct StripOptions {
  bool licence = true;      // comments in front of all code stay if one of them speaks of a licence or copyright
  bool docstrings = false;  // Python's go too; where a block has nothing else, `pass` stands there then
};

// Comments out, lines that held nothing else with them. What a tool reads stays: a first line #!, Python's line of the encoding, Go's //go: and
// // +build, TypeScript's /// <reference and @ts-. `removed` counts. Nothing: there is none, or the code is not understood (code_spans.h; Go files
// whose comments are C).
struct Stripped {
  std::string code;
  int64_t removed = 0;
};
std::optional<Stripped> strip_comments(std::string_view code, CodeKind kind, const StripOptions& options);

struct Renamed {
  std::string code;
  std::vector<std::pair<std::string, std::string>> names;  // before, after; one entry a function and name
};

// Python: variables of functions get other names, each in its whole function alike. A function is left alone if another function, a class or a lambda
// is in it, or one of global, nonlocal, eval, exec, locals, vars, globals, dir, or import *; a name, if it stands in a text or comment of the function
// (f-strings, formats, docstrings) or comes from an import. Parameters change only where no call of the file could mean them by name: none has
// name= or **, the function has no decorator and is no test or __special__. New names stand nowhere in the file. Nothing: no name changed.
std::optional<Renamed> rename_python_variables(std::string_view code, Rng& rng);

}  // namespace r1::corpus
