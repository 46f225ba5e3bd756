#include "r1/corpus/document.h"

#include <algorithm>

#include "r1/base/error.h"

namespace r1::corpus {
namespace {

using TextField = std::pair<const char*, std::string Document::*>;
constexpr TextField kTextFields[] = {{"text", &Document::text}, {"source", &Document::source},   {"kind", &Document::kind},
                                     {"url", &Document::url},   {"title", &Document::title},     {"author", &Document::author},
                                     {"date", &Document::date}, {"licence", &Document::licence}, {"language", &Document::language}};

}  // namespace

Json to_json(const Document& d) {
  Json row = Json::object();
  for (const auto& [name, field] : kTextFields)
    if (!(d.*field).empty()) row[name] = d.*field;
  row["offset"] = d.offset;
  if (!d.extra.is_null()) row["extra"] = d.extra;
  if (!d.marks.empty()) row["marks"] = d.marks;
  if (d.tokens >= 0) row["tokens"] = d.tokens;
  return row;
}

Document document_from_json(const Json& row, std::string_view where) {
  Document d;
  try {
    for (const auto& [name, field] : kTextFields)
      if (const auto it = row.find(name); it != row.end()) d.*field = it->get<std::string>();
    if (const auto it = row.find("offset"); it != row.end()) d.offset = it->get<int64_t>();
    if (const auto it = row.find("extra"); it != row.end()) d.extra = *it;
    if (const auto it = row.find("marks"); it != row.end()) d.marks = it->get<std::vector<std::string>>();
    if (const auto it = row.find("tokens"); it != row.end()) d.tokens = it->get<int64_t>();
  } catch (const Json::exception& e) {
    fail_usage(where, ": not a document of the data road: ", e.what());
  }
  return d;
}

void Counts::in(const Document& d) {
  ++in_;
  bytes_in_ += int64_t(d.text.size());
  tokens_in_ += std::max<int64_t>(0, d.tokens);
}

void Counts::out(const Document& d) {
  ++out_;
  bytes_out_ += int64_t(d.text.size());
  tokens_out_ += std::max<int64_t>(0, d.tokens);
}

void Counts::drop(const Document& d, const std::string& reason) {
  Reason& r = dropped_[reason];
  ++r.documents;
  r.bytes += int64_t(d.text.size());
  r.tokens += std::max<int64_t>(0, d.tokens);
  if (r.examples.size() < kExamples) r.examples.push_back(d.id());
}

void Counts::broken(const std::string& where, const std::string& reason, int64_t bytes) {
  ++in_;
  bytes_in_ += bytes;
  Reason& r = dropped_[reason];
  ++r.documents;
  r.bytes += bytes;
  if (r.examples.size() < kExamples) r.examples.push_back(where);
}

void Counts::split(const Document&, int64_t parts) {
  split_ += parts - 1;
}

void Counts::add(const Counts& other) {
  in_ += other.in_;
  out_ += other.out_;
  bytes_in_ += other.bytes_in_;
  bytes_out_ += other.bytes_out_;
  tokens_in_ += other.tokens_in_;
  tokens_out_ += other.tokens_out_;
  split_ += other.split_;
  for (const auto& [reason, more] : other.dropped_) {
    Reason& r = dropped_[reason];
    r.documents += more.documents;
    r.bytes += more.bytes;
    r.tokens += more.tokens;
    for (const std::string& example : more.examples)
      if (r.examples.size() < kExamples) r.examples.push_back(example);
  }
}

void Counts::check(std::string_view stage) const {
  int64_t gone = 0;
  for (const auto& [reason, r] : dropped_) gone += r.documents;
  if (in_ + split_ != out_ + gone)
    fail("[data] ", stage, ": ", in_, " documents came in and ", split_, " more by splitting, but ", out_, " went out and ", gone,
         " were dropped");
}

Json Counts::to_json() const {
  Json dropped = Json::object();
  for (const auto& [reason, r] : dropped_)
    dropped[reason] = {{"documents", r.documents}, {"bytes", r.bytes}, {"tokens", r.tokens}, {"examples", r.examples}};
  return {{"documents_in", in_}, {"documents_out", out_},   {"bytes_in", bytes_in_},     {"bytes_out", bytes_out_},
          {"split", split_},     {"tokens_in", tokens_in_}, {"tokens_out", tokens_out_}, {"dropped", dropped}};
}

Counts Counts::from_json(const Json& json) {
  Counts c;
  c.in_ = json.at("documents_in").get<int64_t>();
  c.out_ = json.at("documents_out").get<int64_t>();
  c.bytes_in_ = json.at("bytes_in").get<int64_t>();
  c.bytes_out_ = json.at("bytes_out").get<int64_t>();
  c.split_ = json.at("split").get<int64_t>();
  c.tokens_in_ = json.value("tokens_in", int64_t{0});  // not of runs before they were counted
  c.tokens_out_ = json.value("tokens_out", int64_t{0});
  for (const auto& [reason, r] : json.at("dropped").items())
    c.dropped_[reason] = {r.at("documents").get<int64_t>(), r.at("bytes").get<int64_t>(), r.at("examples").get<std::vector<std::string>>(),
                          r.value("tokens", int64_t{0})};
  return c;
}

}  // namespace r1::corpus
