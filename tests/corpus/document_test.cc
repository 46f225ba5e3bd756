#include "r1/corpus/document.h"

#include <gtest/gtest.h>

#include "r1/base/error.h"

namespace r1::corpus {
namespace {

Document document(std::string text, int64_t offset = 0) {
  Document d;
  d.text = std::move(text);
  d.source = "a.jsonl.gz";
  d.offset = offset;
  return d;
}

TEST(Document, GoesThroughJsonAndBack) {
  Document d = document("Grüße\n", 17);
  d.licence = "CC-BY-4.0";
  d.extra = {{"score", 3}};
  d.marks = {"clean"};
  const Document back = document_from_json(Json::parse(to_json(d).dump()), "x:1");
  EXPECT_EQ(back.text, d.text);
  EXPECT_EQ(back.id(), "a.jsonl.gz#17");
  EXPECT_EQ(back.licence, "CC-BY-4.0");
  EXPECT_EQ(back.extra, d.extra);
  EXPECT_EQ(back.marks, d.marks);
  EXPECT_THROW(document_from_json(Json::parse(R"({"text": 3})"), "x:1"), Error);
}

TEST(Counts, TheSumAddsUpOrItIsSaid) {
  Counts counts;
  const Document a = document("four", 0), b = document("seven77", 9);
  counts.in(a);
  counts.in(b);
  counts.broken("a.jsonl.gz:40", "broken_record", 3);
  counts.drop(b, "too_short");
  EXPECT_THROW(counts.check("test"), Error);
  counts.split(a, 2);
  counts.out(a);
  counts.out(a);
  counts.check("test");
  EXPECT_EQ(counts.documents_in(), 3);
  EXPECT_EQ(counts.bytes_in(), 14);
  EXPECT_EQ(counts.dropped().at("too_short").examples.at(0), "a.jsonl.gz#9");

  Counts twice = Counts::from_json(counts.to_json());
  twice.add(counts);
  twice.check("test");
  EXPECT_EQ(twice.documents_out(), 4);
  EXPECT_EQ(twice.dropped().at("broken_record").bytes, 6);
}

}  // namespace
}  // namespace r1::corpus
