// Answers of OpenAI's routes, played through a writer, as a test compares them.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "played_answer.h"
#include "r1/api/openai_json.h"
#include "recorder.h"

namespace r1::api {

inline TokenInfo token(TokenId id, std::string bytes, float logprob, std::vector<Alternative> top = {}) {
  TokenInfo out;
  out.id = id;
  out.bytes = std::move(bytes);
  out.logprob = logprob;
  out.top = std::move(top);
  return out;
}

// Without what differs from build to build and run to run: the fingerprint and the times, which must be there.
template <class MakeWriter, class Options>
Json whole_answer(MakeWriter make, const Options& options, const std::vector<Delta>& deltas, const AnswerWriter::Finish& finish) {
  const auto recorder = std::make_shared<Recorder>();
  play(*make(options, recorder), deltas, finish);
  EXPECT_TRUE(recorder->complete());
  EXPECT_EQ(recorder->response.status, 200);
  EXPECT_EQ(recorder->response.content_type, "application/json");
  Json json = recorder->json();
  EXPECT_EQ(json["system_fingerprint"], system_fingerprint(0));
  EXPECT_EQ(recorder->header("x-r1-weights-version"), "0");
  EXPECT_EQ(json["timings"]["predicted_n"], 7);
  json.erase("system_fingerprint");
  json.erase("timings");
  return json;
}

inline std::vector<Json> chunks_of(const Recorder& recorder) {
  const std::string end = "data: [DONE]\n\n";
  std::string body = recorder.response.body;
  EXPECT_TRUE(body.ends_with(end)) << body;
  body.resize(body.size() - std::min(body.size(), end.size()));
  std::vector<Json> out;
  for (auto& [name, json] : events_of(body)) out.push_back(std::move(json));
  return out;
}

// The lines of a stream: what stands in each chunk behind the part that all have, the times as {..}.
template <class MakeWriter, class Options>
std::vector<std::string> stream_lines(MakeWriter make, const Options& options, const std::vector<Delta>& deltas,
                                      const AnswerWriter::Finish& finish, const std::string& id, const std::string& object) {
  const auto recorder = std::make_shared<Recorder>();
  play(*make(options, recorder), deltas, finish);
  EXPECT_TRUE(recorder->complete());
  EXPECT_EQ(recorder->response.status, 200);
  const std::string opening = "data: {\"id\":\"" + id + "-abcdefghijklmnopqrstuvwx\",\"object\":\"" + object +
                              "\",\"created\":1764426000,\"model\":\"tiny\",\"system_fingerprint\":\"" + system_fingerprint(0) + "\",";
  std::vector<std::string> out;
  for (size_t i = 0; i < recorder->pieces.size(); ++i) {
    std::string piece = recorder->pieces[i];
    EXPECT_TRUE(piece.ends_with("\n\n"));
    piece.resize(piece.size() - 2);
    if (i + 1 == recorder->pieces.size()) {
      EXPECT_EQ(piece, "data: [DONE]");
      break;
    }
    EXPECT_TRUE(piece.starts_with(opening)) << piece;
    piece.erase(0, opening.size());
    if (const size_t times = piece.find("\"timings\":{"); times != piece.npos)
      piece.replace(times, piece.size() - times, "\"timings\":{..}}");
    out.push_back(piece);
  }
  return out;
}

}  // namespace r1::api
