// libFuzzer target: bytes as an mbox (mail, MIME) give documents and counts that add up, with and without quotes. Built like jinja_fuzz.
#include "r1/corpus/mime.h"
#include "tests/fuzz/read_documents.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  r1::corpus::read_documents(data, size, r1::corpus::read_mbox, "fuzz.mbox");
  r1::corpus::decode_words({reinterpret_cast<const char*>(data), size});
  r1::corpus::Document d;
  r1::corpus::document_of_mail({reinterpret_cast<const char*>(data), size}, {.quotes = false}, d);
  return 0;
}
