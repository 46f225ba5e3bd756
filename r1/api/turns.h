// A conversation for the chat template, put together from messages of other protocols than OpenAI's chat: their blocks and items in, messages
// of roles system, user, assistant and tool out. Neighbours of one role become one message, as these protocols mean them and as templates want
// them; a tool's result gets the name of the call that it answers.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "r1/api/generation.h"

namespace r1::api {

class Turns {
 public:
  // A system, developer or user message. System and developer messages in front become one system message: most templates know no second.
  void say(const std::string& role, const std::string& text);
  // Parts of the assistant's message, until somebody else says something.
  void answer(const std::string& text);
  void think(const std::string& text);
  // `arguments`: an object, as templates want it. Without an id it gets one.
  void call(std::string id, const std::string& name, Json arguments);
  // A tool's result. Without an id it answers the first call that has no answer.
  void result(std::string id, const std::string& name, const std::string& text);

  bool empty() const { return messages_.empty(); }
  bool ends_with_call() const { return ends_with_answer() && !messages_.back().calls.empty(); }
  // The conversation into request.chat. An answer at its end is gone on with.
  void move_to(GenerationRequest& request);

 private:
  bool ends_with_answer() const { return !messages_.empty() && messages_.back().role == "assistant"; }
  data::Messages take();

  struct Message {
    std::string role, text, thought;
    bool has_text = false;
    std::vector<Json> calls = {};
    std::string call_id = {}, name = {};
  };
  Message& last(const std::string& role);
  static void append(std::string& to, const std::string& text);

  std::vector<Message> messages_;
  std::map<std::string, std::string> names_;  // of calls, by id
  std::vector<std::string> open_;             // ids of calls without a result
  size_t calls_ = 0;
};

// A tool as templates and the service want it, checked: a name of 1 to 128 letters, digits and _ - . : /; parameters an object, null and {} for an
// object of no known properties. `path` is where it stands in the body.
Tool make_tool(const std::string& name, const std::string& description, Json parameters, const std::string& path);

// The named tool is the one to call, or ApiError 400.
void choose_tool(GenerationRequest& request, const std::string& name, const std::string& path);

// A schema as response_format has it: an object. ApiError 400 at `path` if it is not.
AnswerFormat schema_format(const Json& schema, const std::string& path);

// "none" is no thinking; any other effort is thinking. The template is told which (reasoning_effort).
void set_effort(GenerationRequest& request, const std::string& effort);

// Tools, and thinking as well, as variables for the template, when all of the request is read.
void tell_tools(GenerationRequest& request);
void tell_template(GenerationRequest& request);

}  // namespace r1::api
