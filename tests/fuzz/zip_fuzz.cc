// libFuzzer target: bytes as a zip archive and as an EPUB give documents and counts that add up. Built like jinja_fuzz.
#include "tests/fuzz/read_documents.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  r1::corpus::read_documents(data, size, r1::corpus::read_zip, "fuzz.zip");
  r1::corpus::read_documents(data, size, r1::corpus::read_epub, "fuzz.epub");
  return 0;
}
