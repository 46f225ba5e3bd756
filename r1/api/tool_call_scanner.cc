#include "r1/api/tool_call_scanner.h"

#include <utility>

#include "r1/base/error.h"
#include "r1/base/json.h"

namespace r1::api {
namespace {

constexpr size_t kMaxDepth = 100;

bool blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool number_letter(char c) {
  return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

}  // namespace

bool JsonScanner::go(State state) {
  state_ = state;
  return state != State::kBad;
}

bool JsonScanner::value_ended() {
  return go(open_.empty() ? State::kDone : State::kComma);
}

bool JsonScanner::open(char c) {
  if (open_.size() >= kMaxDepth) return go(State::kBad);
  open_ += c;
  return go(c == '{' ? State::kFirstKey : State::kFirstItem);
}

bool JsonScanner::close(char c) {
  if (open_.empty() || open_.back() != (c == '}' ? '{' : '[')) return go(State::kBad);
  open_.pop_back();
  return value_ended();
}

bool JsonScanner::value(char c) {
  for (const std::string_view word : {"true", "false", "null"}) {
    if (c != word.front()) continue;
    word_ = word.substr(1);
    return go(State::kWord);
  }
  if (c == '{' || c == '[') return open(c);
  if (c == '"') return go(State::kString);
  return go(number_letter(c) ? State::kNumber : State::kBad);
}

bool JsonScanner::string_byte(char c) {
  if (c == '\\') return go(State::kEscape);
  if (c != '"') return true;
  if (std::exchange(key_, false)) return go(State::kColon);
  return value_ended();
}

bool JsonScanner::push(char c) {
  switch (state_) {
    case State::kString:
      return string_byte(c);
    case State::kEscape:
      hex_ = 4;
      return go(c == 'u' ? State::kHex : std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos ? State::kString : State::kBad);
    case State::kHex:
      if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))) return go(State::kBad);
      return --hex_ > 0 || go(State::kString);
    case State::kWord:
      if (word_.front() != c) return go(State::kBad);
      word_.remove_prefix(1);
      return !word_.empty() || value_ended();
    case State::kNumber:
      if (number_letter(c)) return true;
      if (open_.empty()) return go(State::kBad);  // only lists and objects are read here, so nothing ends a bare number
      state_ = State::kComma;
      break;
    default:
      break;
  }
  if (blank(c)) return state_ != State::kBad;
  switch (state_) {
    case State::kFirstItem:
      if (c == ']') return close(c);
      [[fallthrough]];
    case State::kValue:
      return value(c);
    case State::kFirstKey:
      if (c == '}') return close(c);
      [[fallthrough]];
    case State::kKey:
      key_ = c == '"';
      return go(key_ ? State::kString : State::kBad);
    case State::kColon:
      return go(c == ':' ? State::kValue : State::kBad);
    case State::kComma:
      if (c != ',') return close(c);
      return go(open_.back() == '{' ? State::kKey : State::kValue);
    default:
      return go(State::kBad);
  }
}

void append_json_byte(std::string& out, char c, bool in_string) {
  const auto byte = static_cast<unsigned char>(c);
  if (!in_string || byte >= 0x20) {
    out += c;
  } else if (c == '\n') {
    out += "\\n";
  } else if (c == '\t') {
    out += "\\t";
  } else {
    out += "\\u00";
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
}

bool ToolCallScanner::member_begins(char c) {
  const bool name = key_ == "name" && !have_name_, arguments = (key_ == "arguments" || key_ == "parameters") && !have_arguments_;
  member_ = name ? Member::kName : arguments ? Member::kArguments : Member::kOther;
  value_.clear();
  streamed_ = arguments && c == '{';
  if (name) return c == '"';
  return !arguments || streamed_ || c == '"' || c == 'n';
}

bool ToolCallScanner::member_ended() {
  const Member member = std::exchange(member_, Member::kNone);
  if (member == Member::kOther) return true;
  if (streamed_ && member == Member::kArguments) return have_arguments_ = true;
  try {
    const Json value = parse_json(value_, "a tool call");
    if (member == Member::kName) {
      name_ = value.get<std::string>();
      return have_name_ = !name_.empty();
    }
    arguments_ = value.is_null() ? "{}" : value.get<std::string>();
    return have_arguments_ = parse_json(arguments_, "a tool call").is_object();
  } catch (const Error&) {
    return false;
  }
}

bool ToolCallScanner::ended() {
  if (!have_name_ || (needs_arguments_ && !have_arguments_)) return false;
  if (!std::exchange(have_arguments_, true)) arguments_ = "{}";
  return begun_ = true;
}

bool ToolCallScanner::push(char c) {
  using State = JsonScanner::State;
  const State before = json_.state();
  const bool top = json_.depth() == 1, in_string = before == State::kString;
  if (json_.depth() == 0 && c != '{' && !blank(c)) return false;
  if (!json_.push(c)) return false;
  if (top && (before == State::kFirstKey || before == State::kKey))
    key_.clear();
  else if (top && json_.in_key())
    key_ += c;
  if (top && before == State::kValue && !blank(c) && !member_begins(c)) return false;
  if (member_ == Member::kArguments && streamed_)
    append_json_byte(arguments_, c, in_string);
  else if (member_ != Member::kNone && member_ != Member::kOther)
    append_json_byte(value_, c, in_string);
  const bool between = json_.depth() <= 1 && (json_.state() == State::kComma || json_.state() == State::kKey || json_.done());
  if (member_ != Member::kNone && between && !member_ended()) return false;
  if (json_.done()) return ended();
  if (have_name_ && (have_arguments_ || (member_ == Member::kArguments && streamed_))) begun_ = true;
  return true;
}

std::string ToolCallScanner::take_arguments() {
  return std::exchange(arguments_, {});
}

}  // namespace r1::api
