#include "r1/text/chat_template.h"

#include "r1/base/error.h"
#include "r1/text/jinja_eval.h"
#include "r1/text/jinja_parser.h"

namespace r1::text {

struct ChatTemplate::Impl {
  jinja::Body body;
  RenderLimits limits;
};

ChatTemplate::ChatTemplate(std::string_view source, RenderLimits limits) {
  constexpr size_t kMaxSource = size_t{1} << 20;  // the largest real ones have about 30 kB
  check(source.size() <= kMaxSource, "chat template: larger than ", kMaxSource, " bytes");
  impl_.reset(new Impl{jinja::parse_template(source, 2 * limits.depth), limits});  // an expression level takes two levels of the grammar
}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Rendered ChatTemplate::render(const Json& variables) const {
  return jinja::Interpreter(impl_->limits, variables).run(impl_->body);
}

}  // namespace r1::text
