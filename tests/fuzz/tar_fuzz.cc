// libFuzzer target: bytes as a tar, whose members may be of any kind, and as a WebDataset. Built like jinja_fuzz.
#include "tests/fuzz/read_documents.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  r1::corpus::read_documents(data, size, r1::corpus::read_tar, "fuzz.tar");
  r1::corpus::read_documents(data, size, r1::corpus::read_webdataset, "fuzz.tar");
  return 0;
}
