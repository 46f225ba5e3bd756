#include "r1/http/exchange.h"

#include "r1/http/error.h"

namespace r1::http {
namespace {

class Handle final : public Responder {
 public:
  explicit Handle(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}
  ~Handle() override { exchange_->abandon(); }
  void send(Response response) override { exchange_->send(response); }
  void begin(int status, std::string content_type, Headers headers) override { exchange_->begin(status, content_type, headers); }
  void write(std::string piece) override { exchange_->write(piece); }
  void end() override { exchange_->end(); }
  bool gone() const override { return exchange_->gone(); }
  void on_gone(std::function<void()> callback) override { exchange_->on_gone(std::move(callback)); }

 private:
  std::shared_ptr<Exchange> exchange_;
};

}  // namespace

Exchange::Exchange(HeadContext context, bool head_only, int64_t max_unread, std::function<void()> wake)
    : context_(std::move(context)),
      head_only_(head_only),
      max_unread_(size_t(max_unread)),
      wake_(std::move(wake)),
      keep_alive_(context_.keep_alive) {}

ResponderPtr Exchange::responder() {
  return std::make_shared<Handle>(shared_from_this());
}

void Exchange::wake() {
  if (woken_ || closed_) return;
  woken_ = true;
  wake_();
}

void Exchange::send(const Response& response) {
  std::function<void()> dropped;  // callbacks go outside of the lock: they may hold the last reference to anything
  const std::lock_guard lock(mutex_);
  if (stage_ != Stage::kFresh || closed_) return;
  stage_ = Stage::kDone;
  dropped.swap(callback_);
  const std::string text = whole_answer(response, context_, head_only_);
  out_ += text;
  unsent_ += text.size();
  wake();
}

void Exchange::begin(int status, const std::string& content_type, const Headers& headers) {
  const std::lock_guard lock(mutex_);
  if (stage_ != Stage::kFresh || closed_) return;
  stage_ = Stage::kStreaming;
  bare_ = context_.http10;
  keep_alive_ = context_.keep_alive && !bare_;
  events_ = content_type.starts_with("text/event-stream");
  const std::string text = stream_head(status, content_type, headers, context_);
  out_ += text;
  unsent_ += text.size();
  wake();
}

void Exchange::write(std::string_view piece) {
  const std::lock_guard lock(mutex_);
  if (stage_ != Stage::kStreaming || closed_ || overflowed_ || head_only_ || piece.empty()) return;
  if (unsent_ > 0 && unsent_ + piece.size() > max_unread_) {
    overflowed_ = true;
  } else {
    const size_t before = out_.size();
    if (bare_)
      out_ += piece;
    else
      append_chunk(out_, piece);
    unsent_ += out_.size() - before;
  }
  wake();
}

void Exchange::end() {
  std::function<void()> dropped;
  const std::lock_guard lock(mutex_);
  if (stage_ != Stage::kStreaming || closed_ || overflowed_) return;
  stage_ = Stage::kDone;
  dropped.swap(callback_);
  if (!bare_ && !head_only_) {
    out_ += "0\r\n\r\n";
    unsent_ += 5;
  }
  wake();
}

void Exchange::abandon() {
  {
    const std::lock_guard lock(mutex_);
    if (stage_ == Stage::kDone || closed_) return;
    if (stage_ == Stage::kStreaming) {
      abandoned_ = true;
      return wake();
    }
  }
  send(error_response(ApiError(500, "the request was given up without an answer; the server's log may have more")));
}

bool Exchange::gone() const {
  const std::lock_guard lock(mutex_);
  return (closed_ || overflowed_) && stage_ != Stage::kDone;
}

void Exchange::on_gone(std::function<void()> callback) {
  std::function<void()> before;
  {
    const std::lock_guard lock(mutex_);
    if (stage_ == Stage::kDone) return;
    if (!closed_) {
      before.swap(callback_);
      callback_ = std::move(callback);
      return;
    }
  }
  callback();
}

void Exchange::take(std::string& out) {
  const std::lock_guard lock(mutex_);
  out.swap(out_);
}

void Exchange::sent(size_t bytes) {
  const std::lock_guard lock(mutex_);
  unsent_ -= bytes;
}

Exchange::State Exchange::state() const {
  const std::lock_guard lock(mutex_);
  if (abandoned_ || overflowed_) return State::kCut;
  return stage_ == Stage::kDone && unsent_ == 0 ? State::kComplete : State::kOpen;
}

bool Exchange::look() {
  const std::lock_guard lock(mutex_);
  woken_ = false;
  return !overflowed_;
}

bool Exchange::keep_alive() const {
  const std::lock_guard lock(mutex_);
  return keep_alive_;
}

bool Exchange::probe() {
  {
    const std::lock_guard lock(mutex_);
    if (stage_ == Stage::kDone) return true;  // the rest of the answer is the probe
    if (stage_ == Stage::kFresh) {
      if (context_.http10 || closed_) return false;
      constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      out_ += kContinue;
      unsent_ += kContinue.size();
      wake();
      return true;
    }
    if (unsent_ > 0) return true;  // so are bytes on their way
  }
  return comment();
}

bool Exchange::comment() {
  const std::lock_guard lock(mutex_);
  if (stage_ != Stage::kStreaming || !events_ || bare_ || head_only_ || closed_ || abandoned_ || overflowed_ || unsent_ > 0) return false;
  append_chunk(out_, ":\n\n");
  unsent_ += out_.size();
  wake();
  return true;
}

void Exchange::close() {
  std::function<void()> callback, wake;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
    wake.swap(wake_);
    callback.swap(callback_);
    if (stage_ == Stage::kDone) callback = nullptr;
    std::string().swap(out_);
  }
  if (callback) callback();
}

}  // namespace r1::http
