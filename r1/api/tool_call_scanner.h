// A tool call's JSON as it comes, byte by byte: its name, and then the arguments' text as far as it is there. What is found depends on the
// bytes read so far alone, not on the pieces that they came in.
#pragma once

#include <string>
#include <string_view>

namespace r1::api {

// Where in a JSON value its next byte stands. Lenient with what models write: numbers are known by their letters only, and a control
// character inside of a string, which JSON does not have, is let through.
class JsonScanner {
 public:
  enum class State { kValue, kFirstItem, kFirstKey, kKey, kColon, kComma, kString, kEscape, kHex, kNumber, kWord, kDone, kBad };
  // False: the byte can't stand there, and the state is kBad. Not to be called when done.
  bool push(char c);
  State state() const { return state_; }
  bool done() const { return state_ == State::kDone; }
  size_t depth() const { return open_.size(); }  // lists and objects that are open
  bool in_key() const { return key_; }           // inside of a key's quotes

 private:
  bool go(State state);
  bool value(char c);
  bool open(char c);
  bool close(char c);
  bool value_ended();
  bool string_byte(char c);

  State state_ = State::kValue;
  std::string open_;  // '{' and '['
  bool key_ = false;
  int hex_ = 0;
  std::string_view word_;  // what is left of true, false, null
};

// Adds a byte of JSON; a control character inside of a string as the escape that JSON has for it.
void append_json_byte(std::string& out, char c, bool in_string);

// {"name": "..", "arguments": {..}}, in any order, "parameters" for "arguments"; other members are passed over. Arguments that are a string
// are the JSON inside of it; none at all are {}, unless they are needed for a call to be told from other JSON.
class ToolCallScanner {
 public:
  explicit ToolCallScanner(bool needs_arguments = false) : needs_arguments_(needs_arguments) {}
  // False: the text is no call. If begun(), it is one whose arguments break off (in_arguments()), or that something odd follows.
  bool push(char c);
  bool begun() const { return begun_; }  // name() is known, and so is a part of the arguments
  bool done() const { return json_.done(); }
  bool in_arguments() const { return member_ == Member::kArguments; }
  const std::string& name() const { return name_; }
  std::string take_arguments();  // what has come since the last call

 private:
  enum class Member { kNone, kOther, kName, kArguments };  // whose value is being read
  bool member_begins(char c);
  bool member_ended();
  bool ended();

  JsonScanner json_;
  std::string key_, value_, name_, arguments_;
  Member member_ = Member::kNone;
  bool needs_arguments_;
  bool streamed_ = false, begun_ = false, have_name_ = false, have_arguments_ = false;
};

}  // namespace r1::api
