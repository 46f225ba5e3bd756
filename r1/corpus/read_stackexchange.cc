// StackExchange's Posts.xml: a question with its answers is a document, the accepted answer first, then by score. Posts stand in the order of
// their ids, so answers come much later than their question: questions wait for as many answers as they say to have, in at most kWaiting bytes;
// then the oldest is given with what it has, and an answer that comes after that is counted as late.
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <list>
#include <unordered_map>

#include "r1/base/error.h"
#include "r1/corpus/markup.h"
#include "r1/corpus/reader_parts.h"
#include "r1/corpus/xml_reader.h"

namespace r1::corpus {
namespace {

constexpr size_t kWaiting = size_t{128} << 20;

int64_t number(const std::string* text, int64_t otherwise = 0) {
  int64_t value = otherwise;
  if (text) std::from_chars(text->data(), text->data() + text->size(), value);
  return value;
}
std::string text_or_none(const std::string* text) {
  return text ? *text : "";
}

// "CC BY-SA 4.0" -> "CC-BY-SA-4.0".
std::string spdx(std::string text) {
  std::ranges::replace(text, ' ', '-');
  return text;
}

// "<storage><whole-bean>", in later dumps "|storage|whole-bean|".
Json tags_of(const std::string& text) {
  Json tags = Json::array();
  std::string tag;
  for (const char c : text) {
    if (c == '<' || c == '>' || c == '|') {
      if (!tag.empty()) tags.push_back(tag);
      tag.clear();
    } else {
      tag += c;
    }
  }
  if (!tag.empty()) tags.push_back(tag);
  return tags;
}

struct Answer {
  int64_t id = 0, score = 0;
  std::string text;
};
struct Question {
  Document document;
  int64_t id = 0, accepted = 0, expected = 0, score = 0;
  std::vector<Answer> answers;
  size_t bytes = 0;
};

class StackExchange : public Reader {
 public:
  StackExchange(Input input, const Opening& opening)
      : input_(std::move(input)), opening_(opening), xml_(input_, size_t(opening.options.max_document_bytes)) {}

  bool next(Document& d, Counts& counts) override {
    while (!ended_) {
      if (bytes_ > kWaiting) return give(waiting_.begin(), d), true;
      XmlReader::Event event;
      if (!xml_.next(event)) {
        if (!input_.fault().empty()) {
          counts.broken(str(input_.name(), "#", xml_.at()), input_.fault());
          if (input_.resync()) continue;
        }
        if (xml_.declared_entities()) counts.broken(input_.name() + "#0", "xml:entities");
        ended_ = true;
        break;
      }
      if (event.kind != XmlReader::Kind::kOpen || event.name != "row") continue;
      const auto done = post(event, counts);
      if (done != waiting_.end()) return give(done, d), true;
    }
    if (waiting_.empty()) return false;
    return give(waiting_.begin(), d), true;
  }

 private:
  using Place = std::list<Question>::iterator;

  // The question that has all its answers now, if one has.
  Place post(const XmlReader::Event& row, Counts& counts) {
    const std::string where = str(input_.name(), "#", xml_.at());
    const auto drop = [&](const std::string& reason) { return counts.broken(where, reason), waiting_.end(); };
    const std::string* body = row.attribute("Body");
    const int64_t id = number(row.attribute("Id"), -1), type = number(row.attribute("PostTypeId"));
    if (row.cut) return drop("too_large");
    if (row.broken || id < 0 || !body || type == 0) return drop("broken_record");
    if (type == 1) return question(row, id, *body);
    if (type != 2) return drop("stackexchange:other_post");
    const auto found = by_id_.find(number(row.attribute("ParentId"), -1));
    if (found == by_id_.end()) return drop("stackexchange:late_answer");
    Question& q = *found->second;
    Answer answer{.id = id, .score = number(row.attribute("Score")), .text = text_of_markup(*body)};
    q.bytes += answer.text.size();
    bytes_ += answer.text.size();
    q.answers.push_back(std::move(answer));
    return int64_t(q.answers.size()) >= q.expected ? found->second : waiting_.end();
  }

  Place question(const XmlReader::Event& row, int64_t id, const std::string& body) {
    Question q;
    q.id = id;
    q.accepted = number(row.attribute("AcceptedAnswerId"));
    q.expected = number(row.attribute("AnswerCount"), INT64_MAX);  // not said: whatever comes
    q.score = number(row.attribute("Score"));
    Document& d = q.document;
    d.source = input_.name();
    d.offset = xml_.at();
    d.kind = "stackexchange";
    d.title = text_or_none(row.attribute("Title"));
    d.date = text_or_none(row.attribute("CreationDate"));
    d.author = text_or_none(row.attribute("OwnerDisplayName"));
    d.licence = spdx(text_or_none(row.attribute("ContentLicense")));
    if (d.licence.empty()) d.licence = opening_.licence;
    d.text = text_of_markup(body);
    d.extra = {{"id", id}, {"score", q.score}, {"tags", tags_of(text_or_none(row.attribute("Tags")))}};
    q.bytes = d.text.size() + 512;
    bytes_ += q.bytes;
    if (by_id_.contains(id)) return waiting_.insert(waiting_.end(), std::move(q));  // twice in the file: given as it is
    const Place place = waiting_.insert(waiting_.end(), std::move(q));
    by_id_[id] = place;
    return place->expected <= 0 ? place : waiting_.end();
  }

  void give(Place place, Document& d) {
    Question& q = *place;
    std::ranges::stable_sort(q.answers, [&](const Answer& a, const Answer& b) {
      return std::pair(a.id == q.accepted, a.score) > std::pair(b.id == q.accepted, b.score);
    });
    d = std::move(q.document);
    Json answers = Json::array();
    std::string text = d.title.empty() ? "" : d.title + "\n\n";
    text += d.text;
    for (const Answer& answer : q.answers) {
      text += "\n\n" + answer.text;
      answers.push_back({{"id", answer.id}, {"score", answer.score}, {"accepted", answer.id == q.accepted}});
    }
    d.text = text + "\n";
    d.extra["answers"] = std::move(answers);
    bytes_ -= q.bytes;
    if (const auto known = by_id_.find(q.id); known != by_id_.end() && known->second == place) by_id_.erase(known);
    waiting_.erase(place);
  }

  Input input_;
  Opening opening_;
  XmlReader xml_;
  std::list<Question> waiting_;
  std::unordered_map<int64_t, Place> by_id_;
  size_t bytes_ = 0;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<Reader> read_stackexchange(Input input, const Opening& opening) {
  return std::make_unique<StackExchange>(std::move(input), opening);
}

}  // namespace r1::corpus
