// r1 tokenizer render: chat messages to the prompt that the model's own template makes of them, a JSON value a line in and out.
#include <optional>
#include <string>

#include "r1/app/command.h"
#include "r1/app/json_lines.h"
#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/model/local_models.h"
#include "r1/text/chat_template.h"
#include "r1/text/tokenizer.h"

namespace r1::app {
namespace {

struct RenderConfig {
  std::string tokenizer, chat_template;
  bool add_generation_prompt = false;
  void visit(Fields& v) {
    v("tokenizer", tokenizer, kTokenizerHelp, Required{});
    v("add_generation_prompt", add_generation_prompt, "end where the assistant begins to speak");
    v("chat_template", chat_template, "a file with another Jinja template than the tokenizer's own");
  }
};

// A line is the array of messages, or an object of template variables with "messages" among them (tools, enable_thinking, ...).
int render(const RenderConfig& config, const CommonOptions&) {
  const auto tokenizer = text::Tokenizer::load(model::find_tokenizer(config.tokenizer));
  const bool own = config.chat_template.empty();
  const std::string source = own ? tokenizer.chat_template() : read_file(config.chat_template);
  if (source.empty()) fail(config.tokenizer, ": no chat template here; give one with --chat_template FILE");
  const text::ChatTemplate chat(source, {}, own ? tokenizer.chat_template_where() : config.chat_template);
  return for_each_line([&](const Json& line, const std::string& where) -> Json {
    Json variables = line.is_array() ? Json{{"messages", line}} : line;
    if (!variables.is_object() || !variables.contains("messages"))
      fail(where, ": expected a JSON array of messages, or an object with \"messages\"");
    const auto set = [&](const char* key, const std::optional<text::TokenId>& id) {
      if (id && !variables.contains(key)) variables[key] = tokenizer.token_bytes(*id);
    };
    set("bos_token", tokenizer.bos_id());
    set("eos_token", tokenizer.eos_id());
    set("pad_token", tokenizer.pad_id());
    if (!variables.contains("add_generation_prompt")) variables["add_generation_prompt"] = config.add_generation_prompt;
    return chat.render(variables).text;
  });
}

}  // namespace

Command cmd_tokenizer_render() {
  return make_command<RenderConfig>("tokenizer render", "JSON messages on stdin to prompts by the chat template, a line each", render,
                                    {"tokenizer"});
}

}  // namespace r1::app
