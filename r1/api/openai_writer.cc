#include "r1/api/openai_writer.h"

#include "r1/api/openai_json.h"

namespace r1::api {

OpenaiWriter::OpenaiWriter(http::ResponderPtr responder, const Names& names, bool stream, bool include_usage)
    : stream_(stream), responder_(std::move(responder)), names_(names), include_usage_(include_usage) {}

void OpenaiWriter::begin(const Head& head) {
  head_ = head;
  if (!stream_) return;
  begun_ = true;
  opening_ = dump_json(envelope(names_.chunk));
  opening_.back() = ',';
  http::Headers headers = event_headers();
  headers.push_back(weights_header(head.model_version));
  responder_->begin(200, "text/event-stream", std::move(headers));
}

void OpenaiWriter::write_choice(const Json& choice) {
  responder_->write(http::sse(chunk(dump_json(choice), "")));
}

void OpenaiWriter::write_last(const Json& choice) {
  if (!last_choice_.empty()) responder_->write(http::sse(chunk(last_choice_, "")));
  last_choice_ = dump_json(choice);
}

void OpenaiWriter::end(const Usage& usage, const Timings& timings) {
  const Json times = timings_json(usage, timings);
  if (!stream_) {
    Json out = envelope(names_.answer);
    out["choices"] = choices();
    out["usage"] = usage_json(usage);
    out["timings"] = times;
    responder_->send({.body = dump_json(out), .headers = {weights_header(head_.model_version)}});
    return;
  }
  const std::string more = ",\"timings\":" + dump_json(times);
  if (!last_choice_.empty()) responder_->write(http::sse(chunk(last_choice_, more)));
  if (include_usage_) responder_->write(http::sse(opening_ + "\"choices\":[],\"usage\":" + dump_json(usage_json(usage)) + more + "}"));
  responder_->write(http::sse("[DONE]"));
  responder_->end();
}

void OpenaiWriter::fail(const std::exception& error) {
  if (!begun_) {
    responder_->send(http::error_response(error));
    return;
  }
  responder_->write(http::sse(http::error_response(error).body));
  responder_->end();
}

Json OpenaiWriter::envelope(const char* object) const {
  Json out = {{"id", names_.id + head_.id},
              {"object", object},
              {"created", head_.created},
              {"model", head_.model},
              {"system_fingerprint", system_fingerprint(head_.model_version)}};
  if (head_.truncated) out["truncated"] = true;
  return out;
}

std::string OpenaiWriter::chunk(const std::string& choice, const std::string& more) const {
  return opening_ + "\"choices\":[" + choice + "]" + (include_usage_ ? ",\"usage\":null" : "") + more + "}";
}

}  // namespace r1::api
