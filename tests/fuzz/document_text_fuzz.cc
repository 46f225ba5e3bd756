// libFuzzer target: bytes as the kinds that are one document: LaTeX, manual pages, subtitles, Gutenberg, Markdown, code; and as whatever they
// look like. Built like jinja_fuzz.
#include "tests/fuzz/read_documents.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace r1::corpus;
  for (const MakeReader open :
       {read_latex, read_man, read_subtitles, read_gutenberg, read_markdown, read_code, read_html, read_text, read_json, read_csv})
    read_documents(data, size, open, "fuzz.x");
  read_documents(data, size, open_input, "fuzz");
  return 0;
}
