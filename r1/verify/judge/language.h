// The languages that programs may be written in: names, files, commands. A toolchain is taken where it is found; nothing is installed. What
// is missing is said by name, so that a submission in that language gets the verdict "toolchain missing", never a silent 0.
//
//   python c cpp java javascript go rust bash perl ruby php pascal fortran ada tcl
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "r1/verify/sandbox/sandbox.h"

namespace r1::verify::judge {

struct Language {
  std::string name;
  std::vector<std::string> aliases;  // fence tags and names in data sets, lower case: "cpp", "c++", "cc", "gnu c++17"
  // Commands; {file}: the source, {stem}: it without its ending, {out}: the program, {main}: Java's main class. An empty compiler: none.
  std::string file;
  std::vector<std::string> compiler, command;
  std::vector<std::string> needs;  // tools looked for in PATH; commands name them as {tool:name}
  std::vector<std::string>
      settings;              // files and folders outside /usr that the tools read, mounted if they are there; '*' at the end of a name
  int64_t memory_floor = 0;  // address space that its runtime reserves before the program does anything
};

const std::vector<Language>& languages();
// By name or alias, any case; null if there is none such.
const Language* find_language(std::string_view name);
// The language a program seems to be written in, by its #include, fn main(), import .. words; python if nothing speaks for another.
const Language& guess_language(std::string_view code);

// A language's commands on this machine, for one program.
struct Build {
  std::string missing;  // not empty: what this machine lacks: "rustc (Rust) is not installed"
  std::vector<std::pair<std::string, std::string>> files;
  std::vector<std::string> compiler, command;
  std::vector<sandbox::Mount> mounts;
};
Build prepare_build(const Language& language, const std::string& code);

}  // namespace r1::verify::judge
