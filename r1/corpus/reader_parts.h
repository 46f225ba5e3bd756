// What the readers of the single kinds share, and how each is opened on an Input. Inside of r1/corpus only; from outside: reader.h.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "r1/corpus/input.h"
#include "r1/corpus/reader.h"

namespace r1::corpus {

// How deep archives in archives are followed.
inline constexpr int kMaxArchiveDepth = 4;
// What is read as a whole because its form needs that (an archive with its table at the end, a JSON file in a tar).
inline constexpr int64_t kMaxWholeBytes = int64_t{128} << 20;

// What a reader is opened with: the options and where it stands.
struct Opening {
  ReadOptions options;
  int depth = 0;                               // in archives
  std::string licence = {};                    // of the folder or archive, for what says nothing itself
  int64_t first_row = 0, end_row = INT64_MAX;  // of a Parquet or Arrow file, those that are read
  // Of a stretch of a file of rows: the place of its first row in that file, and how many bytes of the file's head come before the row.
  int64_t first_byte = 0, head_bytes = 0;
};

using MakeReader = std::unique_ptr<Reader> (*)(Input input, const Opening& opening);

std::unique_ptr<Reader> read_warc(Input input, const Opening& opening);
std::unique_ptr<Reader> read_jsonl(Input input, const Opening& opening);
std::unique_ptr<Reader> read_json(Input input, const Opening& opening);
std::unique_ptr<Reader> read_csv(Input input, const Opening& opening);
std::unique_ptr<Reader> read_tsv(Input input, const Opening& opening);
std::unique_ptr<Reader> read_parquet(Input input, const Opening& opening);
std::unique_ptr<Reader> read_arrow(Input input, const Opening& opening);
std::unique_ptr<Reader> read_text(Input input, const Opening& opening);
std::unique_ptr<Reader> read_markdown(Input input, const Opening& opening);
std::unique_ptr<Reader> read_code(Input input, const Opening& opening);
std::unique_ptr<Reader> read_html(Input input, const Opening& opening);
std::unique_ptr<Reader> read_latex(Input input, const Opening& opening);
std::unique_ptr<Reader> read_gutenberg(Input input, const Opening& opening);
std::unique_ptr<Reader> read_subtitles(Input input, const Opening& opening);
std::unique_ptr<Reader> read_man(Input input, const Opening& opening);
std::unique_ptr<Reader> read_mbox(Input input, const Opening& opening);
std::unique_ptr<Reader> read_wikipedia(Input input, const Opening& opening);
std::unique_ptr<Reader> read_stackexchange(Input input, const Opening& opening);
std::unique_ptr<Reader> read_epub(Input input, const Opening& opening);
std::unique_ptr<Reader> read_zip(Input input, const Opening& opening);
std::unique_ptr<Reader> read_tar(Input input, const Opening& opening);
std::unique_ptr<Reader> read_webdataset(Input input, const Opening& opening);
std::unique_ptr<Reader> read_pdf(Input input, const Opening& opening);

// The kind of what an input holds, by its first bytes and its name; "" if none reads it. The refused ones have names too ("office").
std::string kind_of_input(Input& input);
// Its reader, which gives documents as document.h wants them: valid UTF-8, plain line ends, not empty, not too large; what is not is counted.
// An error if the kind is refused. Of an unknown kind ("") null.
std::unique_ptr<Reader> open_input(Input input, const Opening& opening);
// The kind that open_input() opens it as, if `asked` is ReadOptions::kind.
std::string kind_to_open(Input& input, const std::string& asked);
// As this kind, whatever the input holds.
std::unique_ptr<Reader> open_as(const std::string& kind, Input input, const Opening& opening);

// "dir/a.TXT.gz" -> ".txt".
std::string ending_of(std::string_view name);
// "dir/a.txt.gz" -> "a.txt", "a.txt" where nothing is packed.
std::string unpacked_name(std::string_view name);
// The language of a file of source code by its name ("Python", "C++"); "" if it is none.
std::string_view code_language(std::string_view name);

// LaTeX to text: comments, preamble and layout go, headings, paragraphs and mathematics stay. latex.cc
std::string text_of_latex(std::string_view latex, Document& document);
// The name that \input{..} or \include{..} at text[at] has, and its end; "" if there is none. For those who have the other files.
struct LatexInput {
  size_t begin = 0, end = 0;
  std::string name;
};
LatexInput next_latex_input(std::string_view latex, size_t from);
bool is_latex_document(std::string_view latex);  // has a \documentclass (or LaTeX 2.09's \documentstyle) outside of comments

// Do these bytes begin with the line that separates the messages of an mbox? read_mail.cc
bool begins_mbox(std::string_view line);
// Do these first bytes begin a tar? Do its first two members share a key and have endings that a WebDataset has? read_tar.cc
bool begins_tar(std::string_view head);
bool begins_webdataset(std::string_view head);

// Fills a document from a row: of a table, of JSON lines, of a sample of a WebDataset. Reason if it cannot, else "". read_rows.cc
std::string document_of_row(Json row, const ReadOptions& options, Document& document);

// Where a file of rows can be cut so that its parts are read apart: before rows, each about part_bytes of the file as stored behind the one before, rising.
struct RowCut {
  int64_t at = 0;        // in the unpacked bytes
  Input::Member member;  // that holds it
};
struct RowCuts {
  std::string head;  // of a table: its header, which is to come before each part but the first
  std::vector<RowCut> cuts;
};
// Of JSON lines in a packed file; needs all of it unpacked. read_rows.cc
RowCuts line_cuts(Input input, int64_t part_bytes);
// Of CSV ("csv") and TSV ("tsv"), packed or not: by the very reader that reads the rows, so that a line end inside of quotes is none. None where it cannot
// read the header, where that is longer than Input::kMaxPeek, and in UTF-16. read_rows.cc
RowCuts table_cuts(Input input, const std::string& kind, int64_t part_bytes);

}  // namespace r1::corpus
