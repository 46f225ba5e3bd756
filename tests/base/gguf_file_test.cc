#include "r1/base/gguf_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "r1/base/checked.h"
#include "tests/base/gguf_builder.h"

namespace r1 {
namespace {

using testing::GgufBuilder;

GgufFile parse(const std::string& bytes, bool allow_truncated = false) {
  return GgufFile::from_bytes(std::as_bytes(std::span(bytes)), "model.gguf", {.allow_truncated = allow_truncated});
}

// The message of the error, which must name the file.
std::string error_of(const std::string& bytes, bool allow_truncated = false) {
  try {
    parse(bytes, allow_truncated);
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).rfind("model.gguf: ", 0), 0u) << error.what();
    return error.what();
  }
  return "no error";
}

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

const std::string kFloats8(32, 'x');  // 8 floats

TEST(GgufFile, ReadsEveryKindOfValue) {
  const std::string bytes = GgufBuilder()
                                .add("u8", uint8_t{200})
                                .add("i8", int8_t{-100})
                                .add("u16", uint16_t{60000})
                                .add("i16", int16_t{-30000})
                                .add("u32", uint32_t{4000000000})
                                .add("i32", int32_t{-2000000000})
                                .add("u64", uint64_t{1} << 62)
                                .add("i64", int64_t{-1} << 62)
                                .add("f32", 1.5f)
                                .add("f64", 2.25)
                                .add("yes", true)
                                .add("text", std::string("a\0b", 3))
                                .add_list<std::string>("texts", {"", "x", "yz"})
                                .add_list<int32_t>("ints", {1, -2, 3})
                                .add_list<float>("floats", {0.5f, -1.f})
                                .add_list<uint8_t>("none", {})
                                .bytes();
  const GgufFile file = parse(bytes);
  EXPECT_EQ(file.integer("u8"), 200);
  EXPECT_EQ(file.integer("i8"), -100);
  EXPECT_EQ(file.integer("u16"), 60000);
  EXPECT_EQ(file.integer("i16"), -30000);
  EXPECT_EQ(file.integer("u32"), 4000000000);
  EXPECT_EQ(file.integer("i32"), -2000000000);
  EXPECT_EQ(file.integer("u64"), int64_t{1} << 62);
  EXPECT_EQ(file.integer("i64"), int64_t{-1} << 62);
  EXPECT_EQ(file.number("f32"), 1.5);
  EXPECT_EQ(file.number("f64"), 2.25);
  EXPECT_EQ(file.number("i8"), -100.0);
  EXPECT_TRUE(file.boolean("yes"));
  EXPECT_EQ(file.string("text"), std::string("a\0b", 3));
  EXPECT_EQ(file.strings("texts"), (std::vector<std::string>{"", "x", "yz"}));
  EXPECT_EQ(file.integers("ints"), (std::vector<int64_t>{1, -2, 3}));
  EXPECT_EQ(file.numbers("floats"), (std::vector<double>{0.5, -1}));
  EXPECT_TRUE(file.integers("none").empty());
  EXPECT_EQ(file.integer_or("absent", 7), 7);
  EXPECT_FALSE(file.has("absent"));
  EXPECT_EQ(file.keys().front(), "u8");
  EXPECT_EQ(file.keys().size(), 16u);
}

TEST(GgufFile, GettersNameTheKeyAndTheKind) {
  const std::string bytes = GgufBuilder().add("f", 1.5f).add("huge", ~uint64_t{0}).add("s", "x").add_list<float>("l", {1.f}).bytes();
  const GgufFile file = parse(bytes);
  const auto says = [&](auto call) {
    try {
      call();
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(says([&] { file.integer("f"); }), "model.gguf: key 'f': expected an integer, got f32");
  EXPECT_EQ(says([&] { file.integer("huge"); }), "model.gguf: key 'huge': expected an integer, got u64 (too large)");
  EXPECT_EQ(says([&] { file.boolean("f"); }), "model.gguf: key 'f': expected a bool, got f32");
  EXPECT_EQ(says([&] { file.number("s"); }), "model.gguf: key 's': expected a number, got string");
  EXPECT_EQ(says([&] { file.string("f"); }), "model.gguf: key 'f': expected a text, got f32");
  EXPECT_EQ(says([&] { file.strings("l"); }), "model.gguf: key 'l': expected an array of texts, got f32");
  EXPECT_EQ(says([&] { file.integers("l"); }), "model.gguf: key 'l': expected an integer, got f32");
  EXPECT_EQ(says([&] { file.integer("l"); }), "model.gguf: key 'l': expected a single value, got an array");
  EXPECT_EQ(says([&] { file.integer("nope"); }), "model.gguf: key 'nope' is missing");
  EXPECT_EQ(says([&] { file.integer_or("f", 1); }), "model.gguf: key 'f': expected an integer, got f32");
}

TEST(GgufFile, ReadsTheDirectory) {
  for (const uint32_t version : {2u, 3u}) {
    GgufBuilder builder;
    builder.version = version;
    builder.tensor("a", GgmlType::kF32, {2, 4}, std::string(32, 'a'));
    builder.tensor("b", GgmlType::kQ4_0, {3, 64}, std::string(108, 'b'));
    builder.tensor("scalar", GgmlType::kF32, {}, std::string(4, 'c'));
    builder.tensor("empty", GgmlType::kF16, {0, 4}, "");
    const std::string bytes = builder.bytes();
    const GgufFile file = parse(bytes);
    EXPECT_EQ(file.version(), version);
    ASSERT_EQ(file.tensors().size(), 4u);
    EXPECT_EQ(file.tensors()[1].shape, (std::vector<int64_t>{3, 64}));
    EXPECT_EQ(file.tensors()[1].bytes, 108u);
    EXPECT_EQ(file.data(*file.find("b")).size(), 108u);
    EXPECT_EQ(static_cast<char>(file.data(*file.find("b"))[107]), 'b');
    EXPECT_EQ(static_cast<char>(file.data(*file.find("scalar"))[3]), 'c');
    EXPECT_EQ(file.find("c"), nullptr);
  }
}

TEST(GgufFile, HonoursTheAlignment) {
  for (const uint32_t alignment : {1u, 8u, 64u, 4096u, 1u << 20}) {
    GgufBuilder builder;
    builder.alignment = alignment;
    builder.add("general.alignment", alignment).tensor("a", GgmlType::kF32, {1}, "aaaa").tensor("b", GgmlType::kF32, {1}, "bbbb");
    const std::string bytes = builder.bytes();
    const GgufFile file = parse(bytes);
    EXPECT_EQ(static_cast<char>(file.data(*file.find("b"))[0]), 'b');
  }
  for (const uint32_t alignment : {0u, 3u, 48u, 1u << 21, 1u << 31}) {
    EXPECT_SAYS(error_of(GgufBuilder().add("general.alignment", alignment).bytes()), "key 'general.alignment': expected a power of two");
  }
  EXPECT_SAYS(error_of(GgufBuilder().add("general.alignment", "32").bytes()), "key 'general.alignment'");
}

TEST(GgufFile, TruncatedDataIsOpenForItsMetadata) {
  const std::string whole =
      GgufBuilder().add("k", "v").tensor("a", GgmlType::kF32, {8}, kFloats8).tensor("b", GgmlType::kF32, {8}, kFloats8).bytes();
  const std::string cut = whole.substr(0, whole.size() - 1);
  EXPECT_SAYS(error_of(cut), "tensor 'b': needs bytes");
  const GgufFile file = parse(cut, true);
  EXPECT_TRUE(file.truncated());
  EXPECT_EQ(file.string("k"), "v");
  EXPECT_EQ(file.data(*file.find("a")).size(), 32u);
  EXPECT_THROW(file.data(*file.find("b")), Error);
  EXPECT_FALSE(parse(whole, true).truncated());
}

TEST(GgufFile, EveryTruncationOfTheHeaderIsAnError) {
  const std::string bytes = GgufBuilder()
                                .add("key", "value")
                                .add_list<std::string>("texts", {"one", "two"})
                                .add_list<int32_t>("ints", {1, 2, 3})
                                .tensor("a", GgmlType::kF32, {2, 4}, kFloats8)
                                .bytes();
  for (size_t n = 0; n + 32 < bytes.size(); ++n) {
    error_of(bytes.substr(0, n));
    EXPECT_NE(error_of(bytes.substr(0, n)), "no error") << n;
  }
}

TEST(GgufFile, LengthsAreCheckedBeforeAnythingIsAllocated) {
  const auto huge = [](uint64_t n) { return GgufBuilder::number(n); };
  const auto array = [&](GgufKind kind, uint64_t n) { return GgufBuilder::number(uint32_t(kind)) + huge(n); };
  const uint32_t kArray = uint32_t(GgufKind::kArray), kString = uint32_t(GgufKind::kString);
  for (const uint64_t n : {uint64_t{1} << 40, ~uint64_t{0}, ~uint64_t{0} / 8 + 1, uint64_t{1} << 63}) {
    EXPECT_SAYS(error_of(GgufBuilder().raw_key("k", kString, huge(n)).bytes()), "key 'k'");
    EXPECT_SAYS(error_of(GgufBuilder().raw_key("k", kArray, array(GgufKind::kString, n)).bytes()), "key 'k'");
    EXPECT_SAYS(error_of(GgufBuilder().raw_key("k", kArray, array(GgufKind::kI64, n)).bytes()), "key 'k'");
    EXPECT_SAYS(error_of(GgufBuilder().raw_key("k", kArray, array(GgufKind::kU8, n)).bytes()), "key 'k'");
  }
  EXPECT_SAYS(error_of(GgufBuilder().bytes(1000001)), "tensors, at most 1000000");
  EXPECT_SAYS(error_of(GgufBuilder().bytes(1000000)), "cannot fit");
  EXPECT_SAYS(error_of(GgufBuilder().bytes(0, 100001)), "metadata keys, at most");
  EXPECT_SAYS(error_of(GgufBuilder().bytes(int64_t{1} << 62)), "tensors, at most");
  EXPECT_SAYS(error_of(GgufBuilder().raw_key("k", kArray, array(GgufKind::kArray, 1)).bytes()), "arrays of arrays");
  EXPECT_SAYS(error_of(GgufBuilder().raw_key("k", 13, "").bytes()), "unknown value type 13");
  EXPECT_SAYS(error_of(GgufBuilder().raw_key("k", kArray, GgufBuilder::number(uint32_t{99}) + huge(0)).bytes()), "unknown value type 99");
}

TEST(GgufFile, TextLimits) {
  EXPECT_EQ(error_of(GgufBuilder().add("k", std::string(kGgufMaxStringBytes, 'x')).bytes()), "no error");
  EXPECT_SAYS(error_of(GgufBuilder().add("k", std::string(kGgufMaxStringBytes + 1, 'x')).bytes()), "key 'k': a text of 1048577 bytes");
  EXPECT_EQ(error_of(GgufBuilder().add(std::string(kGgufMaxKeyBytes, 'k'), 1).bytes()), "no error");
  EXPECT_SAYS(error_of(GgufBuilder().add(std::string(kGgufMaxKeyBytes + 1, 'k'), 1).bytes()), "metadata key 0");
  EXPECT_EQ(error_of(GgufBuilder().tensor(std::string(kGgufMaxNameBytes, 'n'), GgmlType::kF32, {8}, kFloats8).bytes()), "no error");
  EXPECT_SAYS(error_of(GgufBuilder().tensor(std::string(kGgufMaxNameBytes + 1, 'n'), GgmlType::kF32, {8}, kFloats8).bytes()), "tensor 0");
}

TEST(GgufFile, RefusesBrokenDirectories) {
  const auto one = [](GgmlType type, const std::vector<uint64_t>& shape, int64_t shift = 0) {
    return error_of(GgufBuilder().tensor("t", type, shape, kFloats8, shift).bytes());
  };
  EXPECT_SAYS(one(GgmlType::kF32, {1, 1, 1, 2, 4}), "tensor 't': 5 dimensions");
  EXPECT_SAYS(one(GgmlType::kF32, {uint64_t{1} << 33, uint64_t{1} << 33}), "overflows");
  EXPECT_SAYS(one(GgmlType::kF32, {uint64_t{1} << 62}), "overflows");
  EXPECT_SAYS(one(GgmlType::kF32, {uint64_t{1} << 63}), "too large");
  EXPECT_SAYS(one(GgmlType::kF32, {0, uint64_t{1} << 63}), "too large");
  EXPECT_SAYS(one(GgmlType::kF32, {uint64_t{1} << 61}), "cut short");
  EXPECT_SAYS(one(GgmlType::kQ4_K, {128}), "no whole blocks of 256 (Q4_K)");
  EXPECT_SAYS(one(GgmlType::kQ4_0, {}), "no whole blocks");
  EXPECT_SAYS(one(GgmlType{5}, {8}), "unknown tensor type 5");
  EXPECT_SAYS(one(GgmlType{1000}, {8}), "unknown tensor type 1000");
  EXPECT_SAYS(one(GgmlType::kF32, {8}, 4), "not a multiple of the alignment");
  EXPECT_SAYS(one(GgmlType::kF32, {8}, 32), "leaves a gap");
  EXPECT_SAYS(one(GgmlType::kF32, {8}, -32), "leaves a gap");
  EXPECT_SAYS(one(GgmlType::kF32, {9}), "cut short");
  EXPECT_SAYS(error_of(GgufBuilder().tensor("a", GgmlType::kF32, {8}, kFloats8).tensor("b", GgmlType::kF32, {8}, kFloats8, -32).bytes()),
              "tensor 'b': offset 0 lies inside another");
  EXPECT_SAYS(error_of(GgufBuilder().tensor("a", GgmlType::kF32, {8}, kFloats8).tensor("a", GgmlType::kF32, {8}, kFloats8).bytes()),
              "tensor 'a' stands twice");
  EXPECT_SAYS(error_of(GgufBuilder().add("k", 1).add("k", 2).bytes()), "key 'k' stands twice");
}

TEST(GgufFile, RefusesOtherFiles) {
  EXPECT_SAYS(error_of(""), "not a GGUF file");
  EXPECT_SAYS(error_of("GGU"), "not a GGUF file");
  EXPECT_SAYS(error_of("PK\3\4 and so on"), "not a GGUF file");
  EXPECT_SAYS(error_of("GGUF"), "version");
  GgufBuilder builder;
  for (const uint32_t version : {0u, 1u, 4u}) {
    builder.version = version;
    EXPECT_SAYS(error_of(builder.bytes()), "is not supported");
  }
  builder.version = 0x03000000;
  EXPECT_SAYS(error_of(builder.bytes()), "big-endian");
  EXPECT_THROW(GgufFile::open("/no/such/file.gguf"), Error);
  EXPECT_THROW(GgufFile::open("/"), Error);
}

// Names in messages come from the file: no control characters reach the terminal.
TEST(GgufFile, MessagesArePrintable) {
  const std::string message = error_of(GgufBuilder().raw_key("a\x1b[2Jb\n", 77, "").bytes());
  EXPECT_SAYS(message, "a\\x1b[2Jb\\x0a");
}

TEST(Checked, SumsAndProducts) {
  EXPECT_EQ(checked_mul(1ull << 32, (1ull << 32) - 1, "x"), ((1ull << 32) - 1) << 32);
  EXPECT_THROW(checked_mul(1ull << 32, 1ull << 32, "x"), Error);
  EXPECT_EQ(checked_add(~0ull - 1, 1, "x"), ~0ull);
  EXPECT_THROW(checked_add(~0ull, 1, "x"), Error);
}

// Every byte of a header set to telling values, and random damage: an error or a file whose tensors lie inside it, never a crash (run under
// ASan too).
void read_everything(const std::string& bytes) {
  for (const bool truncated : {false, true}) {
    try {
      const GgufFile file = parse(bytes, truncated);
      for (const auto& key : file.keys()) {
        try {
          file.is_array(key) ? (void)file.integers(key) : (void)file.integer(key);
        } catch (const Error&) {
        }
        try {
          file.is_array(key) ? (void)file.strings(key) : (void)file.string(key);
        } catch (const Error&) {
        }
      }
      unsigned sum = 0;
      for (const auto& tensor : file.tensors()) {
        try {
          for (const std::byte b : file.data(tensor)) sum += unsigned(b);
        } catch (const Error&) {
          EXPECT_TRUE(truncated);
        }
      }
      volatile unsigned keep = sum;
      (void)keep;
    } catch (const Error&) {
    }
  }
}

TEST(GgufFile, SurvivesMutation) {
  const std::string seed = GgufBuilder()
                               .add("general.alignment", uint32_t{32})
                               .add("general.architecture", "llama")
                               .add_list<std::string>("tokens", {"a", "bc", "def"})
                               .add_list<int32_t>("types", {1, 2, 3})
                               .add("llama.rope.freq_base", 10000.f)
                               .tensor("a", GgmlType::kF32, {2, 4}, kFloats8)
                               .tensor("b", GgmlType::kQ8_0, {2, 32}, std::string(68, 'q'))
                               .bytes();
  for (size_t i = 0; i < seed.size(); ++i) {
    for (const int value : {0, 1, 0x7f, 0x80, 0xff}) {
      std::string bytes = seed;
      bytes[i] = char(value);
      read_everything(bytes);
    }
  }
  uint64_t state = 1;
  const auto random = [&](uint64_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % n;
  };
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = seed;
    for (uint64_t edits = 1 + random(4); edits-- > 0;) {
      const uint64_t at = random(bytes.size());
      switch (random(4)) {
        case 0:
          bytes[at] = char(random(256));
          break;
        case 1:
          bytes.erase(at, 1 + random(16));
          break;
        case 2:
          bytes.insert(at, std::string(1 + random(16), char(random(256))));
          break;
        default:  // a whole 64-bit field
          if (at + 8 <= bytes.size()) {
            const uint64_t special[] = {0, 1, ~0ull, 1ull << 63, 1ull << 32, bytes.size()};
            const uint64_t value = special[random(6)];
            std::memcpy(bytes.data() + at, &value, 8);
          }
      }
      if (bytes.empty()) bytes = "G";
    }
    read_everything(bytes);
  }
}

// A model in three parts, tensors a (part 1), b and c.
struct SplitModel {
  fs::path folder = fs::path(::testing::TempDir()) / str("r1_split_", getpid());
  SplitModel() {
    fs::remove_all(folder);
    make_folder(folder);
    for (int i = 0; i < 3; ++i) write_file_atomic(part(i), builder(i).bytes());
  }
  ~SplitModel() { fs::remove_all(folder); }
  fs::path part(int i) const { return folder / str("m-0000", i + 1, "-of-00003.gguf"); }
  static GgufBuilder builder(int i, int number = -1, int count = 3, int tensors = 3, const char* name = nullptr) {
    GgufBuilder b;
    if (i == 0) b.add("general.architecture", "llama");
    b.add("split.no", uint16_t(number < 0 ? i : number)).add("split.count", uint16_t(count)).add("split.tensors.count", int32_t(tensors));
    b.tensor(name ? name : std::string(1, char('a' + i)), GgmlType::kF32, {8}, std::string(32, char('x' + i)));
    return b;
  }
  std::string error(GgufFile::Options options = {}) const {
    try {
      GgufFile::open(part(0), options);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  }
};

TEST(GgufSplit, IsOneModelByItsFirstPart) {
  const SplitModel model;
  GgufFile file = GgufFile::open(model.part(0));
  const GgufFile moved = std::move(file);
  ASSERT_EQ(moved.tensors().size(), 3u);
  EXPECT_EQ(moved.string("general.architecture"), "llama");
  for (int i = 0; i < 3; ++i) {
    const GgufTensor* tensor = moved.find(std::string(1, char('a' + i)));
    ASSERT_TRUE(tensor);
    const auto bytes = moved.data(*tensor);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), std::string(32, char('x' + i)));
  }
  EXPECT_EQ(gguf_of_folder(model.folder), model.part(0));
}

TEST(GgufSplit, ErrorsNameThePart) {
  const SplitModel model;
  try {
    GgufFile::open(model.part(1));
    ADD_FAILURE() << "a part alone was taken";
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()),
              model.part(1).string() + ": is part 2 of 3 of a split model; name its first part (m-00001-of-00003.gguf)");
  }
  fs::remove(model.part(2));
  EXPECT_SAYS(model.error(), "is part 1 of 3, and part 3 is not beside it (m-00003-of-00003.gguf)");
  EXPECT_TRUE(GgufFile::open(model.part(0), {.allow_truncated = true}).truncated());
  const auto third = [&](const GgufBuilder& b) {
    write_file_atomic(model.part(2), b.bytes());
    return model.error();
  };
  EXPECT_SAYS(third(SplitModel::builder(2, 1)), "m-00003-of-00003.gguf: does not say that it is part 3 of 3");
  EXPECT_SAYS(third(SplitModel::builder(2, 2, 4)), "does not say that it is part 3 of 3");
  EXPECT_SAYS(third(SplitModel::builder(2, 2, 3, 3, "a")), "tensor 'a' stands in another part too");
  EXPECT_SAYS(third(GgufBuilder()), "does not say that it is part 3 of 3");
  write_file_atomic(model.part(2), "GGUF");
  EXPECT_SAYS(model.error(), "m-00003-of-00003.gguf");
  third(SplitModel::builder(2));
  EXPECT_EQ(model.error(), "no error");
  const auto first = [&](const GgufBuilder& b) {
    write_file_atomic(model.part(0), b.bytes());
    return model.error();
  };
  EXPECT_SAYS(first(SplitModel::builder(0, 0, 3, 4)), "expected 4 tensors in all parts, got 3");
  EXPECT_SAYS(first(SplitModel::builder(0, 0, 0)), "split.count': expected 1 to 1000, got 0");
  EXPECT_SAYS(first(SplitModel::builder(0, 0, 65535)), "split.count': expected 1 to 1000, got 65535");
  EXPECT_SAYS(first(SplitModel::builder(0, 3, 3)), "split.no': expected 0 to 2, got 3");
  EXPECT_SAYS(first(SplitModel::builder(0, 0, 2)), "its name does not end in -00001-of-00002.gguf");
}

TEST(GgufFolder, HasOneModel) {
  const SplitModel model;
  const auto error = [&] {
    try {
      gguf_of_folder(model.folder);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  write_file_atomic(model.folder / "b.gguf", "");
  EXPECT_SAYS(error(), "2 GGUF models in this folder (b.gguf, m-00001-of-00003.gguf); name one of them");
  for (int i = 0; i < 3; ++i) fs::remove(model.part(i));
  EXPECT_EQ(gguf_of_folder(model.folder), model.folder / "b.gguf");
  fs::remove(model.folder / "b.gguf");
  EXPECT_EQ(gguf_of_folder(model.folder), fs::path());
  write_file_atomic(model.part(1), "");
  EXPECT_EQ(gguf_of_folder(model.folder), model.part(1)) << "opening it says what is missing";
}

// Real files, where there are some.
fs::path models() {
  if (const char* folder = std::getenv("R1_MODELS")) return folder;
  const char* home = std::getenv("HOME");
  return fs::path(home ? home : "/") / ".cache/r1/models";
}

TEST(GgufFile, RealFiles) {
  const fs::path qwen = models() / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", head = models() / "deepseek-r1-distill-qwen-7b.head.gguf";
  if (!fs::exists(qwen) || !fs::exists(head)) GTEST_SKIP() << "no real GGUF files in " << models() << " (set R1_MODELS)";
  const GgufFile file = GgufFile::open(qwen);
  EXPECT_EQ(file.string("general.architecture"), "qwen2");
  EXPECT_EQ(file.strings("tokenizer.ggml.tokens").size(), 151936u);
  EXPECT_EQ(file.tensors().size(), 291u);
  EXPECT_EQ(file.find("blk.0.ffn_down.weight")->shape, (std::vector<int64_t>{896, 4864}));
  EXPECT_THROW(GgufFile::open(head), Error);
  const GgufFile vocabulary = GgufFile::open(head, {.allow_truncated = true});
  EXPECT_TRUE(vocabulary.truncated());
  EXPECT_EQ(vocabulary.string("tokenizer.ggml.pre"), "deepseek-r1-qwen");
}

}  // namespace
}  // namespace r1
