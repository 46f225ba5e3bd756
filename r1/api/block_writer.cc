#include "r1/api/block_writer.h"

#include "r1/api/openai_json.h"

namespace r1::api {

http::Headers ignored_headers(const Ignored& ignored) {
  if (ignored.empty()) return {};
  std::string list;
  for (const std::string& path : ignored) {
    if (list.size() > 1000) {
      list += ", ...";
      break;
    }
    list += (list.empty() ? "" : ", ") + path;
  }
  return {{"x-r1-ignored", list}};
}

http::Handler with_error_shape(http::Handler handler, ErrorShape shape) {
  return [handler = std::move(handler), shape](const http::RequestPtr& request, const http::ResponderPtr& responder) {
    try {
      handler(request, responder);
    } catch (const std::exception& error) {
      responder->send(shape(error));
    }
  };
}

http::Response error_with(const http::ApiError& error, const Json& body) {
  http::Response response{.status = error.status, .body = dump_json(body)};
  if (error.retry_after > 0) response.headers.emplace_back("retry-after", std::to_string(error.retry_after));
  return response;
}

http::Response plain_error(const std::exception& error) {
  const http::ApiError api = http::as_api_error(error);
  return error_with(api, {{"error", api.what()}});
}

BlockWriter::BlockWriter(http::ResponderPtr responder, bool stream, std::string content_type, const Ignored& ignored)
    : stream_(stream), responder_(std::move(responder)), content_type_(std::move(content_type)), headers_(ignored_headers(ignored)) {}

void BlockWriter::start(const Head& head) {
  head_ = head;
  headers_.push_back(weights_header(head.model_version));
  if (head.truncated) headers_.emplace_back("x-r1-truncated", "true");
  if (!stream_) return;
  const http::Headers streaming = event_headers();
  headers_.insert(headers_.end(), streaming.begin(), streaming.end());
  responder_->begin(200, content_type_, headers_);
  begun_ = true;
  begun();
}

BlockWriter::Block& BlockWriter::open(Block block) {
  close(false);
  blocks_.push_back(std::move(block));
  open_ = true;
  if (stream_) opened(blocks_.back(), blocks_.size() - 1);
  return blocks_.back();
}

void BlockWriter::close(bool cut) {
  if (open_ && stream_) closed(blocks_.back(), blocks_.size() - 1, cut);
  open_ = false;
}

void BlockWriter::grow(Block& block, const std::string& piece) {
  block.text += piece;
  std::span<const TokenInfo> fresh;
  if (block.kind == Block::Kind::kText && !waiting_.empty()) {
    const size_t had = block.tokens.size();
    block.tokens.insert(block.tokens.end(), std::make_move_iterator(waiting_.begin()), std::make_move_iterator(waiting_.end()));
    waiting_.clear();
    fresh = std::span(block.tokens).subspan(had);
  }
  if (stream_) grew(block, blocks_.size() - 1, piece, fresh);
}

void BlockWriter::delta(int64_t, const Delta& delta) {
  using Kind = Block::Kind;
  const auto last = [&](Kind kind) { return open_ && blocks_.back().kind == kind; };
  // Tokens of thoughts and calls stand in no text: their log-probabilities have no place in these protocols.
  if (delta.reasoning.empty() && delta.tool_calls.empty())
    waiting_.insert(waiting_.end(), delta.tokens.begin(), delta.tokens.end());
  else
    waiting_.clear();
  if (!delta.reasoning.empty()) grow(last(Kind::kThought) ? blocks_.back() : open({Kind::kThought, {}}), delta.reasoning);
  if (!delta.content.empty()) grow(last(Kind::kText) ? blocks_.back() : open({Kind::kText, {}}), delta.content);
  for (const ToolCallDelta& call : delta.tool_calls) {
    const bool same = last(Kind::kToolCall) && call.index == call_;
    call_ = call.index;
    Block& block = same ? blocks_.back() : open({Kind::kToolCall, {}, call.id, call.name});
    if (!call.arguments.empty()) grow(block, call.arguments);
  }
}

void BlockWriter::finish(int64_t, const Finish& finish) {
  finish_ = finish;
  close(cut());
}

void BlockWriter::end(const Usage& usage, const Timings& timings) {
  usage_ = usage;
  timings_ = timings;
  if (stream_) {
    ended();
    responder_->end();
  } else {
    responder_->send({.body = dump_json(whole()), .headers = headers_});
  }
}

void BlockWriter::fail(const std::exception& error) {
  if (!begun_) {
    responder_->send(error_response(error));
    return;
  }
  write(error_event(error));
  responder_->end();
}

Json arguments_object(const std::string& arguments) {
  if (arguments.find_first_not_of(" \t\r\n") == arguments.npos) return Json::object();
  try {
    Json parsed = parse_json(arguments, "arguments");
    if (parsed.is_object()) return parsed;
  } catch (const Error&) {  // told in the answer below
  }
  return {{"INVALID_JSON", arguments}};
}

}  // namespace r1::api
