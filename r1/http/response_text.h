// Answers as bytes: status line, header lines, chunks. What a handler gives can't end a header line early.
#pragma once

#include <string>
#include <string_view>

#include "r1/http/message.h"

namespace r1::http {

// What of an answer's head the request decides.
struct HeadContext {
  bool http10 = false, keep_alive = true;
  std::string lines;  // whole lines that stand in every answer to it: x-request-id, CORS
};

// Whether an answer of that status has a body.
bool has_body(int status);
// Head and, unless `head_only`, body.
std::string whole_answer(const Response& response, const HeadContext& context, bool head_only);
std::string stream_head(int status, std::string_view content_type, const Headers& headers, const HeadContext& context);
void append_header(std::string& out, std::string_view name, std::string_view value);
void append_chunk(std::string& out, std::string_view piece);

}  // namespace r1::http
