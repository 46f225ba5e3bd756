#include "r1/corpus/outputs.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

#include "r1/base/error.h"
#include "r1/corpus/document_file.h"
#include "r1/corpus/survey.h"
#include "r1/data/token_shards.h"

namespace r1::corpus {
namespace {

std::string five(int64_t n) {
  char text[32];
  std::snprintf(text, sizeof text, "%05lld", static_cast<long long>(n));
  return text;
}

bool has(const std::vector<std::string>& list, const char* name) {
  return std::ranges::find(list, name) != list.end();
}

std::vector<std::string> part_names(const PipelineConfig& c) {
  if (!has(c.stages, "split")) return {""};
  return {"train", "validation", "test"};
}

fs::path folder_of(const PipelineConfig& c, const char* format, const std::string& part) {
  const fs::path folder = fs::path(c.output) / format;
  return part.empty() ? folder : folder / part;
}

// POSIX ustar; owners, times and modes are the same for all.
class TarWriter {
 public:
  explicit TarWriter(const fs::path& path) : file_(path) {}
  void add(const std::string& name, std::string_view bytes) {
    std::array<char, 512> head{};
    const auto field = [&](size_t at, const std::string& text) { std::memcpy(head.data() + at, text.data(), text.size()); };
    char size[16];
    std::snprintf(size, sizeof size, "%011llo", static_cast<unsigned long long>(bytes.size()));
    field(0, name);
    field(100, "0000644");
    field(108, "0000000");
    field(116, "0000000");
    field(124, size);
    field(136, "00000000000");
    field(148, "        ");
    head[156] = '0';
    std::memcpy(head.data() + 257, "ustar\00000", 8);
    unsigned sum = 0;
    for (const char c : head) sum += uint8_t(c);
    char check_sum[16];
    std::snprintf(check_sum, sizeof check_sum, "%06o", sum);
    std::memcpy(head.data() + 148, check_sum, 7);
    file_.write(std::string_view(head.data(), head.size()));
    file_.write(bytes);
    file_.write(std::string((512 - bytes.size() % 512) % 512, '\0'));
  }
  void commit() {
    file_.write(std::string(1024, '\0'));
    file_.commit();
  }

 private:
  AtomicFile file_;
};

}  // namespace

struct Outputs::Part {
  std::unique_ptr<DocumentWriter> documents;
  std::unique_ptr<data::ShardWriter> tokens;
  std::unique_ptr<PackedWriter> index;
  std::unique_ptr<TarWriter> tar;
  std::string shard;
  int32_t begin = -1, end = -1;  // what r1 pretrain puts around a text
  int64_t written = 0;

  void add(const Document& d, const std::vector<int32_t>& ids) {
    if (documents) documents->add(d);
    Json known = to_json(d);
    known.erase("text");
    if (tokens) {
      data::Document row;
      if (begin >= 0) row.ids.push_back(begin);
      row.ids.insert(row.ids.end(), ids.begin(), ids.end());
      if (end >= 0) row.ids.push_back(end);
      row.learned.assign(row.ids.size(), 1);
      tokens->add(row);
      known["tokens"] = row.ids.size();
      index->write(dump_json(known) + "\n");
      known.erase("tokens");
    }
    if (tar) {
      char number[32];
      std::snprintf(number, sizeof number, "-%06lld", static_cast<long long>(written));
      tar->add(shard + number + ".txt", d.text);
      tar->add(shard + number + ".json", dump_json(known));
    }
    ++written;
  }
};

Outputs::Outputs(const PipelineConfig& c, const text::Tokenizer* tokenizer, int64_t shard) {
  const std::string number = five(shard);
  const auto path = [](const fs::path& folder, const std::string& name) {
    make_folder(folder);
    return folder / name;
  };
  for (const std::string& name : part_names(c)) {
    auto part = std::make_unique<Part>();
    part->shard = number;
    if (has(c.formats, "jsonl"))
      part->documents = std::make_unique<DocumentWriter>(path(folder_of(c, "data", name), number + ".jsonl.zst"));
    if (has(c.formats, "tokens")) {
      check(tokenizer != nullptr, "[data] tokens without a tokenizer");
      const fs::path folder = folder_of(c, "tokens", name);
      part->begin = tokenizer->add_bos() ? tokenizer->bos_id().value_or(-1) : -1;
      part->end = tokenizer->eos_id().value_or(-1);
      part->tokens = std::make_unique<data::ShardWriter>(path(folder, "tokens-" + number + ".bin"), tokenizer->vocab_size());
      part->index = std::make_unique<PackedWriter>(folder / ("tokens-" + number + ".index.jsonl.zst"));
    }
    if (has(c.formats, "webdataset")) part->tar = std::make_unique<TarWriter>(path(folder_of(c, "webdataset", name), number + ".tar"));
    parts_[name] = std::move(part);
  }
}
Outputs::~Outputs() = default;

void Outputs::add(const Document& d, const std::vector<int32_t>& ids) {
  const std::string name = parts_.size() == 1 ? "" : mark_value(d, "split");
  const auto part = parts_.find(name);
  check(part != parts_.end(), "[data] ", d.id(), " is in no part of the split");
  part->second->add(d, ids);
}

void Outputs::commit() {
  for (auto& [name, part] : parts_) {
    if (part->documents) part->documents->commit();
    if (part->tokens) part->tokens->commit();
    if (part->index) part->index->commit();
    if (part->tar) part->tar->commit();
  }
}

void write_token_manifests(const PipelineConfig& c, const text::Tokenizer* tokenizer, int64_t shards) {
  if (!has(c.formats, "tokens")) return;
  for (const std::string& part : part_names(c)) {
    const fs::path folder = folder_of(c, "tokens", part);
    std::vector<fs::path> files;
    for (int64_t i = 0; i < shards; ++i) files.push_back(folder / ("tokens-" + five(i) + ".bin"));
    data::write_token_manifest(folder, files, tokenizer->hash());
  }
}

}  // namespace r1::corpus
