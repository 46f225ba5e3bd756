// The files of tests/fuzz/corpus: one for each class of advisory against readers of these formats. Each is refused, with a message that
// names it; the whole ones are read. tests/oracles/broken_files.py makes them and says which is which.
#include <gtest/gtest.h>

#include "r1/base/error.h"
#include "r1/base/gguf_file.h"
#include "r1/base/safetensors_file.h"

namespace r1 {
namespace {

template <class Open>
void expect_refused(const char* format, int at_least, Open open) {
  int refused = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(R1_SOURCE_DIR) / "tests/fuzz/corpus" / format)) {
    const std::string name = entry.path().filename().string();
    SCOPED_TRACE(name);
    if (name.rfind("whole_", 0) == 0) {
      EXPECT_NO_THROW(open(entry.path()));
      continue;
    }
    try {
      open(entry.path());
      ADD_FAILURE() << "was accepted";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
      EXPECT_LT(std::string(error.what()).size(), 1000u);
      ++refused;
    }
  }
  EXPECT_GE(refused, at_least);
}

TEST(BrokenFiles, Gguf) {
  expect_refused("gguf", 33, [](const fs::path& path) { GgufFile::open(path); });
}

TEST(BrokenFiles, Safetensors) {
  expect_refused("safetensors", 28, [](const fs::path& path) { SafetensorsFile::open(path); });
}

}  // namespace
}  // namespace r1
