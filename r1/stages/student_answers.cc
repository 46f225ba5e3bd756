#include "r1/stages/student_answers.h"

#include <algorithm>

#include "r1/base/rng.h"
#include "r1/data/packing.h"
#include "r1/engine/completion.h"

namespace r1::stages {

namespace {

constexpr uint64_t kDrawStream = 0x64726177, kAnswerStream = 0x616e73776572;  // "draw", "answer"

// One of a row's documents, of which it has [0, end): one that was cut is learned one token beyond that.
struct Part {
  data::Document document;
  int64_t end = 0;
};

// A row taken apart again.
std::vector<Part> parts_of(const data::Batch& row) {
  std::vector<Part> out;
  for (int64_t d = 0; d < row.documents(); ++d) {
    const size_t begin = size_t(row.cu_seqlens[size_t(d)]), end = size_t(row.cu_seqlens[size_t(d) + 1]);
    data::Document& document = out.emplace_back().document;
    out.back().end = int64_t(end - begin);
    document.ids.assign(row.ids.begin() + int64_t(begin), row.ids.begin() + int64_t(end));
    document.learned.assign(end - begin, 0);
    for (size_t t = begin; t + 1 < end; ++t) document.learned[t + 1 - begin] = row.loss_weight[t] != 0;
    if (row.loss_weight[end - 1] != 0) document.ids.push_back(row.targets[end - 1]), document.learned.push_back(1);
  }
  return out;
}

// Tokens before the last answer; nobody learns a first token.
size_t prompt_tokens(const data::Document& document) {
  size_t end = document.learned.size();
  while (end > 0 && !document.learned[end - 1]) --end;
  while (end > 0 && document.learned[end - 1]) --end;
  return end;
}

data::Batch row_of(const std::vector<Part>& parts, const std::vector<int32_t>& numbers) {
  std::vector<data::Piece> pieces;
  std::vector<data::Document> documents;
  for (const Part& part : parts) {
    pieces.push_back({documents.size(), 0, part.end});
    documents.push_back(part.document);
  }
  return data::make_row(pieces, documents, {}, {numbers.begin(), numbers.end()});
}

}  // namespace

StudentAnswers::StudentAnswers(engine::Engine& engine, const text::Tokenizer& tokenizer, Options options)
    : engine_(engine), tokenizer_(tokenizer), o_(std::move(options)) {}

bool StudentAnswers::rewrite(std::vector<data::Batch>& rows, int64_t step, const std::function<bool()>& stop) {
  struct Place {
    size_t row, document;
  };
  std::vector<std::vector<Part>> all;
  std::vector<engine::CompletionRequest> requests;
  std::vector<Place> places;
  uint64_t number = uint64_t(step) << 24;
  for (size_t r = 0; r < rows.size(); ++r) {
    all.push_back(parts_of(rows[r]));
    for (size_t d = 0; d < all[r].size(); ++d, ++number) {
      const data::Document& document = all[r][d].document;
      const size_t prompt = prompt_tokens(document);
      const int64_t room = std::min(o_.sampling.max_completion_length, o_.max_length - int64_t(prompt));
      if (prompt == 0 || room < 1 || random_uniform(o_.seed, kDrawStream, number) >= o_.share) continue;
      engine::CompletionRequest& request = requests.emplace_back();
      request.prompt.assign(document.ids.begin(), document.ids.begin() + int64_t(prompt));
      request.sampling = o_.sampling.params(room);
      request.sampling.seed = random_bits(o_.seed, kAnswerStream, number);
      request.sampling.stop_ids = o_.stop_ids;
      request.stop = o_.sampling.stop;
      places.push_back({r, d});
    }
  }
  if (requests.empty()) return true;
  bool stopped = false;
  engine::CompletionOptions options;
  options.on_step = [&](int64_t, int64_t, const engine::EngineStats&) { return !(stopped = stopped || stop()); };
  const auto completions = engine::complete(engine_, tokenizer_, requests, options);
  if (stopped) return false;
  for (size_t i = 0; i < places.size(); ++i) {
    Part& part = all[places[i].row][places[i].document];
    data::Document& document = part.document;
    document.ids = requests[i].prompt;
    document.learned.assign(document.ids.size(), 0);
    const auto& answer = completions[i][0].ids;
    document.ids.insert(document.ids.end(), answer.begin(), answer.end());
    document.learned.resize(document.ids.size(), 1);
    part.end = int64_t(document.ids.size());
  }
  for (const Place& place : places) rows[place.row] = row_of(all[place.row], rows[place.row].document);
  return true;
}

}  // namespace r1::stages
