// libFuzzer target: bytes as a WARC, plain or packed, give documents and counts that add up, whatever they are. Built like jinja_fuzz.
#include "tests/fuzz/read_documents.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  r1::corpus::read_documents(data, size, r1::corpus::read_warc, "fuzz.warc");
  return 0;
}
