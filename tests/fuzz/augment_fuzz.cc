// libFuzzer target: any bytes as code in each language, as a word problem and as prose. Comments that are out stay out, edits keep what they do not mean
// to change, a changed problem holds to its own rules, parts of a cut text give it again. Built like jinja_fuzz.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "r1/corpus/augment_code.h"
#include "r1/corpus/augment_numbers.h"
#include "r1/corpus/augment_synonyms.h"
#include "r1/corpus/fim.h"

namespace {

using namespace r1::corpus;

void need(bool held) {
  if (!held) std::abort();
}

void code(std::string_view text, CodeKind kind) {
  const auto spans = code_spans(text, kind);
  size_t last = 0;
  if (spans)
    for (const CodeSpan& s : *spans) {
      need(s.begin >= last && s.end > s.begin && s.end <= text.size());
      last = s.end;
    }
  for (const bool all : {false, true}) {
    const StripOptions options{.licence = !all, .docstrings = all};
    const auto once = strip_comments(text, kind, options);
    if (!once) continue;
    need(once->removed > 0);
    // What is left has no comment that would go, but for Python without docstrings, where the next text may be one.
    if (!(all && kind == CodeKind::kPython)) need(!strip_comments(once->code, kind, options));
  }
  if (kind != CodeKind::kPython) return;
  r1::Rng rng(text.size());
  if (const auto renamed = rename_python_variables(text, rng)) need(!renamed->names.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (size == 0) return 0;
  code(text.substr(1), CodeKind(data[0] % 8));

  const size_t half = text.find("\n\n") == text.npos ? size / 2 : text.find("\n\n");
  r1::Rng rng(size);
  if (const auto out = change_numbers(text.substr(0, half), text.substr(half), 3, rng)) {
    need(!out->changes.empty());
    r1::Rng again(1);
    change_numbers(out->question, out->answer, 3, again);
  }

  static const Synonyms synonyms = Synonyms::built_in();
  const auto words = synonyms.replace(text, 0.7, rng);
  need(words.words.empty() ? words.text == text : true);
  size_t last = 0;
  for (const auto& [begin, end] : untouchable(text)) {
    need(begin >= last && end > begin && end <= text.size());
    last = end;
  }

  static const FimSentinels sentinels = fim_sentinels({.family = "qwen"});
  if (const auto fim = make_fim(text, size % 2, sentinels, rng)) {
    const auto& c = fim->control;
    const std::string_view t = fim->text;
    const std::string a(t.substr(c[0].end, c[1].begin - c[0].end)), b(t.substr(c[1].end, c[2].begin - c[1].end)), rest(t.substr(c[2].end));
    need((size % 2 ? rest + b : a + rest + b) == text);
  }
  return 0;
}
