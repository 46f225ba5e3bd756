#include "r1/corpus/reader.h"

#include <glob.h>

#include <algorithm>
#include <cctype>
#include <optional>

#include "r1/base/error.h"
#include "r1/base/strings.h"
#include "r1/corpus/encoding.h"
#include "r1/corpus/licence.h"
#include "r1/corpus/reader_parts.h"
#include "r1/corpus/roff.h"
#include "r1/data/find_files.h"
#include "r1/data/table_file.h"
#include "r1/data/unpack.h"
#include "r1/text/unicode.h"

namespace r1::corpus {

namespace {

namespace fs = std::filesystem;
using namespace std::literals;

struct Kind {
  ReaderKind shown;
  MakeReader open = nullptr;  // null: refused
  const char* way_out = "";   // of a refused one
};

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      {{"warc", "WARC: HTML and text of HTTP responses, and WET's text", {".warc", ".wet"}}, read_warc},
      {{"text", "plain text, a document a file; above 8 MiB cut at empty lines", {".txt", ".text", ".log", ".rst"}}, read_text},
      {{"markdown", "Markdown, its front matter as fields", {".md", ".markdown", ".mdx"}}, read_markdown},
      {{"code", "source code, the language by its ending, the licence by LICENSE files above it", {}}, read_code},
      {{"html", "a web page, handed on as HTML", {".html", ".htm", ".xhtml", ".shtml"}}, read_html},
      {{"jsonl", "JSON lines: texts, conversations, problems", {".jsonl", ".ndjson"}}, read_jsonl},
      {{"json", "a JSON list of the same rows", {".json"}}, read_json},
      {{"chat", "JSON rows taken as conversations (chat API, ShareGPT, Alpaca), whatever texts they have", {}}, read_json},
      {{"problems", "JSON rows taken as problems with solutions (GSM8K, MATH)", {}}, read_json},
      {{"csv", "CSV with a header", {".csv"}}, read_csv},
      {{"tsv", "tab separated values with a header", {".tsv", ".tab"}}, read_tsv},
      {{"parquet", "Parquet, through the plug-in libr1_parquet.so", {".parquet"}}, read_parquet},
      {{"arrow", "Arrow IPC files and streams, Feather 2, through the same", {".arrow", ".feather"}}, read_arrow},
      {{"wikipedia", "MediaWiki XML dumps: articles as plain text", {}}, read_wikipedia},
      {{"stackexchange", "StackExchange's Posts.xml: questions with their answers", {}}, read_stackexchange},
      {{"epub", "EPUB books, chapters in order", {".epub"}}, read_epub},
      {{"latex", "LaTeX, as arXiv has it (in a .tar.gz with its parts)", {".tex", ".latex", ".ltx"}}, read_latex},
      {{"mbox", "mail: mbox and single messages", {".mbox", ".mbx", ".eml"}}, read_mbox},
      {{"gutenberg", "Project Gutenberg's text files without their licence text", {}}, read_gutenberg},
      {{"subtitles", "SubRip and WebVTT subtitles: what is said", {".srt", ".vtt"}}, read_subtitles},
      {{"man", "manual pages (man, mdoc)", {}}, read_man},
      {{"pdf", "PDF, through pdftotext where that is installed", {".pdf"}}, read_pdf},
      {{"tar", "tar: each member by its own kind", {".tar", ".tgz", ".tbz2", ".txz"}}, read_tar},
      {{"webdataset", "tar of samples: members that share a key", {}}, read_webdataset},
      {{"zip", "zip: each entry by its own kind", {".zip"}}, read_zip},
      {{"office", "refused: Office files", {".docx", ".xlsx", ".pptx", ".odt"}},
       nullptr,
       "an Office file; save it as text, HTML or CSV (UTF-8)"},
      {{"7z", "refused: 7z and RAR archives", {".7z", ".rar"}}, nullptr, "a 7z or RAR archive; unpack it, or pack it anew as .tar.zst"},
  };
  return all;
}

const Kind* find_kind(std::string_view name) {
  for (const Kind& kind : kinds())
    if (kind.shown.name == name) return &kind;
  return nullptr;
}

struct Language {
  std::string_view endings, name;
};
// By ending, in lower case; then files whose whole name tells.
constexpr Language kLanguages[] = {{" .py .pyi .pyx ", "Python"},
                                   {" .c .h ", "C"},
                                   {" .cc .cpp .cxx .hpp .hh .hxx .c++ .inl ", "C++"},
                                   {" .cu .cuh ", "CUDA"},
                                   {" .java ", "Java"},
                                   {" .js .mjs .cjs .jsx ", "JavaScript"},
                                   {" .ts .tsx ", "TypeScript"},
                                   {" .go ", "Go"},
                                   {" .rs ", "Rust"},
                                   {" .rb ", "Ruby"},
                                   {" .php ", "PHP"},
                                   {" .cs ", "C#"},
                                   {" .fs .fsx ", "F#"},
                                   {" .swift ", "Swift"},
                                   {" .kt .kts ", "Kotlin"},
                                   {" .scala ", "Scala"},
                                   {" .hs .lhs ", "Haskell"},
                                   {" .ml .mli ", "OCaml"},
                                   {" .clj .cljs ", "Clojure"},
                                   {" .ex .exs ", "Elixir"},
                                   {" .erl .hrl ", "Erlang"},
                                   {" .lua ", "Lua"},
                                   {" .pl .pm ", "Perl"},
                                   {" .r ", "R"},
                                   {" .jl ", "Julia"},
                                   {" .m ", "MATLAB or Objective-C"},
                                   {" .mm ", "Objective-C++"},
                                   {" .f .f90 .f95 .for ", "Fortran"},
                                   {" .sh .bash .zsh ", "Shell"},
                                   {" .ps1 ", "PowerShell"},
                                   {" .sql ", "SQL"},
                                   {" .css .scss .less ", "CSS"},
                                   {" .vue ", "Vue"},
                                   {" .dart ", "Dart"},
                                   {" .groovy .gradle ", "Groovy"},
                                   {" .lisp .cl .el ", "Lisp"},
                                   {" .scm .rkt ", "Scheme"},
                                   {" .asm .s ", "Assembly"},
                                   {" .v .sv .vhd .vhdl ", "Verilog or VHDL"},
                                   {" .proto ", "Protocol Buffers"},
                                   {" .cmake ", "CMake"},
                                   {" .yml .yaml ", "YAML"},
                                   {" .toml ", "TOML"},
                                   {" .ipynb ", "Jupyter"},
                                   {" .zig ", "Zig"},
                                   {" .nim ", "Nim"},
                                   {" .d ", "D"},
                                   {" .pas ", "Pascal"},
                                   {" .tcl ", "Tcl"},
                                   {" .vim ", "Vim script"},
                                   {" .lean ", "Lean"},
                                   {" .thy ", "Isabelle"},
                                   {" .sol ", "Solidity"},
                                   {" .awk ", "Awk"},
                                   {" .adb .ads ", "Ada"},
                                   {" .mk ", "Makefile"}};
constexpr Language kNames[] = {{" Makefile makefile GNUmakefile ", "Makefile"},
                               {" CMakeLists.txt ", "CMake"},
                               {" Dockerfile ", "Dockerfile"},
                               {" Rakefile Gemfile ", "Ruby"},
                               {" BUILD BUILD.bazel WORKSPACE ", "Starlark"}};

// "name: value" lines as a mail has them.
bool begins_mail(std::string_view head) {
  constexpr std::string_view kFields[] = {"Return-Path:", "Received:", "Delivered-To:", "Message-ID:", "MIME-Version:", "X-Original-To:"};
  return std::ranges::any_of(kFields, [&](std::string_view field) { return head.starts_with(field); });
}
// What its bytes say; "" if they say nothing.
std::string kind_of_bytes(Input& input, const std::string& ending) {
  const std::string_view head = input.peek(size_t{1} << 13);
  const auto begins = [&](std::string_view magic) { return head.starts_with(magic); };
  if (data::begins_parquet(head)) return "parquet";
  if (data::begins_arrow(head)) return "arrow";
  if (begins("%PDF-")) return "pdf";
  if (begins("7z\xBC\xAF\x27\x1C") || begins("Rar!\x1A\x07")) return "7z";
  if (begins("PK\x03\x04")) {
    if (head.substr(std::min<size_t>(30, head.size())).starts_with("mimetypeapplication/epub") || ending == ".epub") return "epub";
    const std::string_view name = head.substr(std::min<size_t>(30, head.size()));
    if (name.starts_with("[Content_Types].xml") || name.starts_with("mimetypeapplication/vnd.oasis") || name.starts_with("_rels/"))
      return "office";
    return "zip";
  }
  if (begins("PK\x05\x06")) return "zip";
  if (begins("WARC/")) return "warc";
  if (begins_tar(head)) return begins_webdataset(input.peek(Input::kMaxPeek)) ? "webdataset" : "tar";
  // with nothing in it: the two blocks of zeros that end a tar
  const std::vector<std::string>& tars = find_kind("tar")->shown.endings;
  if (head.size() >= 1024 && head.find_first_not_of('\0') == std::string_view::npos && std::ranges::find(tars, ending) != tars.end())
    return "tar";
  return "";
}

// What its text says, where the name says nothing certain.
std::string kind_of_text(std::string_view head) {
  if (head.find("<mediawiki") < 4096) return "wikipedia";
  if (const size_t posts = head.find("<posts>"); posts < 4096 || (head.find("<row ") < 1024 && head.find("PostTypeId=") < 4096))
    return "stackexchange";
  if (begins_mbox(head) || begins_mail(head)) return "mbox";
  if (head.starts_with("WEBVTT")) return "subtitles";
  if (const size_t ours = std::min(head.find("Project Gutenberg"), head.find("PROJECT GUTENBERG")); ours < 2048) return "gutenberg";
  const std::string start = lower_ascii(trim(head).substr(0, 64));
  if (start.starts_with("<!doctype html") || start.starts_with("<html")) return "html";
  return "";
}

}  // namespace

std::string unpacked_name(std::string_view name) {
  std::string base(name.substr(name.find_last_of("/!") + 1));  // npos + 1 == 0
  const fs::path path(base);
  const std::string ending = lower_ascii(path.extension().string());
  return data::is_packed_ending(ending) ? path.stem().string() : base;
}
std::string ending_of(std::string_view name) {
  return lower_ascii(fs::path(unpacked_name(name)).extension().string());
}

std::string_view code_language(std::string_view name) {
  const std::string base = unpacked_name(name), key = " " + base + " ", ending = " " + ending_of(name) + " ";
  for (const Language& l : kNames)
    if (l.endings.find(key) != std::string_view::npos) return l.name;
  if (ending.size() > 2)
    for (const Language& l : kLanguages)
      if (l.endings.find(ending) != std::string_view::npos) return l.name;
  return "";
}

std::string kind_of_input(Input& input) {
  const std::string ending = ending_of(input.name());
  if (const std::string kind = kind_of_bytes(input, ending); !kind.empty()) return kind;
  const std::string_view bytes = input.peek(size_t{1} << 13);
  if (is_binary(bytes)) return "";
  std::string head;
  const bool utf16 = bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF");
  if (utf16)
    head = utf8_of_utf16(bytes.substr(2), bytes.starts_with("\xFE\xFF"));
  else
    head = bytes.starts_with("\xEF\xBB\xBF") ? bytes.substr(3) : bytes;

  // names that say what is in it
  constexpr std::string_view kSure[] = {"jsonl", "json", "csv", "tsv", "markdown", "html", "latex", "mbox", "subtitles", "warc"};
  for (const std::string_view name : kSure)
    for (const std::string& known : find_kind(name)->shown.endings)
      if (ending == known) return std::string(name);
  if (!code_language(input.name()).empty()) return "code";
  // .1 to .9, .3p, ... with roff in it
  if (ending.size() >= 2 && std::isdigit(static_cast<unsigned char>(ending[1])) && is_man_page(head)) return "man";
  if (const std::string kind = kind_of_text(head); !kind.empty()) return kind;
  if (is_man_page(head)) return "man";
  if (is_latex_document(head)) return "latex";
  const std::string_view start = trim(head);
  if (ending != ".txt" && start.starts_with('{') && start.find('"') < 16) return "json";
  if (ending != ".txt" && start.starts_with('[') && trim(start.substr(1)).starts_with('{')) return "json";
  if (ending == ".xml" || start.starts_with("<?xml")) return "";
  return "text";
}

namespace {

// Holds every document to what document.h promises, whatever kind it came from.
class Held : public Reader {
 public:
  Held(std::unique_ptr<Reader> reader, const ReadOptions& options) : reader_(std::move(reader)), most_(options.max_document_bytes) {}

  bool next(Document& d, Counts& counts) override {
    while (true) {
      d = {};
      if (!reader_->next(d, counts)) return false;
      std::erase(d.text, '\0');
      if (!is_utf8(d.text)) d.text = text::to_valid_utf8(d.text);
      d.text = with_plain_line_ends(std::move(d.text));
      for (std::string* field : {&d.source, &d.url, &d.title, &d.author, &d.date, &d.licence, &d.language})
        if (!is_utf8(*field)) *field = text::to_valid_utf8(*field);
      if (trim(d.text).empty())
        counts.broken(d.id(), "empty", int64_t(d.text.size()));
      else if (int64_t(d.text.size()) > most_)
        counts.broken(d.id(), "too_large", int64_t(d.text.size()));
      else
        return true;
    }
  }

 private:
  std::unique_ptr<Reader> reader_;
  int64_t most_;
};

std::string all_kinds() {
  std::string names;
  for (const Kind& kind : kinds())
    if (kind.open) names += (names.empty() ? "" : ", ") + kind.shown.name;
  return names;
}

}  // namespace

std::unique_ptr<Reader> open_as(const std::string& name, Input input, const Opening& opening) {
  const Kind* kind = find_kind(name);
  if (!kind) fail_usage("no reader is called '", printable(name), "'; there are: ", all_kinds());
  if (!kind->open) {
    fail_usage(input.name(), ": is ", kind->way_out);
  }
  const ReadOptions options = opening.options;
  return std::make_unique<Held>(kind->open(std::move(input), opening), options);
}

std::string kind_to_open(Input& input, const std::string& asked) {
  // what is asked for holds for the members of an archive too, but an archive is opened as what it is
  std::string kind = kind_of_input(input);
  const bool archive = kind == "tar" || kind == "zip" || kind == "webdataset";
  // how rows are to be taken says nothing of the form that they come in
  const bool rows = (asked == "chat" || asked == "problems") &&
                    (kind == "parquet" || kind == "arrow" || kind == "csv" || kind == "tsv" || kind == "jsonl");
  if (asked != "auto" && !archive && !rows) kind = asked;
  if (asked != "auto" && archive && (asked == "webdataset" || asked == "tar" || asked == "zip")) kind = asked;
  return kind;
}

std::unique_ptr<Reader> open_input(Input input, const Opening& opening) {
  if (opening.depth > kMaxArchiveDepth) return nullptr;
  const std::string kind = kind_to_open(input, opening.options.kind);
  return kind.empty() ? nullptr : open_as(kind, std::move(input), opening);
}

const std::vector<ReaderKind>& reader_kinds() {
  static const std::vector<ReaderKind> shown = [] {
    std::vector<ReaderKind> out;
    for (const Kind& kind : kinds()) out.push_back(kind.shown);
    return out;
  }();
  return shown;
}

namespace {

[[noreturn]] void fail_unknown(const std::string& path) {
  fail_usage(path, ": nothing here reads a file of its kind; if it is text, say --kind: ", all_kinds());
}

std::unique_ptr<Reader> open_path(const std::string& path, const ReadOptions& options, FolderLicences& licences) {
  Input input(fs::path{path});
  Opening opening{.options = options};
  if (!code_language(path).empty() || ending_of(path) == ".md") opening.licence = licences.of(path);
  return open_input(std::move(input), opening);
}

// One file after another; each is opened when its turn comes.
class Files : public Reader {
 public:
  Files(std::vector<std::string> paths, const ReadOptions& options) : paths_(std::move(paths)), options_(options) {}

  bool next(Document& d, Counts& counts) override {
    while (true) {
      if (reader_ && reader_->next(d, counts)) return true;
      reader_.reset();
      if (at_ == paths_.size()) return false;
      const std::string& path = paths_[at_++];
      if (std::error_code ignored; fs::is_regular_file(path, ignored) && fs::file_size(path, ignored) == 0) {
        counts.broken(path + "#0", "empty_file");
        continue;
      }
      try {
        reader_ = open_path(path, options_, licences_);
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::kUsage) throw;
        counts.broken(path + "#0", "refused_kind");
        continue;
      }
      if (!reader_) counts.broken(path + "#0", "unknown_kind");
    }
  }

 private:
  std::vector<std::string> paths_;
  ReadOptions options_;
  FolderLicences licences_;
  std::unique_ptr<Reader> reader_;
  size_t at_ = 0;
};

void add_folder(const fs::path& folder, std::vector<std::string>& out) {
  for (const fs::path& path : data::files_below(folder))
    if (!data::is_fetch_ledger(path)) out.push_back(path.string());
}

}  // namespace

std::string kind_of(const std::string& path) {
  Input input(fs::path{path});
  const std::string kind = kind_of_input(input);
  if (kind.empty()) fail_unknown(path);
  return kind;
}

std::unique_ptr<Reader> open_reader(const std::string& path, const ReadOptions& options) {
  FolderLicences licences;
  std::unique_ptr<Reader> reader = open_path(path, options, licences);
  if (!reader) fail_unknown(path);
  return reader;
}

std::vector<std::string> input_files(const std::vector<std::string>& named) {
  std::vector<std::string> paths;
  for (const std::string& name : named) {
    std::error_code ignored;
    std::vector<std::string> found;
    if (fs::is_directory(name, ignored)) {
      add_folder(name, found);
      if (found.empty()) fail_usage("no files in folder '", printable(name), "'");
    } else if (fs::exists(name, ignored)) {
      found.push_back(name);
    } else {
      glob_t matches{};
      if (glob(name.c_str(), GLOB_BRACE, nullptr, &matches) == 0)
        for (size_t i = 0; i < matches.gl_pathc; ++i) {
          if (fs::is_directory(matches.gl_pathv[i], ignored))
            add_folder(matches.gl_pathv[i], found);
          else
            found.push_back(matches.gl_pathv[i]);
        }
      globfree(&matches);
      if (found.empty()) fail_usage("'", printable(name), "': no such file or folder, and no file fits it as a pattern");
    }
    std::ranges::sort(found);
    paths.insert(paths.end(), found.begin(), found.end());
  }
  return paths;
}

std::unique_ptr<Reader> open_files(std::vector<std::string> paths, const ReadOptions& options) {
  if (options.kind != "auto" && !find_kind(options.kind))
    fail_usage("no reader is called '", printable(options.kind), "'; there are: ", all_kinds());
  return std::make_unique<Files>(std::move(paths), options);
}

std::unique_ptr<Reader> open_readers(const std::vector<std::string>& named, const ReadOptions& options) {
  std::vector<std::string> paths = input_files(named);
  // named alone, a file of no known kind is the user's to mend; in a folder it is counted
  if (paths.size() == 1 && paths == named) return open_reader(paths[0], options);
  return open_files(std::move(paths), options);
}

}  // namespace r1::corpus
