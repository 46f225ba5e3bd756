#include "r1/text/chat_template.h"

#include "r1/base/error.h"
#include "r1/text/jinja_eval.h"
#include "r1/text/jinja_parser.h"

namespace r1::text {

struct ChatTemplate::Impl {
  std::string source, where;
  jinja::Body body;
  RenderLimits limits;
};

namespace {

// What the parser and the interpreter complain about opens with the line.
template <class F>
auto named(const std::string& where, F f) {
  try {
    return f();
  } catch (const Error& e) {
    fail(where, ":", e.what());
  }
}

}  // namespace

ChatTemplate::ChatTemplate(std::string_view source, RenderLimits limits, const std::string& where) {
  constexpr size_t kMaxSource = size_t{1} << 20;  // the largest real ones have about 30 kB
  check(source.size() <= kMaxSource, where, ": larger than ", kMaxSource, " bytes");
  // An expression level takes two levels of the grammar.
  auto body = named(where, [&] { return jinja::parse_template(source, 2 * limits.depth); });
  impl_.reset(new Impl{std::string(source), where, std::move(body), limits});
}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Rendered ChatTemplate::render(const Json& variables) const {
  if (!variables.is_object() && !variables.is_null())
    fail(impl_->where, ": expected the variables as a JSON object, got ", variables.type_name());
  return named(impl_->where, [&] { return jinja::Interpreter(impl_->limits, variables).run(impl_->body); });
}

const std::string& ChatTemplate::source() const {
  return impl_->source;
}

}  // namespace r1::text
