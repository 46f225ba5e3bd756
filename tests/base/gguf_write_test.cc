#include "r1/base/gguf_write.h"

#include <gtest/gtest.h>

#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace r1 {
namespace {

std::function<std::span<const std::byte>()> bytes_of(const std::string& text) {
  return [text] { return std::as_bytes(std::span(text)); };
}

// What is written is read back: every kind of value, tensors at their alignment, shapes row-major.
TEST(GgufWrite, ReadsBack) {
  const TemporaryFolder folder("gguf_write");
  const fs::path file = folder.path() / "m.gguf";
  GgufMetadata metadata;
  metadata.add_string("general.architecture", "llama");
  metadata.add_u32("a.count", 4'000'000'000);
  metadata.add_f32("a.ratio", 0.5);
  metadata.add_bool("a.flag", true);
  metadata.add_strings("a.names", {"", "two", "\xC4\xA0three"});
  metadata.add_i32s("a.types", {1, -3});
  metadata.add_f32s("a.scores", {-1.5f, 0});
  write_gguf(file, metadata,
             {{"one", GgmlType::kF32, {3}, bytes_of(std::string(12, 'a'))},
              {"two", GgmlType::kQ8_0, {2, 32}, bytes_of(std::string(68, 'b'))},
              {"three", GgmlType::kF16, {2, 1, 3}, bytes_of(std::string(12, 'c'))}});
  const GgufFile back = GgufFile::open(file);
  EXPECT_EQ(back.version(), 3u);
  EXPECT_EQ(back.string("general.architecture"), "llama");
  EXPECT_EQ(back.integer("a.count"), 4'000'000'000);
  EXPECT_EQ(back.number("a.ratio"), 0.5);
  EXPECT_TRUE(back.boolean("a.flag"));
  EXPECT_EQ(back.strings("a.names"), (std::vector<std::string>{"", "two", "\xC4\xA0three"}));
  EXPECT_EQ(back.integers("a.types"), (std::vector<int64_t>{1, -3}));
  EXPECT_EQ(back.numbers("a.scores"), (std::vector<double>{-1.5, 0}));
  ASSERT_EQ(back.tensors().size(), 3u);
  EXPECT_EQ(back.find("two")->shape, (std::vector<int64_t>{2, 32}));
  EXPECT_EQ(back.find("three")->shape, (std::vector<int64_t>{2, 1, 3}));
  EXPECT_EQ(back.data(*back.find("two")).size(), 68u);
  EXPECT_EQ(char(back.data(*back.find("three"))[11]), 'c');

  // And copied, bit for bit.
  GgufMetadata copy;
  for (const std::string& key : back.keys()) copy.copy(back, key);
  EXPECT_EQ(copy.bytes(), metadata.bytes());
}

TEST(GgufWrite, RefusesWhatItCannotWrite) {
  const TemporaryFolder folder("gguf_write");
  const fs::path file = folder.path() / "m.gguf";
  GgufMetadata metadata;
  metadata.add_bool("a", true);
  EXPECT_NE(message_of([&] { metadata.add_u32("a", 1); }).find("'a' is added twice"), std::string::npos);
  EXPECT_NE(message_of([&] { metadata.add_u32("b", -1); }).find("'b'"), std::string::npos);
  EXPECT_NE(message_of([&] {
              write_gguf(file, metadata, {{"w", GgmlType::kQ4_K, {2, 32}, bytes_of("")}});
            }).find("'w': rows of 32"),
            std::string::npos);
  EXPECT_NE(message_of([&] {
              write_gguf(file, metadata, {{"w", GgmlType::kF32, {2}, bytes_of("abc")}});
            }).find("expected 8 bytes, got 3"),
            std::string::npos);
  EXPECT_FALSE(fs::exists(file));  // not even a part of it
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace r1
