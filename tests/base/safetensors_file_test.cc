#include "r1/base/safetensors_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "r1/base/error.h"

namespace r1 {
namespace {

std::string raw(const std::string& header, const std::string& data, int64_t header_bytes = -1) {
  const uint64_t n = header_bytes < 0 ? header.size() : uint64_t(header_bytes);
  return std::string(reinterpret_cast<const char*>(&n), 8) + header + data;
}

SafetensorsFile parse(const std::string& bytes) {
  return SafetensorsFile::from_bytes(std::as_bytes(std::span(bytes)), "m.safetensors");
}

std::string error_of(const std::string& bytes) {
  try {
    parse(bytes);
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).rfind("m.safetensors: ", 0), 0u) << error.what();
    return error.what();
  }
  return "no error";
}

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / str("r1_safetensors_", ::getpid(), "_", count_++)) { make_folder(path_); }
  ~Folder() { fs::remove_all(path_); }
  fs::path operator/(const char* name) const { return path_ / name; }
  const fs::path& path() const { return path_; }

 private:
  static inline int count_ = 0;
  fs::path path_;
};

SafeSource source(const std::string& name, SafeType type, const std::vector<int64_t>& shape, const std::string& data) {
  return {name, type, shape, [data] { return std::as_bytes(std::span(data)); }};
}

TEST(Safetensors, ReadsWhatTheFormatAllows) {
  const std::string header =
      R"({"b":{"dtype":"F32","shape":[2,1],"data_offsets":[4,12]},"__metadata__":{"format":"pt","k":"v"},"a":{"shape":[2],"data_offsets":[0,4],"dtype":"BF16"},)"
      R"("none":{"dtype":"F16","shape":[0,7],"data_offsets":[12,12]},"one":{"dtype":"U8","shape":[],"data_offsets":[12,13]}}   )";
  const std::string bytes = raw(header, "AAAABBBBBBBBx");
  const SafetensorsFile file = parse(bytes);
  ASSERT_EQ(file.tensors().size(), 4u);
  EXPECT_EQ(file.tensors()[0].name, "a");
  EXPECT_EQ(file.find("b")->shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(file.find("b")->type, SafeType::kF32);
  EXPECT_EQ(file.data(*file.find("b")).size(), 8u);
  EXPECT_EQ(static_cast<char>(file.data(*file.find("b"))[0]), 'B');
  EXPECT_TRUE(file.data(*file.find("none")).empty());
  EXPECT_EQ(static_cast<char>(file.data(*file.find("one"))[0]), 'x');
  EXPECT_EQ(file.metadata().at("k"), "v");
  EXPECT_EQ(parse(raw("{}", "")).tensors().size(), 0u);
}

// One row a fault: what is said, header, data.
TEST(Safetensors, RefusesBrokenHeaders) {
  const auto tensor = [](const std::string& fields, const std::string& data = "abcd") {
    return error_of(raw("{\"t\":{" + fields + "}}", data));
  };
  EXPECT_EQ(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"), "no error");
  EXPECT_SAYS(tensor(R"("dtype":"F33","shape":[1],"data_offsets":[0,4])"), "tensor 't': unknown dtype 'F33'");
  EXPECT_SAYS(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), "need 8 bytes, its data_offsets span 4");
  EXPECT_SAYS(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"), "run backwards");
  EXPECT_SAYS(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4,8])"), "more than 2");
  EXPECT_SAYS(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0])"), "has 1 numbers");
  EXPECT_SAYS(tensor(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), "a negative number");
  EXPECT_SAYS(tensor(R"("dtype":"F32","shape":[1.0],"data_offsets":[0,4])"), "a fraction");
  EXPECT_SAYS(tensor(R"("dtype":"F32","shape":["1"],"data_offsets":[0,4])"), "a text");
  EXPECT_SAYS(tensor(R"("dtype":"F32","shape":[[1]],"data_offsets":[0,4])"), "a list");
  EXPECT_SAYS(tensor(R"("dtype":"F32","shape":1,"data_offsets":[0,4])"), "a number");
  EXPECT_SAYS(tensor(R"("dtype":1,"shape":[1],"data_offsets":[0,4])"), "a number");
  EXPECT_SAYS(tensor(R"("dtype":null,"shape":[1],"data_offsets":[0,4])"), "null");
  EXPECT_SAYS(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551616])"), "a fraction");
  EXPECT_SAYS(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,1e999])"), "not valid JSON");
  EXPECT_SAYS(tensor(R"("dtype":"F32","shape":[1])"), "is missing");
  EXPECT_SAYS(tensor(R"("dtype":"F32","data_offsets":[0,4])"), "is missing");
  EXPECT_SAYS(tensor(""), "is missing");
  EXPECT_SAYS(tensor(R"("dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4])"), "'dtype' stands twice");
  EXPECT_SAYS(tensor(R"("dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4])"), "'shape' stands twice");
  EXPECT_SAYS(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"extra":{}})"), "an object");
  EXPECT_SAYS(tensor(R"("dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,4])"), "overflows");
  EXPECT_SAYS(tensor(R"("dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,4])"), "too large");
  EXPECT_SAYS(tensor(R"("dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4])"), "more than 8 dimensions");
  EXPECT_EQ(tensor(R"("dtype":"F32","shape":[1,1,1,1,1,1,1,1],"data_offsets":[0,4])"), "no error");
  EXPECT_SAYS(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])", "abc"), "cut short");
  EXPECT_SAYS(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])", "abcde"), "1 bytes follow the last tensor");
  EXPECT_SAYS(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])", "abcdefgh"), "leaves a gap");
  EXPECT_SAYS(tensor(R"("dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,9223372036854775807])"), "cut short");
}

TEST(Safetensors, RefusesOverlapsAndRepeats) {
  const std::string a = R"("a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]})",
                    b = R"("b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]})";
  EXPECT_SAYS(error_of(raw("{" + a + "," + b + "}", "abcdef")), "tensor 'b': starts at 2 inside another");
  EXPECT_SAYS(error_of(raw("{" + a + "," + a + "}", "abcd")), "'a' stands twice");
  EXPECT_SAYS(error_of(raw(R"({"__metadata__":{},"__metadata__":{}})", "")), "stands twice");
  EXPECT_SAYS(error_of(raw(R"({"__metadata__":{"x":"1","x":"2"}})", "")), "stands twice");
  EXPECT_SAYS(error_of(raw(R"({"__metadata__":{"x":1}})", "")), "may hold texts only");
  EXPECT_SAYS(error_of(raw(R"({"__metadata__":{"x":{"y":"z"}}})", "")), "may hold texts only");
  EXPECT_SAYS(error_of(raw(R"({"__metadata__":[]})", "")), "may hold texts only");
}

TEST(Safetensors, RefusesOtherFiles) {
  EXPECT_SAYS(error_of(""), "not a safetensors file");
  EXPECT_SAYS(error_of("1234567"), "not a safetensors file");
  EXPECT_SAYS(error_of(raw("", "")), "not a safetensors file");
  EXPECT_SAYS(error_of(raw("[]", "")), "not a safetensors file");
  EXPECT_SAYS(error_of(raw(" {}", "")), "not a safetensors file");
  EXPECT_SAYS(error_of(raw("{", "")), "not valid JSON");
  EXPECT_SAYS(error_of(raw("{}x", "")), "not valid JSON");
  EXPECT_SAYS(error_of(raw("{\"\xff\":1}", "")), "not valid JSON");
  EXPECT_SAYS(error_of(raw("{}", "", 1000)), "cut short");
  EXPECT_SAYS(error_of(raw("{}", "", 100000001)), "a header over");
  EXPECT_SAYS(error_of(raw("{}", "", int64_t{1} << 62)), "a header over");
  EXPECT_SAYS(error_of(std::string(8, '\xff') + "{}"), "a header over");
  EXPECT_SAYS(error_of("PK\3\4 this is a zip of pickles"), "not a safetensors file");
  EXPECT_SAYS(error_of(raw("{\"a\":" + std::string(100000, '['), "")), "a list is out of place");
  EXPECT_SAYS(error_of(raw("{\"a\":" + std::string(100000, '{'), "")), "not valid JSON");
  EXPECT_SAYS(error_of(raw("{\"a\\u001b[2J\":1}", "")), "a\\x1b[2J");
}

TEST(Safetensors, EveryTruncationIsAnError) {
  const std::string bytes = raw(
      R"({"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[2,1],"data_offsets":[4,12]}})", "AAAABBBBBBBB");
  EXPECT_EQ(error_of(bytes), "no error");
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_NE(error_of(bytes.substr(0, n)), "no error") << n;
}

TEST(Safetensors, WhatIsWrittenReadsBack) {
  const Folder folder;
  write_safetensors(folder / "m.safetensors",
                    {source("w.\"quoted\" \xe6\xa8\xa1", SafeType::kF32, {1, 2}, "12345678"), source("b", SafeType::kBF16, {1}, "ab"),
                     source("e", SafeType::kI64, {0}, "")},
                    {{"step", "7"}});
  const std::string bytes = read_file(folder / "m.safetensors");
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  EXPECT_EQ(header % 8, 0u);  // as the reference writer: the data section is aligned
  const SafetensorsFile file = SafetensorsFile::open(folder / "m.safetensors");
  EXPECT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.metadata().at("step"), "7");
  const auto data = file.data(*file.find("w.\"quoted\" \xe6\xa8\xa1"));
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(data.data()), data.size()), "12345678");
}

TEST(Safetensors, WriterChecksItsInput) {
  const Folder folder;
  const fs::path path = folder / "m.safetensors";
  EXPECT_THROW(write_safetensors(path, {source("a", SafeType::kF32, {2}, "1234")}), Error);
  EXPECT_THROW(write_safetensors(path, {source("a", SafeType::kF32, {-1}, "1234")}), Error);
  EXPECT_THROW(write_safetensors(path, {source("a", SafeType::kU8, {1}, "1"), source("a", SafeType::kU8, {1}, "1")}), Error);
  EXPECT_THROW(write_safetensors(path, {source("__metadata__", SafeType::kU8, {1}, "1")}), Error);
  EXPECT_TRUE(fs::is_empty(folder.path())) << "a failed write left something behind";
}

// Each system call of a save fails once: the error is clean, the old file stays, no temporary is left.
TEST(Safetensors, AFailedWriteLeavesTheOldFile) {
  const Folder folder;
  const fs::path path = folder / "m.safetensors";
  write_safetensors(path, {source("old", SafeType::kU8, {3}, "old")});
  int calls = 0;
  set_file_fault([&](const char*) { return ++calls, 0; });
  write_safetensors(path, {source("old", SafeType::kU8, {3}, "old")});
  const int needed = calls;
  EXPECT_GE(needed, 4);
  for (int fail_at = 1; fail_at <= needed; ++fail_at) {
    for (const int code : {EIO, ENOSPC}) {
      calls = 0;
      set_file_fault([&](const char*) { return ++calls == fail_at ? code : 0; });
      EXPECT_THROW(write_safetensors(path, {source("new", SafeType::kU8, {3}, "new")}), Error) << fail_at;
      set_file_fault(nullptr);
      const SafetensorsFile file = SafetensorsFile::open(path);  // either the old or the new file, whole
      EXPECT_EQ(file.tensors().size(), 1u);
      EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 1);
    }
  }
}

TEST(SafetensorsIndex, ShardsAndTheirIndexMustAgree) {
  const Folder folder;
  write_safetensors(folder / "model-00001-of-00002.safetensors", {source("a", SafeType::kU8, {1}, "a")});
  write_safetensors(folder / "model-00002-of-00002.safetensors", {source("b", SafeType::kU8, {1}, "b")});
  SafetensorsIndex index{{{"a", "model-00001-of-00002.safetensors"}, {"b", "model-00002-of-00002.safetensors"}}, 2};
  const fs::path path = folder / kSafetensorsIndex;
  write_safetensors_index(path, index);
  EXPECT_EQ(read_safetensors_index(path).weight_map, index.weight_map);
  EXPECT_EQ(read_safetensors_index(path).total_size, 2u);
  EXPECT_EQ(open_safetensors_model(folder.path()).size(), 2u);
  EXPECT_EQ(open_safetensors_model(path).size(), 2u);
  EXPECT_EQ(open_safetensors_model(folder / "model-00001-of-00002.safetensors").size(), 1u);

  const auto error = [&](const SafetensorsIndex& wrong) {
    write_safetensors_index(path, wrong);
    try {
      open_safetensors_model(folder.path());
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  EXPECT_SAYS(error({{{"a", "model-00001-of-00002.safetensors"}, {"b", "model-00001-of-00002.safetensors"}}, 2}), "tensor 'b' is not in");
  EXPECT_SAYS(error({{{"a", "model-00001-of-00002.safetensors"}, {"c", "model-00002-of-00002.safetensors"}}, 2}), "tensor 'c' is not in");
  EXPECT_SAYS(error({{{"a", "model-00001-of-00002.safetensors"}, {"b", "model-00003-of-00002.safetensors"}}, 2}), "model-00003-of-00002");
  for (const char* name : {"../x.safetensors", "/etc/passwd", "a/b", "", ".", "..", "a\\b"}) {
    EXPECT_SAYS(error({{{"a", name}}, 1}), "is not a plain file name");
  }
  write_file_atomic(path, R"({"weight_map":{"a":"x","a":"y"}})");
  EXPECT_THROW(read_safetensors_index(path), Error);
  write_file_atomic(path, R"({"weight_map":{"a":1}})");
  EXPECT_THROW(read_safetensors_index(path), Error);
  for (const char* text : {"[]", "{}", R"({"weight_map":[]})", "1"}) {
    write_file_atomic(path, text);
    EXPECT_THROW(read_safetensors_index(path), Error) << text;
  }
  EXPECT_THROW(open_safetensors_model(folder / "nowhere"), Error);
}

TEST(SafetensorsIndex, AWholeFileGoesBeforeAnIndex) {
  const Folder folder;
  const auto tensors = [&] {
    std::string names;
    for (const SafetensorsFile& file : open_safetensors_model(folder.path()))
      for (const SafeTensor& tensor : file.tensors()) names += tensor.name;
    return names;
  };
  write_safetensors(folder / "model-00001-of-00002.safetensors", {source("a", SafeType::kU8, {1}, "a")});
  write_safetensors(folder / "model-00002-of-00002.safetensors",
                    {source("b", SafeType::kU8, {1}, "b"), source("more", SafeType::kU8, {1}, "m")});
  write_safetensors_index(folder / kSafetensorsIndex,
                          {{{"a", "model-00001-of-00002.safetensors"}, {"b", "model-00002-of-00002.safetensors"}}, 2});
  EXPECT_EQ(tensors(), "abmore") << "what a shard holds beside the index is for the model to judge";
  write_safetensors(folder / kSafetensorsSingle, {source("c", SafeType::kU8, {1}, "c")});
  EXPECT_EQ(tensors(), "c");
  fs::remove(folder / "model-00002-of-00002.safetensors");
  EXPECT_EQ(tensors(), "c") << "a shard of the index that is gone does not matter";
  fs::remove(folder / kSafetensorsSingle);
  EXPECT_THROW(tensors(), Error);
  // Two shards with the same tensor that the index does not list.
  write_safetensors(folder / "model-00002-of-00002.safetensors",
                    {source("b", SafeType::kU8, {1}, "b"), source("x", SafeType::kU8, {1}, "x")});
  write_safetensors(folder / "model-00001-of-00002.safetensors",
                    {source("a", SafeType::kU8, {1}, "a"), source("x", SafeType::kU8, {1}, "y")});
  EXPECT_THROW(tensors(), Error);
}

TEST(Safetensors, SurvivesMutation) {
  const std::string seed = raw(
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[2,1],"data_offsets":[4,12]}})",
      "AAAABBBBBBBB");
  uint64_t state = 7;
  const auto random = [&](uint64_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % n;
  };
  int whole = 0;
  for (int round = 0; round < 30000; ++round) {
    std::string bytes = seed;
    for (uint64_t edits = 1 + random(3); edits-- > 0 && !bytes.empty();) {
      const uint64_t at = random(bytes.size());
      const char kTelling[] = "{}[]\",:0123456789-e.\\n\xff";
      switch (random(3)) {
        case 0:
          bytes[at] = kTelling[random(sizeof(kTelling))];
          break;
        case 1:
          bytes.erase(at, 1 + random(8));
          break;
        default:
          bytes.insert(at, std::string(1 + random(8), kTelling[random(sizeof(kTelling))]));
      }
      if (random(2) && bytes.size() > 20) {  // keep the header length true now and then, so that the JSON is reached
        const uint64_t n = bytes.size() - 20;
        std::memcpy(bytes.data(), &n, 8);
      }
    }
    try {
      const SafetensorsFile file = parse(bytes);
      uint64_t total = 0;
      for (const auto& tensor : file.tensors()) total += file.data(tensor).size();
      EXPECT_LE(total, bytes.size());
      ++whole;
    } catch (const Error&) {
    }
  }
  EXPECT_LT(whole, 30000);
}

}  // namespace
}  // namespace r1
