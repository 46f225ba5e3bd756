// Every kind of answer that the verifier promises to read, each with answers that are right and near misses that are not.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "r1/verify/verify.h"

using namespace r1::verify;

namespace {

struct Row {
  const char* kind;
  const char* gold;
  std::vector<const char*> right, wrong;
};

const std::vector<Row>& extraction_rows() {
  static const std::vector<Row> rows = {
      {"box", "7", {"\\boxed{7}", "so $\\boxed{7}$.", "\\boxed{ 7 }", "\\fbox{7}"}, {"\\boxed{8}", "7 \\boxed{8}", "\\boxed{77}"}},
      {"nested box",
       "\\frac{1}{2}",
       {"\\boxed{\\frac{1}{2}}", "\\boxed{\\boxed{\\frac{1}{2}}}", "\\boxed{{\\frac{{1}}{{2}}}}"},
       {"\\boxed{\\frac{1}{\\frac{1}{2}}}"}},
      {"the last box", "7", {"\\boxed{6}. No: \\boxed{7}"}, {"\\boxed{7}. No: \\boxed{6}"}},
      {"answer tag",
       "7",
       {"<answer>7</answer>", "<answer>\n7\n</answer>", "<answer>\\boxed{7}</answer>", "<answer>8</answer> <answer>7</answer>"},
       {"<answer>8</answer> 7", "<answer>7</answer><answer>8</answer>"}},
      {"hashes", "18", {"9*2\n#### 18", "#### 1\n#### 18", "####18", "#### $18"}, {"#### 19", "18\n#### 19"}},
      {"the answer is",
       "18",
       {"The answer is 18.", "the final answer is $18$.", "Answer: 18", "Final answer: **18**", "the answer is: 18", "**Answer:** 18"},
       {"The answer is 81.", "18 is not it. The answer is 17."}},
      {"last number", "18", {"She has 3 and then 18 eggs.", "3 * 6 = 18"}, {"She has 18 and then 3 eggs.", "18 * 6 = 108"}},
      {"after the thought", "18", {"<think>17</think>18", "17 </think> 18"}, {"<think>18</think>17", "18 </think> 17"}},
      {"option letter",
       "C",
       {"C", "(C)", "\\boxed{C}", "\\boxed{\\text{C}}", "The answer is (C).", "C) 12", "Option C", "Answer: C."},
       {"\\boxed{D}", "The answer is (B).", "B"}},
      {"option J", "J", {"\\boxed{J}", "(J)"}, {"\\boxed{A}"}},
  };
  return rows;
}

const std::vector<Row>& number_rows() {
  static const std::vector<Row> rows = {
      {"integers of any size",
       "123456789012345678901234567890",
       {"123,456,789,012,345,678,901,234,567,890", "123456789012345678901234567889 + 1"},
       {"123456789012345678901234567891", "1.2345678901234567890123456789 \\times 10^{28}"}},
      {"negative",
       "-5",
       {"-5", "\\text{-5}", "-5.0",
        "\xE2\x88\x92"
        "5",
        "- 5", "(-5)"},
       {"5", "--5", "-50"}},
      {"decimals", "0.25", {".25", "0.250", "1/4", "25/100", "0,25"}, {"0.26", "2.5", "0.025", "25"}},
      {"fractions",
       "\\frac12",
       {"\\dfrac{1}{2}", "\\tfrac12", "\\cfrac{1}{2}", "1/2", "\\frac{2}{4}", "{1 \\over 2}", "\\frac 1 2", "\\frac{1}2", "\\frac1{2}",
        "1\\div 2", "\xC2\xBD"},
       {"\\frac13", "\\frac{1}{12}", "2", "\\frac21"}},
      {"\\frac12 with more digits", "\\frac{1}{2}\\cdot 3", {"\\frac123", "3/2"}, {"\\frac{1}{23}", "\\frac{12}{3}"}},
      {"mixed numbers",
       "3\\frac{1}{2}",
       {"3\\frac12", "3 1/2", "7/2", "3.5", "3~\\frac{1}{2}", "3\\,\\frac{1}{2}"},
       {"\\frac{3}{2}", "31/2", "3 1/3", "-3\\frac12"}},
      {"negative mixed", "-2\\frac{1}{4}", {"-9/4", "-2.25", "-2 1/4"}, {"-7/4", "2.25"}},
      {"percent",
       "28\\%",
       {"28%", "28 percent", "0.28", "28", "28 \\%", "28\\text{ percent}", "\\frac{28}{100}"},
       {"2.8%", "72%", "0.0028", "2800"}},
      {"fraction of a percent", "1/2\\%", {"0.5%", "0.005", "\\frac12\\%"}, {"50%", "2%"}},
      {"degrees",
       "45^\\circ",
       {"45^{\\circ}", "45\xC2\xB0", "45 degrees", "45", "\\frac{\\pi}{4}", "45\\text{ degrees}", "45\\degree"},
       {"54^\\circ", "4.5", "\\frac{\\pi}{3}"}},
      {"currency",
       "\\$1,234.50",
       {"$1234.50", "1234.5", "1,234.50 dollars", "\\$ 1234.50", "USD 1234.50", "123450 cents"},
       {"\\$1,234.05", "\\$1234.51",
        "\xE2\x82\xAC"
        "1234.5",
        "1234.50\xE2\x82\xAC"}},
      {"units",
       "15\\text{ cm}",
       {"15", "15 cm", "15\\,\\mathrm{cm}", "0.15\\text{ m}", "150 mm", "15\\ \\text{centimeters}"},
       {"15 m", "15 kg", "1.5 cm", "51 cm"}},
      {"units of one letter", "5\\text{ m}", {"5 m", "5m", "500 cm"}, {"6 m", "5 kg", "5m+1"}},
      {"units of roots", "2\\sqrt{3}\\text{ m}", {"200\\sqrt3\\text{ cm}", "2\\sqrt3"}, {"2\\sqrt3\\text{ cm}", "3\\sqrt2\\text{ m}"}},
      {"unit powers",
       "12\\text{ cm}^2",
       {"12 cm^2", "12\\text{ cm}^{2}", "12 \\text{ square cm}", "0.0012\\text{ m}^2", "12"},
       {"12\\text{ m}^2", "144\\text{ cm}^2"}},
      {"speeds", "60\\text{ km/h}", {"60 km/h", "60", "60\\text{ km per hour}"}, {"6 km/h"}},
      {"scientific",
       "6.02\\times 10^{23}",
       {"6.02e23", "6.02 \\cdot 10^{23}", "602\\times10^{21}", "6.02*10^23", "6.02E+23", "602000000000000000000000"},
       {"6.02\\times 10^{22}", "6.02e-23", "6.2e23"}},
      {"small scientific", "2.5e-3", {"0.0025", "2.5 \\times 10^{-3}", "\\frac{1}{400}"}, {"0.00025", "2.5e3"}},
      {"thousands",
       "1234567",
       {"1,234,567", "1 234 567", "1{,}234{,}567", "1\\,234\\,567", "1,\\!234,\\!567"},
       {"1,234,576", "1234", "1,234.567"}},
      {"powers", "2^{10}", {"1024", "4^5", "(2^5)^2", "2**10", "2^10"}, {"2^9", "10^2", "20", "2^{1}0"}},
      {"negative powers", "2^{-3}", {"1/8", "0.125", "\\frac{1}{2^3}"}, {"-8", "-\\frac18", "8"}},
      {"fractional powers", "8^{2/3}", {"4", "\\sqrt[3]{64}", "8^{\\frac{2}{3}}"}, {"8^{3/2}", "16"}},
      {"roots",
       "\\sqrt{8}",
       {"2\\sqrt{2}", "2\\sqrt2", "8^{1/2}", "\\sqrt 8", "sqrt(8)", "2*sqrt(2)", "\\frac{4}{\\sqrt2}",
        "\xE2\x88\x9A"
        "8"},
       {"2\\sqrt{3}", "4\\sqrt2", "2.83", "-\\sqrt8"}},
      {"cube roots", "\\sqrt[3]{54}", {"3\\sqrt[3]{2}", "54^{1/3}", "cbrt(54)"}, {"\\sqrt{54}", "2\\sqrt[3]{3}"}},
      {"nested roots", "\\sqrt{3+2\\sqrt2}", {"1+\\sqrt{2}", "\\sqrt{2}+1"}, {"1+\\sqrt3", "\\sqrt{3}+2\\sqrt{2}"}},
      {"denesting of three", "\\sqrt[3]{7+5\\sqrt2}", {"1+\\sqrt2"}, {"1-\\sqrt2", "2+\\sqrt2"}},
      {"factorial", "5!", {"120", "5\\cdot 4!", "\\frac{6!}{6}"}, {"5", "125", "4!", "6!"}},
      {"binomial", "\\binom{5}{2}", {"10", "\\frac{5!}{2!3!}", "{5 \\choose 2}", "\\dbinom52"}, {"20", "\\binom{5}{1}", "\\frac52"}},
      {"logs", "\\log_2 8", {"3", "\\log_{2}{8}", "\\log_2(8)", "\\frac{\\ln 8}{\\ln 2}", "\\log 1000"}, {"\\log_8 2", "2", "\\log_2 6"}},
      {"ln",
       "\\ln 6",
       {"\\ln 2+\\ln 3", "\\ln{6}", "\\ln(6)", "ln 6", "2\\ln\\sqrt6", "-\\ln\\frac16"},
       {"\\log 6", "\\ln 5", "\\ln 2\\cdot\\ln 3"}},
      {"trigonometry",
       "\\sin 60^\\circ",
       {"\\frac{\\sqrt3}{2}", "\\sin\\frac{\\pi}{3}", "\\cos 30^\\circ", "\\sin(60^\\circ)", "sin(pi/3)"},
       {"\\frac12", "\\sin 60", "\\cos 60^\\circ"}},
      {"inverse functions",
       "\\arctan 1",
       {"\\frac{\\pi}{4}", "\\tan^{-1} 1", "45^\\circ", "\\arcsin\\frac{1}{\\sqrt2}"},
       {"\\frac{\\pi}{3}", "1"}},
      {"pi",
       "\\frac{3\\pi}{4}",
       {"3\\pi/4", "0.75\\pi", "\\frac34\\pi", "3pi/4", "\xCF\x80\\cdot\\frac{3}{4}", "135^\\circ"},
       {"\\frac{4\\pi}{3}", "2.356", "\\frac{3}{4\\pi}"}},
      {"e", "e^2", {"e^{2}", "\\mathrm{e}^2", "\\exp(2)", "e\\cdot e"}, {"2e", "e^3", "7.389"}},
      {"complex", "3+4i", {"4i+3", "3 + 4\\mathrm{i}", "\\frac{25}{3-4i}", "(2+i)^2"}, {"3-4i", "4+3i", "7i"}},
      {"infinity", "\\infty", {"+\\infty", "infinity", "\xE2\x88\x9E", "\\infty."}, {"-\\infty", "0", "10^{100}"}},
      {"absolute value", "|-3|", {"3", "\\left|3\\right|", "\\lvert -3\\rvert"}, {"-3"}},
      {"floor and ceiling", "\\lfloor \\pi\\rfloor", {"3", "\\lceil 2.5\\rceil"}, {"4", "\\lceil\\pi\\rceil"}},
      {"bases", "1011_2", {"11", "1011_{2}", "13_8"}, {"1012_3", "12"}},
      {"repeating decimals",
       "0.\\overline{3}",
       {"1/3", "\\frac{3}{9}", "0.\\overline{33}", "0.3\\overline{3}"},
       {"0.3", "3/10", "0.\\overline{6}"}},
      {"repeating decimals with a head", "0.1\\overline{6}", {"1/6"}, {"0.16", "16/99"}},
  };
  return rows;
}

const std::vector<Row>& algebra_rows() {
  static const std::vector<Row> rows = {
      {"symbols", "2\\alpha+\\beta", {"\\beta+2\\alpha", "\xCE\xB1+\xCE\xB1+\xCE\xB2"}, {"2\\beta+\\alpha", "2a+b"}},
      {"indices", "a_1+a_{12}", {"a_{12}+a_1", "a_{1}+a_{12}"}, {"a_{1}+a_{2}", "2a"}},
      {"polynomials", "(x+1)^3", {"x^3+3x^2+3x+1", "(x+1)(x^2+2x+1)", "1+3x+3x^2+x^3"}, {"x^3+1", "(x-1)^3", "x^3+3x^2+3x"}},
      {"several unknowns", "x^2-y^2", {"(x-y)(x+y)", "-(y-x)(x+y)"}, {"(x-y)^2", "y^2-x^2"}},
      {"rational functions", "\\frac{1}{x}+\\frac{1}{y}", {"\\frac{x+y}{xy}", "x^{-1}+y^{-1}"}, {"\\frac{2}{x+y}", "\\frac{x+y}{x}"}},
      {"roots of symbols", "\\sqrt{x}\\sqrt{x}", {"x"}, {"x^2", "\\sqrt{2x}"}},
      {"identities", "\\sin 2x", {"2\\sin x\\cos x", "\\frac{2\\tan x}{1+\\tan^2 x}"}, {"2\\sin x", "\\sin x^2", "\\cos 2x"}},
      {"equations", "y=2x+3", {"2x-y+3=0", "y-3=2x", "2y=4x+6", "2x+3"}, {"y=2x-3", "x=2y+3", "2x+y+3=0"}},
      {"a value with its name", "x=5", {"5", "x = 5", "5 = x"}, {"x=-5", "y=x+5", "x=5, x=6"}},
      {"roots of a gold equation", "x^2=4", {"x=2, x=-2", "x=\\pm 2", "\\{-2,2\\}"}, {"x=2", "x=\\pm 4"}},
      {"circle", "(x-1)^2+(y+2)^2=9", {"x^2+y^2-2x+4y-4=0", "9=(y+2)^2+(x-1)^2"}, {"(x+1)^2+(y-2)^2=9", "(x-1)^2+(y+2)^2=3"}},
      {"inequalities",
       "x>2",
       {"2<x", "(2,\\infty)", "x\\in(2,\\infty)", "-x<-2", "2x>4", "\\{x\\mid x>2\\}"},
       {"x\\ge2", "x<2", "[2,\\infty)", "x>-2"}},
      {"chains", "1<x\\le 3", {"3\\ge x>1", "(1,3]", "x\\in(1,3]"}, {"1\\le x\\le 3", "1<x<3", "(1,3)", "1<x\\le 4"}},
      {"equality chains", "12", {"3\\cdot 4=12", "x=3\\cdot4=12"}, {"3\\cdot4=12=13"}},
      {"not equal",
       "x\\ne 3",
       {"x\\neq3", "(-\\infty,3)\\cup(3,\\infty)", "\\mathbb{R}\\setminus\\{3\\}"},
       {"x=3", "x\\ne -3", "(-\\infty,3)"}},
      {"sets",
       "\\{1,2,3\\}",
       {"\\{3,2,1\\}", "1,2,3", "\\left\\{1,2,3\\right\\}", "1, 2 and 3", "\\{1,\\frac42,3,3\\}", "{1,2,3}"},
       {"\\{1,2\\}", "\\{1,2,3,4\\}", "\\{1,2,4\\}", "(1,2,4)"}},
      {"sets of pairs", "\\{(1,2),(3,4)\\}", {"(3,4),(1,2)", "\\{(3,4),(1,2)\\}"}, {"\\{(2,1),(3,4)\\}", "(1,2)"}},
      {"empty set", "\\emptyset", {"\\varnothing", "\\{\\}", "\xE2\x88\x85"}, {"0", "\\{0\\}"}},
      {"intervals", "(0,1]", {"\\left(0,1\\right]", "0<x\\le1", "(0,\\frac{2}{2}]"}, {"[0,1]", "(0,1)", "[0,1)", "(0,2]"}},
      {"unions",
       "(-\\infty,1)\\cup(2,3]",
       {"(2,3]\\cup(-\\infty,1)", "x<1\\text{ or }2<x\\le3", "(-\\infty,0]\\cup(-1,1)\\cup(2,3]"},
       {"(-\\infty,1]\\cup(2,3]", "(-\\infty,3]", "(2,3]"}},
      {"intersections", "(0,2)\\cap(1,3)", {"(1,2)", "1<x<2", "(1,3)\\cap(0,2)"}, {"(0,3)", "[1,2]", "(0,2)\\cup(1,3)"}},
      {"differences", "[0,3]\\setminus\\{1\\}", {"[0,1)\\cup(1,3]"}, {"[0,3]", "(0,1)\\cup(1,3)"}},
      {"tuples", "(1,-2,3)", {"\\left(1,-2,3\\right)", "(1, -2, \\frac62)", "1,-2,3"}, {"(1,2,3)", "(3,-2,1)", "(1,-2)", "(1,-2,3,0)"}},
      {"pairs that are no intervals", "(2,1)", {"(2, 1)", "2,1"}, {"(5,3)", "(1,2)", "(1,1)", "(2,2)"}},
      {"vectors",
       "\\begin{pmatrix}1\\\\2\\end{pmatrix}",
       {"\\begin{bmatrix}1\\\\2\\end{bmatrix}", "(1,2)", "\\langle 1,2\\rangle"},
       {"(2,1)", "\\begin{pmatrix}1\\\\3\\end{pmatrix}"}},
      {"matrices",
       "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}",
       {"\\begin{bmatrix}1&2\\\\3&4\\end{bmatrix}", "\\left(\\begin{array}{cc}1&2\\\\3&4\\end{array}\\right)",
        "\\begin{pmatrix} 1 & \\frac42 \\\\ 3 & 2^2 \\\\ \\end{pmatrix}", "\\begin{matrix}1&2\\\\3&4\\end{matrix}", "[[1,2],[3,4]]"},
       {"\\begin{pmatrix}1&3\\\\2&4\\end{pmatrix}", "\\begin{pmatrix}1&2\\\\3&5\\end{pmatrix}", "\\begin{pmatrix}1&2&3&4\\end{pmatrix}"}},
      {"matrix products",
       "2\\begin{pmatrix}1\\\\2\\end{pmatrix}",
       {"\\begin{pmatrix}2\\\\4\\end{pmatrix}"},
       {"\\begin{pmatrix}2\\\\2\\end{pmatrix}"}},
      {"determinants", "\\begin{vmatrix}1&2\\\\3&4\\end{vmatrix}", {"-2"}, {"2", "10"}},
      {"plus-minus",
       "1\\pm\\sqrt2",
       {"1+\\sqrt2,1-\\sqrt2", "\\{1-\\sqrt2,1+\\sqrt2\\}", "x=1\\pm\\sqrt2", "1\\mp\\sqrt2", "1 \xC2\xB1 \\sqrt2"},
       {"1+\\sqrt2", "1\\pm\\sqrt3", "\\pm\\sqrt2"}},
      {"ratios", "3:4", {"3 : 4", "6:8", "3/4"}, {"4:3", "3:5"}},
      {"functions", "f(x)=x^2+1", {"x^2+1", "f(x)=1+x^2"}, {"f(x)=x^2", "f(x)=x^2-1"}},
      {"systems", "x=1,y=2", {"y=2,x=1", "\\begin{cases}x=1\\\\y=2\\end{cases}", "(1,2)"}, {"x=2,y=1", "x=1"}},
      {"sums stay opaque", "\\sum_{k=1}^{n} k", {"\\sum_{k=1}^n k"}, {"\\sum_{k=1}^{m} k", "\\sum_{k=0}^n k^2"}},
  };
  return rows;
}

const std::vector<Row>& text_rows() {
  static const std::vector<Row> rows = {
      {"piecewise",
       "f(x)=\\begin{cases}x&\\text{if }x>0\\\\-x&\\text{otherwise}\\end{cases}",
       {"f(x) = \\begin{cases} x & \\text{if } x>0 \\\\ -x & \\text{otherwise} \\end{cases}"},
       {"f(x)=\\begin{cases}x&\\text{if }x>1\\\\-x&\\text{otherwise}\\end{cases}"}},
      {"names",
       "\\text{Evelyn}",
       {"Evelyn", "\\text{evelyn}", "\\textbf{Evelyn}", "\\boxed{\\text{Evelyn}}.", "\\mathrm{Evelyn}"},
       {"\\boxed{Evelin}", "\\boxed{\\text{Briana}}"}},
      {"yes and no", "\\text{Yes}", {"Yes", "yes.", "\\boxed{\\text{yes}}"}, {"\\boxed{\\text{No}}", "\\boxed{No}"}},
      {"true and false", "True", {"true", "\\boxed{\\text{True}}"}, {"\\boxed{\\text{False}}"}},
      {"two words", "\\text{even and odd}", {"\\text{Even and odd}", "even and odd"}, {"\\boxed{\\text{odd}}"}},
      {"dates",
       "12 March 2021",
       {"12 march 2021", "\\text{12 March 2021}"},
       {"\\boxed{\\text{13 March 2021}}", "\\boxed{\\text{12 May 2021}}"}},
      {"times",
       "7:30\\text{ p.m.}",
       {"7:30 p.m.", "7:30 pm", "7:30 PM", "\\text{7:30 p.m.}"},
       {"\\boxed{7:31 p.m.}", "\\boxed{7:30 a.m.}", "\\boxed{8:30 pm}"}},
      {"times of a day", "12:00", {"12:00"}, {"1:00", "\\boxed{12:30}"}},
  };
  return rows;
}

void expect_rows(const std::vector<Row>& rows) {
  static const Verifier verifier;
  for (const Row& row : rows) {
    const AnswerCheck itself = verifier.check(row.gold, "\\boxed{" + std::string(row.gold) + "}");
    EXPECT_EQ(itself.verdict, AnswerVerdict::kRight) << row.kind << ": " << row.gold << " | itself: " << itself.reason;
    EXPECT_FALSE(row.right.empty() || row.wrong.empty()) << row.kind;
    for (const char* answer : row.right) {
      const AnswerCheck c = verifier.check(row.gold, answer);
      EXPECT_EQ(c.verdict, AnswerVerdict::kRight) << row.kind << ": " << row.gold << " | " << answer << ": "
                                                  << answer_verdict_name(c.verdict) << ", " << c.reason << ", took " << c.extracted;
    }
    for (const char* answer : row.wrong) {
      const AnswerCheck c = verifier.check(row.gold, answer);
      EXPECT_EQ(c.verdict, AnswerVerdict::kWrong) << row.kind << ": " << row.gold << " | " << answer << ": "
                                                  << answer_verdict_name(c.verdict) << ", " << c.reason << ", took " << c.extracted;
    }
  }
}

TEST(Coverage, Extraction) {
  expect_rows(extraction_rows());
}
TEST(Coverage, Numbers) {
  expect_rows(number_rows());
}
TEST(Coverage, Algebra) {
  expect_rows(algebra_rows());
}
TEST(Coverage, Texts) {
  expect_rows(text_rows());
}

}  // namespace
