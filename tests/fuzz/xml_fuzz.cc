// libFuzzer target: bytes as a MediaWiki dump, as StackExchange's posts, as wikitext, as markup. Built like jinja_fuzz.
#include "r1/corpus/markup.h"
#include "r1/corpus/wikitext.h"
#include "tests/fuzz/read_documents.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  r1::corpus::read_documents(data, size, r1::corpus::read_wikipedia, "fuzz.xml");
  r1::corpus::read_documents(data, size, r1::corpus::read_stackexchange, "fuzz.xml");
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  r1::corpus::text_of_wikitext(text);
  r1::corpus::text_of_markup(text);
  r1::corpus::title_of_markup(text);
  return 0;
}
