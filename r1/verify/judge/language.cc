#include "r1/verify/judge/language.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>

#include "r1/base/error.h"
#include "r1/base/file.h"

namespace r1::verify::judge {
namespace {

constexpr int64_t kGiB = int64_t{1} << 30;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = char(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// Where a tool is, links followed. A rustup shim only works with its owner's home; the compiler behind it works anywhere.
std::optional<fs::path> find_tool(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::string folders = str("/usr/bin:/bin:/usr/local/bin:", path ? path : "");
  const char* home = std::getenv("HOME");
  if (name == "rustc" && home) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(fs::path(home) / ".rustup/toolchains", error)) {
      const fs::path compiler = entry.path() / "bin/rustc";
      if (::access(compiler.c_str(), X_OK) == 0) return compiler;
    }
  }
  for (size_t begin = 0; begin <= folders.size();) {
    const size_t end = std::min(folders.find(':', begin), folders.size());
    const fs::path candidate = fs::path(folders.substr(begin, end - begin)) / name;
    begin = end + 1;
    std::error_code error;
    if (!candidate.is_absolute() || ::access(candidate.c_str(), X_OK) != 0 || !fs::is_regular_file(candidate, error)) continue;
    const fs::path real = fs::canonical(candidate, error);
    if (error || real.filename() == "rustup") continue;
    return real;
  }
  return std::nullopt;
}

struct FoundTool {
  std::string inside;  // empty: not found
  std::vector<sandbox::Mount> mounts;
};

// Inside /usr a tool keeps its place. Elsewhere the folder above its bin/ is mounted, so that it finds its libraries.
FoundTool locate(const std::string& name) {
  static std::mutex mutex;
  static std::map<std::string, FoundTool> known;
  std::lock_guard lock(mutex);
  if (const auto it = known.find(name); it != known.end()) return it->second;
  FoundTool found;
  if (const auto path = find_tool(name)) {
    const std::string text = path->string();
    if (text.starts_with("/usr/") || text.starts_with("/bin/")) {
      found.inside = text;
    } else {
      const fs::path root = path->parent_path().filename() == "bin" ? path->parent_path().parent_path() : path->parent_path();
      const fs::path inside = fs::path("/opt/toolchain") / name;
      found.inside = (inside / fs::relative(*path, root)).string();
      found.mounts.push_back({root, inside, false});
    }
  }
  return known[name] = found;
}

std::vector<sandbox::Mount> existing(const std::vector<std::string>& settings) {
  std::vector<sandbox::Mount> out;
  for (const std::string& setting : settings) {
    const fs::path path = setting;
    const std::string wanted = path.filename();
    std::error_code error;
    if (!wanted.ends_with('*')) {
      if (fs::exists(path, error)) out.push_back({fs::canonical(path, error), path, false});
      continue;
    }
    for (const auto& entry : fs::directory_iterator(path.parent_path(), error))
      if (entry.path().filename().string().starts_with(wanted.substr(0, wanted.size() - 1)))
        out.push_back({fs::canonical(entry.path(), error), entry.path(), false});
  }
  return out;
}

// The identifier after `word` at or after `from`; "" if there is none.
std::string name_behind(std::string_view code, std::string_view word, size_t from) {
  for (size_t at = code.find(word, from); at != std::string_view::npos; at = code.find(word, at + 1)) {
    if (at > 0 && (std::isalnum(static_cast<unsigned char>(code[at - 1])) || code[at - 1] == '_')) continue;
    size_t begin = at + word.size();
    while (begin < code.size() && std::isspace(static_cast<unsigned char>(code[begin]))) ++begin;
    size_t end = begin;
    while (end < code.size() && (std::isalnum(static_cast<unsigned char>(code[end])) || code[end] == '_')) ++end;
    if (end > begin && begin > at + word.size()) return std::string(code.substr(begin, end - begin));
  }
  return "";
}

// The code with what stands inside braces, strings and comments blanked out.
std::string top_level(const std::string& code) {
  std::string out = code;
  int depth = 0;
  for (size_t i = 0; i < code.size(); ++i) {
    const std::string_view rest = std::string_view(code).substr(i);
    size_t skip = 0;
    if (rest.starts_with("//")) skip = std::min(rest.find('\n'), rest.size());
    if (rest.starts_with("/*")) skip = std::min(rest.find("*/", 2), rest.size() - 2) + 2;
    if (rest[0] == '"' || rest[0] == '\'') {
      for (skip = 1; skip < rest.size() && rest[skip] != rest[0] && rest[skip] != '\n'; ++skip) skip += rest[skip] == '\\';
      skip = std::min(skip + 1, rest.size());
    }
    if (skip > 0) {
      std::fill_n(out.begin() + long(i), skip, ' ');
      i += skip - 1;
      continue;
    }
    depth -= code[i] == '}';
    if (depth > 0) out[i] = ' ';
    depth += code[i] == '{';
  }
  return out;
}

// Java wants a public class in a file of its name; main() may be in any class.
std::pair<std::string, std::string> java_names(const std::string& code) {
  const std::string top = top_level(code), shown = name_behind(top, "public class", 0);
  std::string main_class = shown;
  const size_t main = code.find("static void main");
  for (size_t at = 0; main != std::string::npos && (at = top.find("class", at)) != std::string::npos && at < main; ++at) {
    const std::string name = name_behind(top.substr(0, main), "class", at);
    if (!name.empty()) main_class = name;
  }
  if (main_class.empty()) main_class = "Main";
  return {(shown.empty() ? main_class : shown) + ".java", main_class};
}

// Ada wants a file of the main procedure's name.
std::string ada_file(const std::string& code) {
  const std::string name = lower(name_behind(lower(code), "procedure", 0));
  return (name.empty() ? "main" : name) + ".adb";
}

std::string filled(std::string text, const std::map<std::string, std::string>& values) {
  for (const auto& [key, value] : values)
    for (size_t at = text.find(key); at != std::string::npos; at = text.find(key, at + value.size())) text.replace(at, key.size(), value);
  return text;
}

std::vector<Language> make_languages() {
  const std::vector<std::string> java_heap = {"-Xmx256m", "-Xss64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"};
  std::vector<std::string> java_run = {"{tool:java}"};
  java_run.insert(java_run.end(), java_heap.begin(), java_heap.end());
  java_run.insert(java_run.end(), {"-cp", "/box", "{main}"});
  return {
      {"python", {"py", "python3", "pypy", "pypy3"}, "solution.py", {}, {}, {"python3"}, {}, 0},
      {"c",
       {"gnu c11", "gnu c17"},
       "main.c",
       {"{tool:gcc}", "-std=gnu17", "-O2", "-w", "-o", "{out}", "{file}", "-lm"},
       {"{out}"},
       {"gcc"},
       {},
       0},
      {"cpp",
       {"c++", "cc", "cxx", "gnu c++17", "gnu c++20", "c++17", "c++20"},
       "main.cpp",
       {"{tool:g++}", "-std=gnu++20", "-O2", "-w", "-o", "{out}", "{file}"},
       {"{out}"},
       {"g++"},
       {},
       0},
      {"java",
       {"java 8", "java 11", "java 17", "java 21"},
       "",
       {"{tool:javac}", "-J-Xmx256m", "-J-XX:+UseSerialGC", "-J-XX:TieredStopAtLevel=1", "-nowarn", "-d", "/box", "{file}"},
       java_run,
       {"javac", "java"},
       {},
       4 * kGiB},
      {"javascript",
       {"js", "node", "node.js", "nodejs"},
       "main.js",
       {},
       {"{tool:node}", "--stack-size=65500", "{file}"},
       {"node"},
       {},
       4 * kGiB},
      {"go",
       {"golang"},
       "main.go",
       {"/usr/bin/env", "GOCACHE=/box/.go", "GOPATH=/box/.gopath", "GO111MODULE=off", "{tool:go}", "build", "-o", "{out}", "{file}"},
       {"{out}"},
       {"go"},
       {},
       4 * kGiB},
      {"rust",
       {"rs", "rust 2021"},
       "main.rs",
       {"{tool:rustc}", "--edition=2021", "-O", "-A", "warnings", "-C", "linker={tool:gcc}", "-o", "{out}", "{file}"},
       {"{out}"},
       {"rustc", "gcc"},
       {},
       2 * kGiB},
      {"bash", {"sh", "shell"}, "main.sh", {}, {"{tool:bash}", "{file}"}, {"bash"}, {}, 0},
      {"perl", {"pl"}, "main.pl", {}, {"{tool:perl}", "{file}"}, {"perl"}, {}, 0},
      {"ruby", {"rb"}, "main.rb", {}, {"{tool:ruby}", "{file}"}, {"ruby"}, {}, 0},
      {"php", {}, "main.php", {}, {"{tool:php}", "{file}"}, {"php"}, {}, 0},
      {"pascal",
       {"pas", "fpc", "free pascal"},
       "main.pas",
       {"{tool:fpc}", "-O2", "-v0", "-o{out}", "{file}"},
       {"{out}"},
       {"fpc"},
       {"/etc/fpc*"},
       0},
      {"fortran", {"f90", "f95"}, "main.f90", {"{tool:gfortran}", "-O2", "-w", "-o", "{out}", "{file}"}, {"{out}"}, {"gfortran"}, {}, 0},
      {"ada", {"adb", "gnat"}, "", {"{tool:gnatmake}", "-q", "-O2", "-o", "{out}", "{file}"}, {"{out}"}, {"gnatmake", "gcc"}, {}, 0},
      {"tcl", {"tclsh"}, "main.tcl", {}, {"{tool:tclsh}", "{file}"}, {"tclsh"}, {}, 0},
  };
}

bool has(std::string_view code, std::string_view what) {
  return code.find(what) != std::string_view::npos;
}

}  // namespace

const std::vector<Language>& languages() {
  static const std::vector<Language> all = make_languages();
  return all;
}

const Language* find_language(std::string_view name) {
  const std::string wanted = lower(name);
  for (const Language& l : languages())
    if (l.name == wanted || std::find(l.aliases.begin(), l.aliases.end(), wanted) != l.aliases.end()) return &l;
  return nullptr;
}

const Language& guess_language(std::string_view code) {
  static constexpr std::pair<std::string_view, std::string_view> kSigns[] = {
      {"#include <iostream", "cpp"}, {"#include <bits/", "cpp"}, {"using namespace std", "cpp"}, {"std::", "cpp"},
      {"#include <", "c"},           {"fn main()", "rust"},      {"package main", "go"},         {"static void main", "java"},
      {"console.log", "javascript"}, {"#!/bin/bash", "bash"},    {"#!/bin/sh", "bash"},          {"#!/usr/bin/perl", "perl"},
      {"use strict;", "perl"},       {"<?php", "php"},           {"Ada.Text_IO", "ada"},         {"WriteLn(", "pascal"},
      {"writeln(", "pascal"},        {"end program", "fortran"}};
  for (const auto& [sign, name] : kSigns)
    if (has(code, sign)) return *find_language(name);
  return *find_language("python");
}

Build prepare_build(const Language& language, const std::string& code) {
  Build build;
  std::map<std::string, std::string> values;
  std::string file = language.file;
  if (language.name == "java") std::tie(file, values["{main}"]) = java_names(code);
  if (language.name == "ada") file = ada_file(code);
  values["{file}"] = file;
  values["{out}"] = "/box/program";
  for (const std::string& tool : language.needs) {
    const FoundTool found = locate(tool);
    if (found.inside.empty()) {
      build.missing = str(tool, " (", language.name, ") is not installed, or not in PATH");
      return build;
    }
    values["{tool:" + tool + "}"] = found.inside;
    build.mounts.insert(build.mounts.end(), found.mounts.begin(), found.mounts.end());
  }
  const auto settings = existing(language.settings);
  build.mounts.insert(build.mounts.end(), settings.begin(), settings.end());
  build.files = {{file, code}};
  for (const std::string& part : language.compiler) build.compiler.push_back(filled(part, values));
  for (const std::string& part : language.command) build.command.push_back(filled(part, values));
  return build;
}

}  // namespace r1::verify::judge
