#include "r1/api/answer_parser.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "r1/api/random_id.h"
#include "r1/api/tool_call_scanner.h"

namespace r1::api {
namespace {

using ToolFormat = AnswerParserOptions::ToolFormat;

constexpr std::string_view kBlanks = " \t\n\r";
constexpr std::string_view kHermesOpen = "<tool_call>", kHermesClose = "</tool_call>";
constexpr std::string_view kDeepSeekCalls = "<｜tool▁calls▁begin｜>", kDeepSeekCallsEnd = "<｜tool▁calls▁end｜>";
constexpr std::string_view kDeepSeekOpen = "<｜tool▁call▁begin｜>", kDeepSeekClose = "<｜tool▁call▁end｜>",
                           kDeepSeekSeparator = "<｜tool▁sep｜>";
constexpr std::string_view kPythonTag = "<|python_tag|>", kFence = "```";

constexpr size_t kMaxUnread = 256 << 10;  // of what may still become a call
constexpr size_t kMaxHead = 1024;         // DeepSeek: of what stands before a call's arguments

// Without the blanks at the end of text[0 .. end).
size_t blanks_before(std::string_view text, size_t end) {
  while (end > 0 && kBlanks.find(text[end - 1]) != kBlanks.npos) --end;
  return end;
}

size_t blanks_after(std::string_view text, size_t begin) {
  return std::min(text.find_first_not_of(kBlanks, begin), text.size());
}

// Whether `text`, to its end, may be the beginning of `tag`.
bool begins(std::string_view tag, std::string_view text) {
  return text.size() < tag.size() && tag.starts_with(text);
}

// Where the longest end of `text` starts that may be the beginning of `tag`.
size_t tag_may_start(std::string_view text, std::string_view tag) {
  for (size_t at = text.size() - std::min(text.size(), tag.size() - 1); at < text.size(); ++at)
    if (begins(tag, text.substr(at))) return at;
  return text.size();
}

}  // namespace

ToolFormat tool_format_of(std::string_view chat_template) {
  const auto has = [&](std::string_view text) { return chat_template.find(text) != chat_template.npos; };
  if (has(kDeepSeekOpen)) return ToolFormat::kDeepSeek;
  if (has(kHermesOpen)) return ToolFormat::kHermes;
  if (has("\"parameters\"") && (has("ipython") || has(kPythonTag))) return ToolFormat::kLlama3;
  return ToolFormat::kNone;
}

struct AnswerParser::Impl {
  enum class State {
    kStart,         // a thought may begin
    kThoughtStart,  // blanks, and the tag once more where the template has written it
    kThought,
    kContentStart,  // blanks after a thought or a call
    kContent,
    kHead,           // DeepSeek: from a call's tag to its arguments
    kCall,           // a call's JSON
    kCallArguments,  // DeepSeek: those of a call
    kRaw,            // arguments that turned out to be no JSON: all up to the closing tag
    kAfterCall,      // up to the closing tag
    kArguments       // all that comes is arguments
  };

  AnswerParserOptions options;
  State state = State::kContent;
  std::string text;       // not taken yet
  std::string blanks;     // before text: they go out before what follows, but not before a tag
  std::string call_tag;   // of the call that is being read, with the blanks before it
  std::string call_text;  // of one that has not begun: it may turn out to be none
  ToolCallScanner call;
  JsonScanner arguments;
  int64_t calls = 0;
  bool think_again = false;  // the model may repeat the template's tag
  bool plain = false;        // Llama 3: no call comes any more
  bool ending = false;
  Delta delta;

  explicit Impl(const AnswerParserOptions& o) : options(o), think_again(o.in_thought) {
    state = !o.thoughts ? answer_start() : o.in_thought ? State::kThoughtStart : State::kStart;
  }

  State answer_start() const { return options.whole_is_arguments ? State::kArguments : State::kContent; }
  void take(size_t n) { text.erase(0, n); }
  // Whether `rest`, to the text's end, may still become the tag.
  bool may_become(std::string_view tag, std::string_view rest) const { return !ending && begins(tag, rest); }
  std::string_view close_tag() const;
  void begin_call(const std::string& name);
  void add_arguments(std::string_view piece);
  bool open_call(std::string tag, State next);
  bool no_call();

  // Each takes what it can; false: it needs more text.
  bool step();
  bool start();
  bool thought_start();
  bool thought();
  bool content_start();
  bool content();
  bool llama_content();
  bool head();
  bool call_json();
  bool call_arguments();
  bool raw();
  bool after_call();
  bool whole_arguments();

  void run() {
    while (!text.empty() && step()) {
    }
  }
  void give(std::string& out, size_t n);
  void hold_blanks();
};

// The first n bytes of the text, but for blanks at their end.
void AnswerParser::Impl::give(std::string& out, size_t n) {
  const size_t end = blanks_before(text, n);
  if (end > 0) {
    out += std::exchange(blanks, {});
    out.append(text, 0, end);
  }
  blanks.append(text, end, n - end);
  take(n);
}

// Those that the text begins with.
void AnswerParser::Impl::hold_blanks() {
  const size_t end = blanks_after(text, 0);
  blanks.append(text, 0, end);
  take(end);
}

std::string_view AnswerParser::Impl::close_tag() const {
  switch (options.tool_format) {
    case ToolFormat::kHermes:
      return kHermesClose;
    case ToolFormat::kDeepSeek:
      return kDeepSeekClose;
    default:
      return {};
  }
}

void AnswerParser::Impl::begin_call(const std::string& name) {
  delta.tool_calls.push_back({calls++, "call_" + random_id(24), name, ""});
}

void AnswerParser::Impl::add_arguments(std::string_view piece) {
  if (piece.empty()) return;
  if (delta.tool_calls.empty()) delta.tool_calls.push_back({calls - 1, "", "", ""});
  delta.tool_calls.back().arguments += piece;
}

bool AnswerParser::Impl::open_call(std::string tag, State next) {
  call_tag = std::move(tag);
  call_text.clear();
  call = ToolCallScanner(options.tool_format == ToolFormat::kLlama3);
  arguments = {};
  state = next;
  return true;
}

// What was taken for a call is content; behind its tag another one may be found.
bool AnswerParser::Impl::no_call() {
  delta.content += call_tag;
  blanks.clear();
  text.insert(0, std::exchange(call_text, {}));
  plain = options.tool_format == ToolFormat::kLlama3;
  state = State::kContent;
  return true;
}

bool AnswerParser::Impl::start() {
  hold_blanks();
  if (text.empty() || may_become(options.think_open, text)) return false;
  state = answer_start();
  if (!text.starts_with(options.think_open)) return true;
  blanks.clear();
  take(options.think_open.size());
  state = State::kThoughtStart;
  return true;
}

bool AnswerParser::Impl::thought_start() {
  take(blanks_after(text, 0));
  if (text.empty() || (think_again && may_become(options.think_open, text))) return false;
  if (std::exchange(think_again, false) && text.starts_with(options.think_open)) {
    take(options.think_open.size());
    return true;
  }
  state = State::kThought;
  return true;
}

bool AnswerParser::Impl::thought() {
  const size_t end = text.find(options.think_close);
  give(delta.reasoning, end != text.npos ? end : ending ? text.size() : tag_may_start(text, options.think_close));
  if (end == text.npos) return false;
  blanks.clear();
  take(options.think_close.size());
  state = options.whole_is_arguments ? State::kArguments : State::kContentStart;
  return true;
}

bool AnswerParser::Impl::content_start() {
  take(blanks_after(text, 0));
  if (text.empty()) return false;
  state = State::kContent;
  return true;
}

// Calls are found only where the answer begins.
bool AnswerParser::Impl::llama_content() {
  hold_blanks();
  if (text.empty() || may_become(kPythonTag, text)) return false;
  const bool tag = text.starts_with(kPythonTag);
  if (!tag && !text.starts_with('{')) return plain = true;
  if (tag) take(kPythonTag.size());
  return open_call(std::exchange(blanks, {}) + std::string(tag ? kPythonTag : std::string_view()), State::kCall);
}

bool AnswerParser::Impl::content() {
  const bool deep_seek = options.tool_format == ToolFormat::kDeepSeek;
  if (options.tool_format == ToolFormat::kLlama3 && !plain) return llama_content();
  if (close_tag().empty()) {
    delta.content += std::exchange(blanks, {}) + std::exchange(text, {});
    return false;
  }
  size_t at = text.npos, sure = text.size();
  std::string_view found;
  const auto look_for = [&](std::string_view tag) {
    if (const size_t here = text.find(tag); here < at) at = here, found = tag;
    if (!ending) sure = std::min(sure, tag_may_start(text, tag));
  };
  if (options.tool_format == ToolFormat::kHermes) look_for(kHermesOpen);
  if (deep_seek) look_for(kDeepSeekOpen), look_for(kDeepSeekCalls), look_for(kDeepSeekCallsEnd);

  give(delta.content, std::min(at, sure));
  if (found.empty()) return false;
  std::string tag = std::exchange(blanks, {}) + std::string(found);
  take(found.size());
  if (found == kHermesOpen) return open_call(std::move(tag), State::kCall);
  if (found == kDeepSeekOpen) return open_call(std::move(tag), State::kHead);
  state = State::kContentStart;
  return true;
}

// "function", the separator, name, a line end and "```json"; or, since V3.1, the name and the separator.
bool AnswerParser::Impl::head() {
  const std::string_view part = std::string_view(text).substr(0, kMaxHead);
  const auto wait_or_no_call = [&] { return ending || text.size() >= kMaxHead ? no_call() : false; };
  const auto without_blanks = [](std::string_view word) {
    word.remove_prefix(blanks_after(word, 0));
    return word.substr(0, blanks_before(word, word.size()));
  };
  const size_t separator = part.find(kDeepSeekSeparator);
  if (separator == part.npos) return wait_or_no_call();
  std::string_view name = without_blanks(part.substr(0, separator));
  size_t at = separator + kDeepSeekSeparator.size();
  if (name == "function") {
    const size_t line = part.find('\n', at);
    if (line == part.npos) return wait_or_no_call();
    name = without_blanks(part.substr(at, line - at));
    at = line;
  }
  for (const std::string_view word : {kFence, std::string_view("json")}) {
    at = blanks_after(part, at);
    const std::string_view rest = part.substr(at);
    if (begins(word, rest)) return wait_or_no_call();
    if (rest.starts_with(word)) at += word.size();
  }
  at = blanks_after(part, at);
  if (at == part.size()) return wait_or_no_call();
  if (part[at] != '{' || name.empty()) return no_call();
  begin_call(std::string(name));
  take(at);
  state = State::kCallArguments;
  return true;
}

bool AnswerParser::Impl::call_json() {
  for (size_t i = 0; i < text.size(); ++i) {
    const bool begun = call.begun();
    const bool good = call.push(text[i]) && (begun || call_text.size() < kMaxUnread);
    if (!good && !begun) return take(i), no_call();
    if (!begun && call.begun()) begin_call(call.name());
    if (good && !call.done()) {
      if (!begun) call_text += text[i];
      continue;
    }
    add_arguments(call.take_arguments());
    state = !good && call.in_arguments() ? State::kRaw : State::kAfterCall;
    take(good ? i + 1 : i);
    return true;
  }
  if (call.begun()) add_arguments(call.take_arguments());
  text.clear();
  return false;
}

bool AnswerParser::Impl::call_arguments() {
  std::string piece;
  size_t i = 0;
  while (i < text.size() && state == State::kCallArguments) {
    const bool in_string = arguments.state() == JsonScanner::State::kString;
    if (!arguments.push(text[i])) {
      state = State::kRaw;
      break;
    }
    append_json_byte(piece, text[i++], in_string);
    if (arguments.done()) state = State::kAfterCall;
  }
  add_arguments(piece);
  take(i);
  return true;
}

bool AnswerParser::Impl::raw() {
  const std::string_view tag = close_tag();
  const size_t close = tag.empty() ? text.npos : text.find(tag);
  std::string piece;
  give(piece, close != text.npos ? close : ending || tag.empty() ? text.size() : tag_may_start(text, tag));
  add_arguments(piece);
  if (close == text.npos) return false;
  blanks.clear();
  state = State::kAfterCall;
  return true;
}

bool AnswerParser::Impl::after_call() {
  const bool llama = options.tool_format == ToolFormat::kLlama3;
  take(blanks_after(text, 0));
  if (text.empty()) return false;
  const std::string_view odd = llama                                          ? std::string_view(";,")
                               : options.tool_format == ToolFormat::kDeepSeek ? std::string_view("`")
                                                                              : std::string_view("}");
  if (odd.find(text.front()) != odd.npos) return take(1), true;
  if (llama && text.front() == '{') return open_call("", State::kCall);
  if (may_become(close_tag(), text)) return false;
  if (!llama && text.starts_with(close_tag())) take(close_tag().size());
  plain = llama;
  state = State::kContentStart;
  return true;
}

bool AnswerParser::Impl::whole_arguments() {
  std::string piece;
  give(piece, text.size());
  if (calls == 0) {
    piece.erase(0, blanks_after(piece, 0));
    if (!piece.empty()) begin_call(options.tool_name);
  }
  add_arguments(piece);
  return false;
}

bool AnswerParser::Impl::step() {
  switch (state) {
    case State::kStart:
      return start();
    case State::kThoughtStart:
      return thought_start();
    case State::kThought:
      return thought();
    case State::kContentStart:
      return content_start();
    case State::kContent:
      return content();
    case State::kHead:
      return head();
    case State::kCall:
      return call_json();
    case State::kCallArguments:
      return call_arguments();
    case State::kRaw:
      return raw();
    case State::kAfterCall:
      return after_call();
    case State::kArguments:
      return whole_arguments();
  }
  return false;
}

AnswerParser::AnswerParser(const AnswerParserOptions& options) : impl_(std::make_unique<Impl>(options)) {}
AnswerParser::~AnswerParser() = default;

Delta AnswerParser::push(std::string_view text) {
  impl_->text += text;
  impl_->run();
  return std::exchange(impl_->delta, {});
}

Delta AnswerParser::finish() {
  Impl& in = *impl_;
  in.ending = true;
  in.run();
  while (in.state == Impl::State::kHead || (in.state == Impl::State::kCall && !in.call.begun())) {
    in.no_call();
    in.run();
  }
  if (in.state == Impl::State::kThought) in.delta.reasoning += in.blanks;
  if (in.state == Impl::State::kContent || in.state == Impl::State::kStart) in.delta.content += in.blanks;
  return std::exchange(in.delta, {});
}

bool AnswerParser::in_thought() const {
  return impl_->state == Impl::State::kThoughtStart || impl_->state == Impl::State::kThought;
}

int64_t AnswerParser::tool_calls() const {
  return impl_->calls;
}

}  // namespace r1::api
