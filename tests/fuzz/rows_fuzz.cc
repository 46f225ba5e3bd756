// libFuzzer target: bytes as a data file of each form give rows, conversations or an r1::Error. The first byte picks the form. Built like
// jinja_fuzz.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <string>

#include "r1/base/error.h"
#include "r1/data/messages.h"
#include "r1/data/rows.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string path = "/dev/shm/r1_rows_fuzz_" + std::to_string(getpid());
  if (size == 0) return 0;
  FILE* out = std::fopen(path.c_str(), "wb");
  if (!out) return 0;
  std::fwrite(data + 1, 1, size - 1, out);
  std::fclose(out);
  constexpr r1::data::FileForm kForms[] = {r1::data::FileForm::kJsonLines, r1::data::FileForm::kJsonList, r1::data::FileForm::kCsv,
                                           r1::data::FileForm::kTsv};
  try {
    r1::data::RowReader reader(path, kForms[data[0] % 4], 1 << 16);
    while (auto row = reader.next()) {
      try {
        r1::data::conversation_from_json(*row, reader.where());
      } catch (const r1::Error&) {
      }
    }
  } catch (const r1::Error&) {
  }
  return 0;
}
