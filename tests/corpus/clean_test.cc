#include "r1/corpus/clean.h"

#include <gtest/gtest.h>

#include "r1/base/json.h"
#include "r1/corpus/boilerplate.h"

namespace r1::corpus {
namespace {

// Rows of tests/oracles/clean_ftfy.py: what was written, what came of it, what ftfy makes of that. Where ftfy finds the text, so do we.
TEST(Clean, FindsWhatFtfyFinds) {
  const Json golden = parse_json_file(std::string(R1_SOURCE_DIR) + "/tests/golden/clean_ftfy.json");
  int found = 0, theirs = 0;
  for (const Json& row : golden["rows"]) {
    const auto was = row["was"].get<std::string>(), given = row["in"].get<std::string>();
    const std::string ours = repair_unicode(given);
    if (row["ftfy"] == row["was"]) {
      EXPECT_EQ(ours, was) << "of " << given;
    }
    found += ours == was;
    theirs += row["ftfy"] == row["was"];
  }
  EXPECT_GE(found, theirs);
  EXPECT_GT(theirs, 200);
}

TEST(Clean, RepairsInsideRightText) {
  EXPECT_EQ(repair_unicode("The cafÃ© is right; the café too."), "The café is right; the café too.");
  EXPECT_EQ(repair_unicode("itâ€™s, itÃ¢â‚¬â„¢s"), "it’s, it’s");
  EXPECT_EQ(repair_mojibake("plain"), "plain");
}

TEST(Clean, MarksWithoutText) {
  EXPECT_EQ(repair_unicode("\xEF\xBB\xBF"
                           "a\r\nb\rc\xE2\x80\xA8"
                           "d\fe"),
            "a\nb\nc\nd\ne");
  EXPECT_EQ(repair_unicode("so\xC2\xAD"
                           "ft zero\xE2\x80\x8Bwidth\xE2\x81\xA0 bell\x07 nul" +
                           std::string(1, '\0') + "!"),
            "soft zerowidth bell nul!");
  EXPECT_EQ(repair_unicode("a\xE2\x80\x8D"
                           "b"),
            "ab");                                                          // a joiner between ASCII letters
  EXPECT_EQ(repair_unicode("👩\xE2\x80\x8D💻"), "👩\xE2\x80\x8D💻");            // makes one picture of two
  EXPECT_EQ(repair_unicode("می\xE2\x80\x8Cخواهم"), "می\xE2\x80\x8Cخواهم");  // Persian
  EXPECT_EQ(repair_unicode("x\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDy"), "x\xEF\xBF\xBDy");
  EXPECT_EQ(repair_unicode("x\xFF\xFE\xFDy"), "x\xEF\xBF\xBDy");
  EXPECT_EQ(repair_unicode("e\xCC\x81"), "é");
  // Tags are text that nobody sees, except in flags.
  EXPECT_EQ(repair_unicode("hi\xF3\xA0\x81\xA9\xF3\xA0\x81\xA7"), "hi");
  const std::string wales = "🏴\xF3\xA0\x81\xA7\xF3\xA0\x81\xA2\xF3\xA0\x81\xB7\xF3\xA0\x81\xAC\xF3\xA0\x81\xB3\xF3\xA0\x81\xBF";
  EXPECT_EQ(repair_unicode(wales), wales);
}

TEST(Clean, TwiceIsOnce) {
  for (const char* text :
       {"cafÃ© – naÃ¯ve", "  a  b \n\n\n\n c\t\n", "Home | News | About | Contact\nText here.", "ÃƒÂ©t\xC3\x83\xC2\xA9", "\t\tcode  x\n"}) {
    const std::string once = with_normal_blanks(without_boilerplate(repair_unicode(text)));
    EXPECT_EQ(with_normal_blanks(without_boilerplate(repair_unicode(once))), once);
  }
}

TEST(Clean, BlanksOfProseAndOfCode) {
  EXPECT_EQ(with_normal_blanks("\n\n a  b\xC2\xA0\xC2\xA0"
                               "c  \n\n\n\nd\t\n"),
            " a b c\n\nd");
  EXPECT_EQ(with_normal_blanks("def f():\n    x  =  1\n\tif  x:\n\t\treturn\n"), "def f():\n    x  =  1\n\tif  x:\n\t\treturn");
  EXPECT_EQ(with_normal_blanks("```\na   b\n\n\n\nc\n```\n\n\n\nd   e"), "```\na   b\n\n\n\nc\n```\n\nd e");
  EXPECT_EQ(with_normal_blanks("\xE3\x80\x80\xE3\x80\x80中文\xE3\x80\x80字\xE3\x80\x80"), "中文\xE3\x80\x80字");
}

TEST(Clean, LinesOfThePageAround) {
  for (const char* line : {"Advertisement", "- ADVERTISEMENT -", "Share this:", "Please enable JavaScript to view this site.",
                           "We use cookies to improve your experience.", "You must be logged in to post a comment.",
                           "© 2020 Example Ltd. All rights reserved.", "Wir verwenden Cookies, um Inhalte zu personalisieren.",
                           "Sign up for our newsletter", "分享到"})
    EXPECT_TRUE(is_boilerplate_line(line)) << line;
  for (const char* line : {"Advertising pays for most of the web, and always has.", "She shared the cookies with her brother.", "",
                           "JavaScript is a language with first-class functions.", "Comments in C begin with /*.",
                           "Login screens should be simple.", "The home team won.", "return x;", "More than half of them voted."})
    EXPECT_FALSE(is_boilerplate_line(line)) << line;
  EXPECT_EQ(without_boilerplate("Home | News | Sports | About us\nThe story.\nShare this article\nIt ends."), "The story.\nIt ends.");
  // A menu that comes again; a table and code that look like one do not go.
  const std::string menu = "World\nPolitics\nSports\nCulture\n";
  EXPECT_EQ(without_boilerplate(menu + "The story begins here.\n" + menu + "And ends."), menu + "The story begins here.\nAnd ends.");
  const std::string code = "```\nbegin\nend\nbegin\nend\nbegin\nend\nbegin\nend\n```\n| a | b | c | d |";
  EXPECT_EQ(without_boilerplate(code), code);
}

TEST(Clean, FilterMarksAndDrops) {
  const auto filter = clean_filter();
  Document d;
  d.text = "cafÃ©  au lait \n";
  EXPECT_EQ(filter->apply(d), "");
  EXPECT_EQ(d.text, "café au lait");
  EXPECT_EQ(d.marks, std::vector<std::string>{"clean"});
  EXPECT_EQ(filter->apply(d), "");
  EXPECT_EQ(d.marks.size(), 1U);  // nothing changed
  d.text = " \n\xE2\x80\x8B\n";
  EXPECT_EQ(filter->apply(d), "empty");
}

// A program whose texts have other blanks, or lines that a page might have around a text, is another program.
TEST(Clean, CodeStaysAsItIs) {
  Document d;
  d.kind = "code";
  d.text = "a = \"x    y\"\n\n\n\nprint(\"A | B | C | D\")  \nt = \"\"\"\none\t\ttwo\n\n\n\n\"\"\"\n";
  const std::string before = d.text;
  EXPECT_EQ(clean_filter()->apply(d), "");
  EXPECT_EQ(d.text, before);
  d.text = "s = \"cafÃ©\"\n";
  EXPECT_EQ(clean_filter()->apply(d), "");
  EXPECT_EQ(d.text, "s = \"café\"\n");
}

TEST(Clean, HostileTextTakesLinearTime) {
  std::string text;
  for (int i = 0; i < 300000; ++i) text += "Ã";
  text += std::string(300000, '\n') + std::string(300000, ' ') + "x";
  EXPECT_EQ(with_normal_blanks(without_boilerplate(repair_unicode(text))).back(), 'x');
}

}  // namespace
}  // namespace r1::corpus
