#include "r1/stages/teacher_logits.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstring>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/stages/results.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/safetensors.h"
#include "r1/train/forward.h"

namespace r1::stages {

namespace {

constexpr int64_t kShardDocuments = 512, kFormat = 2;

fs::path shard_path(const fs::path& folder, int64_t shard) {
  std::string digits = std::to_string(shard);
  return folder / ("teacher-" + std::string(6 - std::min<size_t>(6, digits.size()), '0') + digits + ".safetensors");
}

Json whole_key(const TeacherLogitsSpec& spec) {
  Json key = spec.key;
  key["format"] = kFormat, key["top_k"] = spec.top_k, key["vocab"] = spec.vocab, key["temperature"] = spec.temperature,
  key["max_length"] = spec.max_length;
  return key;
}

template <class T>
std::span<const T> column(const SafetensorsFile& file, const char* name, SafeType type) {
  const SafeTensor* tensor = file.find(name);
  if (!tensor || tensor->type != type) fail(file.name(), ": no tensor '", name, "' of ", safe_type_name(type));
  const auto bytes = file.data(*tensor);
  return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
}

// One document's learned tokens.
struct Rows {
  std::vector<int32_t> position, ids;
  std::vector<float> logprob;
};

// The rows of the teacher's answer that belong to each document of the batch.
void share_out(const data::Batch& batch, const ops::TeacherTop& top, int64_t k, std::vector<Rows>& of_document) {
  const Tensor ids = top.ids_TK.to(at::kCPU, at::kInt).contiguous(), logprob = top.logprob_TJ.to(at::kCPU, at::kFloat).contiguous();
  const int32_t* next_ids = ids.const_data_ptr<int32_t>();
  const float* next_logprob = logprob.const_data_ptr<float>();
  for (int64_t d = 0; d < batch.documents(); ++d) {
    Rows& rows = of_document[size_t(batch.document[size_t(d)])];
    for (int32_t t = batch.cu_seqlens[size_t(d)]; t < batch.cu_seqlens[size_t(d) + 1]; ++t) {
      if (batch.loss_weight[size_t(t)] == 0) continue;
      rows.position.push_back(batch.positions[size_t(t)]);
      rows.ids.insert(rows.ids.end(), next_ids, next_ids + k);
      rows.logprob.insert(rows.logprob.end(), next_logprob, next_logprob + k + 1);
      next_ids += k, next_logprob += k + 1;
    }
  }
}

void write_shard(const fs::path& path, const std::vector<Rows>& of_document, int64_t k) {
  std::vector<int64_t> first{0};
  Rows all;
  for (const Rows& rows : of_document) {
    first.push_back(first.back() + int64_t(rows.position.size()));
    all.position.insert(all.position.end(), rows.position.begin(), rows.position.end());
    all.ids.insert(all.ids.end(), rows.ids.begin(), rows.ids.end());
    all.logprob.insert(all.logprob.end(), rows.logprob.begin(), rows.logprob.end());
  }
  const int64_t n = first.back();
  const auto source = [](const char* name, SafeType type, std::vector<int64_t> shape, const auto& values) {
    return SafeSource{name, type, std::move(shape), [&values] { return std::as_bytes(std::span(values)); }};
  };
  write_safetensors(path,
                    {source("first", SafeType::kI64, {int64_t(first.size())}, first), source("position", SafeType::kI32, {n}, all.position),
                     source("ids", SafeType::kI32, {n, k}, all.ids), source("logprob", SafeType::kF32, {n, k + 1}, all.logprob)});
}

std::vector<Rows> rows_of(const std::vector<data::Document>& documents, const TeacherLogitsSpec& spec, model::Transformer& teacher) {
  const at::NoGradGuard no_grad;
  std::vector<Rows> of_document(documents.size());
  for (const data::Batch& batch : data::pack(documents, {.max_tokens = spec.max_length})) {
    throw_if_interrupted();
    const train::ForwardResult f = train::forward(teacher, batch, {.only_weighted = true, .states = true});
    Tensor x_RE = train::learned_rows(f, f.states.x_TD);
    if (!f.states.rows_R.defined()) x_RE = x_RE.index_select(0, f.loss_weight_T.nonzero().squeeze(1));
    share_out(batch, ops::linear_top(x_RE, teacher.head(), spec.top_k, spec.temperature, spec.vocab), spec.top_k, of_document);
  }
  return of_document;
}

}  // namespace

bool TeacherLogits::are_there(const TeacherLogitsSpec& spec) {
  for (const char* name : {"manifest.json", "partial.json"}) {
    const fs::path file = spec.folder / name;
    if (!fs::exists(file)) continue;
    const std::string differs = changes(parse_json_file(file).value("key", Json::object()), whole_key(spec));
    if (!differs.empty())
      fail_usage("teacher_store '", spec.folder.string(), "' holds logits of another teacher or other texts:\n", differs,
                 "name another folder, or remove that one");
    return file.filename() == "manifest.json";
  }
  return false;
}

void TeacherLogits::make(const TeacherLogitsSpec& spec, const data::DocumentSource& documents, model::Transformer& teacher) {
  if (are_there(spec)) return;
  make_folder(spec.folder);
  write_file_atomic(spec.folder / "partial.json", dump_json(Json{{"key", whole_key(spec)}}, 2) + "\n");
  const int64_t size = documents.size(), shards = (size + kShardDocuments - 1) / kShardDocuments;
  Progress bar("teacher's logits", size, "document");
  for (int64_t s = 0; s < shards; ++s) {
    const fs::path path = shard_path(spec.folder, s);
    const int64_t begin = s * kShardDocuments, end = std::min(size, begin + kShardDocuments);
    if (!fs::exists(path)) {
      std::vector<data::Document> mine;
      for (int64_t i = begin; i < end; ++i) mine.push_back(documents.document(i));
      write_shard(path, rows_of(mine, spec, teacher), spec.top_k);
    }
    bar.update(end);
  }
  bar.finish();
  write_file_atomic(spec.folder / "manifest.json",
                    dump_json(Json{{"key", whole_key(spec)}, {"documents", size}, {"shards", shards}}, 2) + "\n");
  fs::remove(spec.folder / "partial.json");
}

TeacherLogits::TeacherLogits(const TeacherLogitsSpec& spec) : top_k_(spec.top_k) {
  const int64_t shards =
      json_get<int64_t>(parse_json_file(spec.folder / "manifest.json"), "shards", (spec.folder / "manifest.json").string());
  for (int64_t s = 0; s < shards; ++s) {
    Shard shard{.file = SafetensorsFile::open(shard_path(spec.folder, s))};
    shard.first = column<int64_t>(shard.file, "first", SafeType::kI64);
    shard.position = column<int32_t>(shard.file, "position", SafeType::kI32);
    shard.ids = column<int32_t>(shard.file, "ids", SafeType::kI32);
    shard.logprob = column<float>(shard.file, "logprob", SafeType::kF32);
    const size_t rows = shard.position.size(), k = size_t(top_k_);
    if (shard.first.empty() || size_t(shard.first.back()) != rows || shard.ids.size() != rows * k || shard.logprob.size() != rows * (k + 1))
      fail(shard.file.name(), ": the tensors' sizes do not fit each other; remove ", spec.folder.string(), " and make it again");
    shards_.push_back(std::move(shard));
  }
}

ops::TeacherTop TeacherLogits::rows(const data::Batch& batch, tensor::Device device) const {
  const size_t k = size_t(top_k_);
  std::vector<int64_t> ids;
  std::vector<float> logprob;
  for (int64_t d = 0; d < batch.documents(); ++d) {
    const int64_t document = batch.document[size_t(d)];
    check(document >= 0 && document / kShardDocuments < int64_t(shards_.size()), "[teacher_logits] document ", document, " has none");
    const Shard& shard = shards_[size_t(document / kShardDocuments)];
    const size_t inside = size_t(document % kShardDocuments);
    check(inside + 1 < shard.first.size(), "[teacher_logits] document ", document, " has none");
    size_t row = size_t(shard.first[inside]);
    const size_t end = size_t(shard.first[inside + 1]);
    for (int32_t t = batch.cu_seqlens[size_t(d)]; t < batch.cu_seqlens[size_t(d) + 1]; ++t) {
      if (batch.loss_weight[size_t(t)] == 0) continue;
      check(row < end && shard.position[row] == batch.positions[size_t(t)], "[teacher_logits] ", shard.file.name(),
            " has no row for token ", batch.positions[size_t(t)], " of document ", document, ": it is of other texts; remove ",
            fs::path(shard.file.name()).parent_path().string(), " and make it again");
      ids.insert(ids.end(), shard.ids.begin() + int64_t(row * k), shard.ids.begin() + int64_t((row + 1) * k));
      logprob.insert(logprob.end(), shard.logprob.begin() + int64_t(row * (k + 1)), shard.logprob.begin() + int64_t((row + 1) * (k + 1)));
      ++row;
    }
  }
  const int64_t n = int64_t(ids.size()) / top_k_;
  return {aten::tensor(ids, at::kLong).view({n, top_k_}).to(device), aten::tensor(logprob, at::kFloat).view({n, top_k_ + 1}).to(device)};
}

}  // namespace r1::stages
