// Ollama's API, as far as its clients need it to talk: /api/chat and /api/generate (a line of JSON a piece, unless "stream": false),
// /api/embed and /api/embeddings, and what lists the one model that is served: /api/tags, /api/show, /api/ps, /api/version. Models are not
// pulled, made or deleted. A prompt is never cut to fit: num_ctx and the other options of Ollama's loader are taken, have no effect, and are
// named in the header x-r1-ignored. A ":latest" behind the model's name means nothing.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "r1/api/body.h"
#include "r1/api/generation.h"
#include "r1/http/message.h"

namespace r1::api {

struct OllamaFunctionCall {
  std::string name;
  Json arguments;
  void visit(Body& v);
};
struct OllamaToolCall {
  std::string id;
  OllamaFunctionCall function;
  void visit(Body& v);
};
struct OllamaMessage {
  std::string role, content, thinking, tool_name, tool_call_id;
  std::vector<std::string> images;
  std::vector<OllamaToolCall> tool_calls;
  void visit(Body& v);
};
struct OllamaFunction {
  std::string name, description;
  Json parameters;
  void visit(Body& v);
};
struct OllamaTool {
  std::string type;
  OllamaFunction function;
  void visit(Body& v);
};

struct OllamaOptions {
  std::optional<double> temperature, top_p, min_p, repeat_penalty, presence_penalty, frequency_penalty;
  std::optional<int64_t> top_k, seed, num_predict;
  Json stop;
  std::map<std::string, Json> without_effect;  // as the request has them
  void visit(Body& v);
};

// What /api/chat and /api/generate share.
struct OllamaBody {
  std::string model;
  std::optional<OllamaOptions> options;
  Json format, think, keep_alive;
  bool stream = true, logprobs = false;
  int64_t top_logprobs = 0;
  void visit(Body& v);
};
struct OllamaChatBody : OllamaBody {
  std::vector<OllamaMessage> messages;
  std::vector<OllamaTool> tools;
  void visit(Body& v);
};
struct OllamaGenerateBody : OllamaBody {
  std::string prompt, suffix, system, prompt_template;
  std::vector<std::string> images;
  std::vector<int64_t> context;
  bool raw = false;
  void visit(Body& v);
};
struct OllamaEmbedBody {
  std::string model, prompt;
  std::optional<OllamaOptions> options;
  Json input, keep_alive;
  std::optional<bool> truncate;
  std::optional<int64_t> dimensions;
  void visit(Body& v);
};
struct OllamaShowBody {
  std::string model;
  bool verbose = false;
  void visit(Body& v);
};

// Nothing if the request has neither messages nor a prompt: such a one asks for the model to be loaded (or unloaded), and is answered here.
std::optional<Generation> read_ollama_chat(const std::string& body, const http::ResponderPtr& responder);
// `has_template`: the prompt goes through the model's chat template, unless it is "raw" or has a suffix.
std::optional<Generation> read_ollama_generate(const std::string& body, bool has_template, const http::ResponderPtr& responder);

struct OllamaEmbedRequest {
  std::string model;
  std::vector<std::string> texts = {};
  bool truncate = false;   // only if asked for by name
  int64_t dimensions = 0;  // 0: all
};
OllamaEmbedRequest read_ollama_embed(const std::string& body);       // /api/embed
OllamaEmbedRequest read_ollama_embeddings(const std::string& body);  // /api/embeddings, the older one: one prompt
// Rows are scaled to length one, cut to `dimensions` first, as Ollama does.
Json ollama_embed(const OllamaEmbedRequest& request, const std::string& model, const std::vector<std::vector<float>>& rows,
                  int64_t prompt_tokens, double seconds);
Json ollama_embeddings(const std::vector<float>& row);
std::string read_ollama_show(const std::string& body);  // the model's name

// The served model, as the lists tell of it.
struct OllamaModel {
  std::string name, format, family, quantization, chat_template, license;  // format: safetensors, gguf; quantization: F32, BF16, Q4_0
  std::string digest;                                                      // 64 hex digits, or empty
  int64_t bytes = 0, parameters = 0, modified = 0;                         // modified: Unix seconds
  int64_t context_length = 0, hidden_size = 0, layers = 0, vocab_size = 0;
  bool on_gpu = false, tools = false, thinking = false, fill_in = false;
};
Json ollama_tags(const OllamaModel& model);
Json ollama_show(const OllamaModel& model);
Json ollama_ps(const OllamaModel& model);
Json ollama_version();

}  // namespace r1::api
