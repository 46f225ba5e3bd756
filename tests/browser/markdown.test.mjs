// The chat page's logic that needs no browser: node --test tests/browser
import assert from "node:assert/strict";
import test from "node:test";

import {SseParser} from "../../web/common/sse.js";
import {GrowingAnswer} from "../../web/chat/answer.js";
import {languageOf, tokenize} from "../../web/chat/highlight.js";
import {latexToMathml} from "../../web/chat/latex.js";
import {inline, looksLikeMath, nextBlock} from "../../web/chat/markdown.js";
import {TextCleaner, clean, directionOf, safeUrl, visibleBidi, withoutBidi} from "../../web/chat/text.js";
import {Tree, newId, titleOf} from "../../web/chat/tree.js";

// ---- Short forms of what the parsers give.

function flat(nodes) {
  return nodes.map((n) => (typeof n === "string" ? n : n.t === "br" ? "\n" : n.t === "code" ? `<code>${n.text}</code>` : n.t === "math" ? `<m${n.display ? "d" : ""}>${n.tex}</m>`
    : n.t === "link" ? `<a ${n.href}>${flat(n.c)}</a>` : n.t === "image" ? `<img ${n.href}>${n.alt}</img>` : `<${n.t}>${flat(n.c)}</${n.t}>`)).join("");
}

function all(source) {
  const out = [];
  for (let at = 0, block; (block = nextBlock(source, at)); at = block.end) {
    assert.ok(block.end > at, `no progress at ${at}`);
    out.push(block);
  }
  return out;
}

const brief = (source) => all(source).map((b) => b.type + (b.text !== undefined ? `:${b.text}` : b.items ? `:${b.items.map((i) => i.text).join("/")}` : b.type === "code"
  ? `:${b.lang}:${source.slice(b.from, b.to)}` : b.tex !== undefined ? `:${b.tex.trim()}` : b.rows ? `:${[b.header, ...b.rows].map((r) => r.join(",")).join("/")}` : ""));

const xml = (n) => (typeof n === "string" ? n : `<${n.n}>${n.c.map(xml).join("")}</${n.n}>`);
const tex = (source, display = false) => xml(latexToMathml(source, display)).replace(/^<math>|<\/math>$/g, "");

test("blocks", () => {
  const cases = [
    ["a\nb\n\nc", ["paragraph:a\nb", "paragraph:c"]],
    ["# a #\n## b", ["heading:a", "heading:b"]],
    ["#no\n####### no", ["paragraph:#no\n####### no"]],
    ["a\n===\nb\n---", ["heading:a", "heading:b"]],
    ["***\n- - -\n_ _ _", ["rule", "rule", "rule"]],
    ["```py title\nx\n\ny\n```\nz", ["code:py:x\n\ny", "paragraph:z"]],
    ["````\n```\nx\n```\n````", ["code::```\nx\n```"]],
    ["~~~\n```\n~~~", ["code::```"]],
    ["```\nnever ends", ["code::never ends"]],
    ["```\n```", ["code::"]],
    ["a\n```\nb\n```\nc", ["paragraph:a", "code::b", "paragraph:c"]],
    ["- a\n- b\n\n\nc", ["list:a/b", "paragraph:c"]],
    ["- a\n  - b\n    c\n- d", ["list:a\n- b\n  c/d"]],
    ["1. a\n   b\n2. c", ["list:a\nb/c"]],
    ["1. a\n  - b\n2. c", ["list:a\n- b/c"]],
    ["- a\n1. b", ["list:a", "list:b"]],
    ["- a\n* b", ["list:a", "list:b"]],
    ["1. ```\n   x\n   - y\n   ```\n2. z", ["list:```\nx\n- y\n```/z"]],
    ["1. a\n```\nx\n```\n2. b", ["list:a", "code::x", "list:b"]],
    ["a\n2. not a list", ["paragraph:a\n2. not a list"]],
    ["a\n1. a list", ["paragraph:a", "list:a list"]],
    ["> a\n> b\nlazy\n\nc", ["quote:a\nb\nlazy", "paragraph:c"]],
    ["> > a", ["quote:> a"]],
    ["| a | b |\n|---|:-:|\n| 1 | 2\n3|4|5\n\nx", ["table:a,b/1,2/3,4", "paragraph:x"]],
    ["a | b\n--|--\n`x|y` | \\|", ["table:a,b/`x|y`,|"]],
    ["text\na | b\n--|--\n1 | 2", ["paragraph:text", "table:a,b/1,2"]],
    ["a | b\nno table", ["paragraph:a | b\nno table"]],
    ["$$\nx\n$$\ny", ["math:x", "paragraph:y"]],
    ["$$x$$", ["math:x"]],
    ["\\[\nx \\\\ y\n\\]", ["math:x \\\\ y"]],
    ["\\begin{align}\na &= b\n\\end{align}", ["math:\\begin{align}\na &= b\n\\end{align}"]],
    ["$$ a $$ is inline", ["paragraph:$$ a $$ is inline"]],
    ["$$\nnever\n\nends", ["paragraph:$$\nnever", "paragraph:ends"]],
    ["    x\n\n    y\nz", ["code::    x\n\n    y", "paragraph:z"]],
    ["\t\t\n\n  \n", []],
    ["-", ["list:"]],
    ["<div>\n<script>x</script>\n</div>", ["paragraph:<div>\n<script>x</script>\n</div>"]],
  ];
  for (const [source, expected] of cases) assert.deepEqual(brief(source), expected, source);
});

test("spans", () => {
  const cases = [
    ["*a* _b_ **c** __d__ ***e***", "<em>a</em> <em>b</em> <strong>c</strong> <strong>d</strong> <em><strong>e</strong></em>"],
    ["a_b_c 2 * 3 * 4 *not* *", "a_b_c 2 * 3 * 4 <em>not</em> *"],
    ["**a *b* c**", "<strong>a <em>b</em> c</strong>"],
    ["**unclosed *both", "**unclosed *both"],
    ["**“引用”**是", "<strong>“引用”</strong>是"],
    ["~~a~~ ~b~ about ~5", "<del>a</del> ~b~ about ~5"],
    ["`a` ``b ` c`` `` ` ``", "<code>a</code> <code>b ` c</code> <code>`</code>"],
    ["`*a*` \\*b\\* \\`c\\`", "<code>*a*</code> *b* `c`"],
    ["`unclosed", "`unclosed"],
    ["[a](http://x.y/z \"t\") [b](<http://x.y/a b>)", "<a http://x.y/z>a</a> <a http://x.y/a%20b>b</a>"],
    ["[a](http://x.y/(z))", "<a http://x.y/(z)>a</a>"],
    ["[a **b**](http://x.y)", "<a http://x.y/>a <strong>b</strong></a>"],
    ["[a [b](http://x.y) c](http://z.w)", "[a <a http://x.y/>b</a> c](<a http://z.w/>http://z.w</a>)"],
    ["[x](javascript:y) [x](relative)", "<a null>x</a> <a null>x</a>"],
    ["![alt *x*](http://x.y/z.png)", "<img http://x.y/z.png>alt *x*</img>"],
    ["[no link] [1] a[0](b)", "[no link] [1] a<a null>0</a>"],
    ["see https://x.y/a_b_c?d=e&f. And (http://x.y/z)!", "see <a https://x.y/a_b_c?d=e&f>https://x.y/a_b_c?d=e&f</a>. And (<a http://x.y/z>http://x.y/z</a>)!"],
    ["https://x.y/看。后", "<a https://x.y/%E7%9C%8B>https://x.y/看</a>。后"],
    ["<https://x.y> <a@b.cd> <b>", "<a https://x.y/>https://x.y</a> <a mailto:a@b.cd>a@b.cd</a> <b>"],
    ["H<sub>2</sub>O<br>x<br/>y", "H<sub>2</sub>O\nx\ny"],
    ["&lt;b&gt; &amp; &#65; &#x42; &nosuch; &#0;", "<b> & A B &nosuch; &#0;"],
    ["a  \nb\\\nc\nd", "a\nb\nc\nd"],
    ["$x^2$ \\(y\\) $$z$$ \\[w\\]", "<m>x^2</m> <m>y</m> <md>z</m> <md>w</m>"],
    ["$*a*$ and *b*", "<m>*a*</m> and <em>b</em>"],
    ["\\( unclosed $ alone", "( unclosed $ alone"],
  ];
  for (const [source, expected] of cases) assert.equal(flat(inline(source)), expected, source);
});

test("money and shells are not math", () => {
  for (const text of ["$5 and $10", "$5-$10", "from $20,000 to $30,000", "**$4**, **$1.50**", "$HOME/bin:$PATH", "$/PR is down but $/session is up", "$10K flat, Phase 2 at $8K", "$AAPL is 123$",
    "I have $24000 and you have $40000", "US$5 or A$7", "costs 5$ and 10$", "echo $x; echo $y", "$100 到 $200", "($5/$10)"])
    assert.ok(!flat(inline(text)).includes("<m>"), text);
  for (const text of ["$x$", "$5$", "$x+1$", "$\\$0.60$", "$f(x)$", "$a_i$", "$n!$", "$\\alpha$", "$x = 5$", "$0 < x$", "$(a, b)$", "$-1$", "$\\text{if } x$", "$x$-axis", "($y$)"])
    assert.ok(flat(inline(text)).includes("<m>"), text);
  assert.ok(looksLikeMath("\\frac12"));
  assert.ok(!looksLikeMath("some words here"));
});

test("math", () => {
  const cases = [
    ["x^2_1", "<msubsup><mi>x</mi><mn>1</mn><mn>2</mn></msubsup>"],
    ["x^{n+1}", "<msup><mi>x</mi><mrow><mi>n</mi><mo>+</mo><mn>1</mn></mrow></msup>"],
    ["f''", "<msup><mi>f</mi><mo>′′</mo></msup>"],
    ["\\frac12", "<mfrac><mn>1</mn><mn>2</mn></mfrac>"],
    ["\\sqrt[3]{x}", "<mroot><mi>x</mi><mn>3</mn></mroot>"],
    ["\\sum_{i}^n", "<munderover><mo>∑</mo><mi>i</mi><mi>n</mi></munderover>"],
    ["\\int_0^1", "<msubsup><mo>∫</mo><mn>0</mn><mn>1</mn></msubsup>"],
    ["\\alpha\\le\\Omega", "<mrow><mi>α</mi><mo>≤</mo><mi>Ω</mi></mrow>"],
    ["\\left(\\frac ab\\right]", "<mrow><mo>(</mo><mfrac><mi>a</mi><mi>b</mi></mfrac><mo>]</mo></mrow>"],
    ["\\left.x\\right|_0", "<msub><mrow><mi>x</mi><mo>|</mo></mrow><mn>0</mn></msub>"],
    ["\\mathbb{R}\\mathbf{x}\\mathcal{L}", "<mrow><mi>ℝ</mi><mi>𝐱</mi><mi>ℒ</mi></mrow>"],
    ["\\text{if } x", "<mrow><mtext>if\u00a0</mtext><mi>x</mi></mrow>"],
    ["\\boxed{42}", "<mrow><mn>42</mn></mrow>"],
    ["\\binom nk", "<mrow><mo>(</mo><mfrac><mi>n</mi><mi>k</mi></mfrac><mo>)</mo></mrow>"],
    ["\\hat{x}", "<mover><mi>x</mi><mo>^</mo></mover>"],
    ["\\begin{bmatrix}1&2\\\\3&4\\end{bmatrix}", "<mrow><mo>[</mo><mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>2</mn></mtd></mtr><mtr><mtd><mn>3</mn></mtd><mtd><mn>4</mn></mtd></mtr></mtable><mo>]</mo></mrow>"],
    ["a \\over b", "<mfrac><mi>a</mi><mi>b</mi></mfrac>"],
    ["\\operatorname{rank} A", "<mrow><mi>rank</mi><mi>A</mi></mrow>"],
    ["x \\not\\in A", "<mrow><mi>x</mi><mo>∉</mo><mi>A</mi></mrow>"],
    ["a &= b \\\\ &= c", "<mtable><mtr><mtd><mi>a</mi></mtd><mtd><mrow><mo>=</mo><mi>b</mi></mrow></mtd></mtr><mtr><mtd><mrow></mrow></mtd><mtd><mrow><mo>=</mo><mi>c</mi></mrow></mtd></mtr></mtable>"],
    ["3.14", "<mn>3.14</mn>"],
    ["50\\%", "<mrow><mn>50</mn><mo>%</mo></mrow>"],
    ["", "<mrow></mrow>"],
  ];
  for (const [source, expected] of cases) assert.equal(tex(source), expected, source);
  // What models write, whole.
  for (const source of ["\\begin{cases} x & \\text{if } x \\ge 0 \\\\ -x & \\text{otherwise} \\end{cases}", "\\lim_{x \\to 0^+} \\frac{\\sin x}{x} = 1", "\\nabla \\times \\vec{E} = -\\frac{\\partial \\vec{B}}{\\partial t}",
    "\\underbrace{1 + 1}_{\\text{two}} \\overset{!}{=} 2", "P(A \\mid B) = \\dfrac{P(B \\mid A)\\,P(A)}{P(B)}", "\\mathrm{KL}\\left[ p \\,\\|\\, q \\right]", "\\begin{aligned} a &= 1 \\\\[4pt] b &= 2 \\end{aligned}",
    "\\bigl( x \\bigr) \\Big| y", "a \\equiv b \\pmod{n}", "\\prod_{\\substack{i<j \\\\ j<n}} x", "\\xrightarrow[n]{\\text{a.s.}}", "e^{-x^2/2}", "\\left\\lfloor \\frac{n}{2} \\right\\rfloor", "\\mathbb{E}_{x\\sim p}[f(x)]",
    "\\operatorname*{arg\\,max}_\\theta \\sum_t r_t", "\\color{red}{x} + \\textcolor{blue}{y}", "\\tag{1} x", "\\overline{z} = \\bar{z}", "x' = x_1'", "\\begin{array}{c|c} a & b \\\\ \\hline c & d \\end{array}"])
    assert.doesNotThrow(() => latexToMathml(source, true), source);
  for (const source of ["\\frac{1}", "{", "}", "x^", "x^1^2", "\\left( x", "\\right)", "\\begin{matrix} a", "\\end{matrix}", "\\nosuch", "\\href{javascript:x}{y}", "\\def\\x{y}", "\\begin{nosuch}x\\end{nosuch}",
    "#", "\\", "{".repeat(100) + "}".repeat(100), "x".repeat(20000), "\\begin{matrix}" + "1&".repeat(6000) + "\\end{matrix}"])
    assert.throws(() => latexToMathml(source, false), source.slice(0, 40));
});

test("code", () => {
  const kinds = (lang, text) => tokenize(languageOf(lang), text).tokens.filter(([kind]) => kind).map(([kind, piece]) => `${kind}:${piece}`);
  assert.deepEqual(kinds("python", "def f(x):  # hi\n  return 'a\\'b' + 1.5e3"), ["k:def", "f:f", "c:# hi", "k:return", "s:'a\\'b'", "n:1.5e3"]);
  assert.deepEqual(kinds("cpp", "#include <a>\nint x = 0x1F; /* c */ // d"), ["k:#include", "t:int", "n:0x1F", "c:/* c */", "c:// d"]);
  assert.deepEqual(kinds("json", "{\"a\": \"b\", \"c\": true}"), ["f:\"a\"", "s:\"b\"", "f:\"c\"", "k:true"]);
  assert.deepEqual(kinds("diff", "+a\n-b\n c"), ["s:+a\n", "d:-b\n"]);
  assert.equal(languageOf("constructor"), null);
  assert.equal(languageOf("__proto__"), null);
  // In two pieces it is the same as in one, and every character comes back.
  const source = "x = 1\n'''long\nstring''' + y  # end\n/* no */ \"open\nz";
  for (let cut = 0; cut <= source.length; ++cut) {
    if (source[cut - 1] !== "\n") continue;
    const first = tokenize(languageOf("py"), source.slice(0, cut));
    const second = tokenize(languageOf("py"), source.slice(cut), first.state);
    assert.equal([...first.tokens, ...second.tokens].map(([, piece]) => piece).join(""), source);
    if (cut === 13) assert.equal(second.tokens[0][0], "s");
  }
});

test("escapes and control characters go", () => {
  assert.equal(clean("\x1b[31mred\x1b[0m \x1b]0;title\x07a\x1b]8;;http://x\x1b\\b"), "red ab");
  assert.equal(clean("a\r\nb\rc\x00\x07d\te\x9b1mf"), "a\nb\ncd\tef");
  assert.equal(clean("\x1b[" + "1;".repeat(5000) + "mx").endsWith("x"), true);
  // However it is cut.
  const text = "a\x1b[1;31mb\r\nc\x1b]0;t\x1b\\d\x1bMe\x1b";
  for (let i = 0; i <= text.length; ++i) {
    for (let k = i; k <= text.length; ++k) {
      const cleaner = new TextCleaner();
      assert.equal(cleaner.push(text.slice(0, i)) + cleaner.push(text.slice(i, k)) + cleaner.push(text.slice(k)) + cleaner.finish(), clean(text));
    }
  }
  assert.equal(clean(text), "ab\ncde");
  assert.equal(withoutBidi("a\u202eb\u2066c"), "abc");
  assert.equal(visibleBidi("a\u202eb"), "a\u27e8U+202E\u27e9b");
  assert.equal(directionOf("  123 שלום abc"), "rtl");
  assert.equal(directionOf("abc שלום"), "ltr");
});

test("addresses", () => {
  for (const url of ["javascript:x", "JAVASCRIPT:x", "java\nscript:x", " \x01javascript:x", "data:text/html,x", "vbscript:x", "file:///x", "//x.y", "/x", "x", "", "blob:http://x", "ftp://x.y", "http:"])
    assert.equal(safeUrl(url), null, url);
  assert.equal(safeUrl("https://x.y/z?a=b#c"), "https://x.y/z?a=b#c");
  assert.equal(safeUrl("mailto:a@b.c"), "mailto:a@b.c");
});

test("server-sent events, however they are cut", () => {
  const text = "\ufeffdata: a\n\n: comment\r\nevent: x\r\ndata: b\r\ndata:c\r\n\r\ndata\r\rid: 7\nretry: 1\n\ndata: last";
  const expected = [{event: "message", data: "a"}, {event: "x", data: "b\nc"}, {event: "message", data: ""}];
  for (let i = 0; i <= text.length; ++i) {
    for (let k = i; k <= text.length; ++k) {
      const parser = new SseParser();
      assert.deepEqual([...parser.push(text.slice(0, i)), ...parser.push(text.slice(i, k)), ...parser.push(text.slice(k))], expected);
    }
  }
});

test("the tree of messages", () => {
  const message = (id, parent, role) => ({id, parent, role});
  const tree = new Tree([message("q", "", "user"), message("a1", "q", "assistant"), message("n1", "a1", "user"), message("r1", "n1", "assistant"), message("a2", "q", "assistant")]);
  const ids = (leaf) => tree.path(leaf).map((m) => m.id).join(" ");
  assert.equal(ids("a2"), "q a2");
  assert.deepEqual(tree.siblings("a1"), ["a1", "a2"]);
  assert.equal(tree.leafUnder("a1"), "r1");
  assert.equal(ids("r1"), "q a1 n1 r1");
  tree.add(message("n2", "a1", "user"));
  assert.equal(tree.leafUnder("q"), "r1");  // where one was, not what is newest
  assert.equal(ids("n2"), "q a1 n2");
  assert.equal(tree.leafUnder("q"), "n2");
  tree.remove("a1");
  assert.equal(tree.size, 2);
  assert.equal(tree.leafUnder("q"), "a2");
  tree.remove("q");
  assert.equal(tree.leafUnder(""), "");
  assert.equal(new Set(Array.from({length: 500}, newId)).size, 500);
  assert.match(newId(), /^[A-Za-z0-9]{24}$/);
  assert.equal(titleOf("\n# **What** is\nthis"), "**What** is".replace(/^\*\*/, ""));
  assert.equal([...titleOf("x".repeat(100))].length, 60);
});

test("random texts: progress, and no letter lost", () => {
  let seed = 1;
  const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
  const bits = ["*", "**", "_", "`", "```", "~~", "[", "](", ")", "![", "<", ">", "|", "|-|", "$", "$$", "\\(", "\\)", "\\[", "\\]", "\\", "\n", "\n\n", "- ", "1. ", "# ", "> ", "    ", "\t", "a", "b c", "http://x.y", "&lt;",
    "<br>", "<sub>", "{", "}", "^", "\\frac", "\\begin{align}", "\\end{align}", "---", "===", "é", "语", "😀"];
  const textOf = (nodes) => nodes.map((n) => (typeof n === "string" ? n : n.c ? textOf(n.c) : n.text || n.tex || n.alt || "")).join("");
  for (let round = 0; round < 1500; ++round) {
    let source = "";
    for (let i = random(40); i >= 0; --i) source += bits[random(bits.length)];
    const links = source.includes("](");  // an address is not text
    for (const block of all(source)) {
      for (const text of [block.text, block.tex, ...(block.items || []).map((i) => i.text)]) {
        if (text === undefined) continue;
        const letters = (s) => s.replace(/[^语😀é]/gu, "");
        const shown = block.type === "math" ? text : textOf(inline(text));
        if (!links) assert.equal(letters(shown).length, letters(text).length, JSON.stringify(source));
        try {
          latexToMathml(text, false);
        } catch (error) {
          assert.equal(error.constructor.name, "LatexError", error.stack);
        }
      }
    }
  }
});

// A quarter of a megabyte of anything takes a time that grows with its size alone.
test("no text takes long", async (t) => {
  const pieces = {lines: "a line of *text*\n", words: "word ", letters: "a", table: "| a | b |\n|---|---|\n| cell | `code` |\n", rows: "| cell | `code` |\n", quotes: "> quoted\n> text\n\n", nested: "> - 1. ",
    brackets: "[[](( ", stars: "*a **b \n", dollars: "$x $$y ", backticks: "`` ` ```x ", parentheses: "\\( \\[ ", links: "[a](b) [c](", angles: "<a <https://x ", fences: "```\n~~~\n", items: "- x\n",
    paragraphs: "Some **bold** text, `code`.\n\n", headings: "# x\n", rules: "---\n", tags: "<sub>x</sub><br>", entities: "&amp;&#60;&x", urls: "https://example.org/a_b?c=d ", images: "![x](y)", blanks: "\n", tabs: "\t"};
  const parse = (text) => {
    const cleaner = new TextCleaner();
    const source = cleaner.push(text) + cleaner.finish();
    const from = performance.now();
    const blocks = (part, depth) => {
      if (depth > 10) return;
      for (let at = 0, block; (block = nextBlock(part, at)); at = block.end) {
        assert.ok(block.end > at);
        if (block.type === "quote") blocks(block.text, depth + 1);
        else if (block.items) for (const item of block.items) blocks(item.text, depth + 1);
        else if (block.rows) for (const row of block.rows) row.forEach(inline);
        else if (block.text !== undefined) inline(block.text);
      }
    };
    blocks(source, 0);
    return performance.now() - from;
  };
  for (const [name, piece] of Object.entries(pieces)) {
    await t.test(name, () => {
      const text = (size) => piece.repeat(size / piece.length + 1).slice(0, size);
      parse(text(1 << 15));  // warm
      // Eight times the text: a quadratic parser takes 64 times as long. The best of three, since others use the machine.
      let ratio = Infinity;
      for (let i = 0; i < 3 && ratio > 24; ++i) ratio = Math.min(ratio, parse(text(1 << 18)) / Math.max(parse(text(1 << 15)), 5));
      assert.ok(ratio <= 24, `${ratio.toFixed(1)} times as long`);
    });
  }
});

test("an answer grows by its parts, and so do its numbers", () => {
  const fresh = {content: "", reasoning: "", model: "", prompt_tokens: 0, completion_tokens: 0, reasoning_tokens: 0, thinking_seconds: 0, seconds: 0, tokens_per_second: 0, finish_reason: ""};
  const grow = (message, parts) => {
    const growing = new GrowingAnswer(message);
    assert.deepEqual(parts.map((part) => growing.take(part)), parts.map((part) => "content" in part));
    growing.tick();
    return message;
  };
  const parts = [{reasoning: "a", content: "", model: "m"}, {reasoning: "b", content: ""}, {reasoning: "", content: "c"}, {finish: "length"}];
  const message = grow({...fresh}, parts);
  assert.deepEqual([message.content, message.reasoning, message.model, message.finish_reason], ["c", "ab", "m", "length"]);
  assert.deepEqual([message.completion_tokens, message.reasoning_tokens], [3, 2]);
  assert.ok(message.seconds > 0 && message.thinking_seconds > 0);
  // What the server counted is better than the pieces; a continued answer adds to what it had.
  grow(message, [{reasoning: "", content: "d"}, {finish: "stop"}, {usage: {prompt_tokens: 7, completion_tokens: 5, completion_tokens_details: {reasoning_tokens: 1}}}, {timings: {predicted_per_second: 9}}]);
  assert.deepEqual([message.content, message.finish_reason, message.prompt_tokens, message.completion_tokens, message.reasoning_tokens, message.tokens_per_second], ["cd", "stop", 7, 8, 3, 9]);
  // Numbers that are none.
  const odd = grow({...fresh}, [{usage: {prompt_tokens: "x", completion_tokens: null}}, {timings: {predicted_per_second: "fast"}}, {timings: {}}]);
  assert.deepEqual([odd.prompt_tokens, odd.completion_tokens, odd.tokens_per_second, odd.thinking_seconds], [0, 0, 0, 0]);
});
