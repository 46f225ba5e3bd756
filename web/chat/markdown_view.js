// Markdown in the page, as it comes: append(text) any number of times, finish() at the end. Blocks that are complete are built once; only the
// last one is built anew when text is added. Work is done in slices (render_queue.js), and long texts are elements of some kilobytes that the
// browser lays out when they come into view, so that a block of a megabyte does not hold up the page.
//
// Everything becomes text nodes and the elements named here; attributes are class, dir, href and MathML's. Links go to http, https and mailto only.
// Images are links.

import {el, iconButton} from "../common/dom.js";
import {languageOf, tokenize} from "./highlight.js";
import {latexToMathml} from "./latex.js";
import {inline, kMaxDepth, nextBlock} from "./markdown.js";
import {schedule} from "./render_queue.js";
import {TextCleaner, directionOf, visibleBidi, withoutBidi} from "./text.js";

const kMathml = "http://www.w3.org/1998/Math/MathML";
const kMathElements = new Set(["math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "mroot", "msub", "msup", "msubsup", "munder", "mover", "munderover",
  "mtable", "mtr", "mtd", "mstyle", "mphantom"]);
const kChunk = 8000;                // characters of an element of a long text
const kMaxHighlighted = 256 << 10;  // of a block of code
const kSection = 6000;              // characters of blocks that are laid out together, of answers that are longer than a few of these

// ---- Spans and small blocks.

function mathNode(node) {
  if (typeof node === "string") return document.createTextNode(withoutBidi(node));
  if (!kMathElements.has(node.n)) throw new Error(`no element ${node.n}`);
  const out = document.createElementNS(kMathml, node.n);
  for (const [name, value] of Object.entries(node.a)) out.setAttribute(name, value);
  for (const child of node.c) out.append(mathNode(child));
  return out;
}

// What can't be read stays as it was written.
function math(tex, display, raw) {
  const tag = display ? "div" : "span";
  try {
    return el(tag, {class: display ? "math display" : "math", title: tex.length < 500 ? tex.trim() : null, dir: "ltr"}, mathNode(latexToMathml(tex, display)));
  } catch {
    return el(tag, {class: display ? "math display source" : "math source", dir: "ltr"}, el("code", null, visibleBidi(raw)));
  }
}

function link(href, address, children) {
  if (!href) return [children, address ? el("span", {class: "muted"}, ` (${withoutBidi(address)})`) : null];
  return el("a", {href, target: "_blank", rel: "noopener noreferrer nofollow", title: href}, children);
}

function spans(nodes) {
  return nodes.map((node) => {
    if (typeof node === "string") return withoutBidi(node);
    switch (node.t) {
      case "code": return el("code", {dir: "ltr"}, visibleBidi(node.text));
      case "br": return el("br");
      case "math": return math(node.tex, node.display, node.raw);
      case "link": return link(node.href, node.address, spans(node.c));
      case "image": return link(node.href, node.address, el("span", {class: "image"}, withoutBidi(node.alt) || "image"));
      default: return el(node.t, null, spans(node.c));  // em, strong, del, sub, sup, span
    }
  });
}

function blocks(text, depth, tight) {
  if (depth > kMaxDepth) return [el("div", {class: "plain", dir: directionOf(text)}, withoutBidi(text))];
  const out = [];
  for (let at = 0, block; (block = nextBlock(text, at)); at = block.end) {
    if (tight && block.type === "paragraph") out.push(...spans(inline(block.text)));
    else out.push(blockElement(text, block, depth));
  }
  return out;
}

function blockElement(source, block, depth = 0) {
  switch (block.type) {
    case "heading": return el(`h${Math.min(block.level + 1, 6)}`, {class: `h${block.level}`, dir: directionOf(block.text)}, spans(inline(block.text)));
    case "rule": return el("hr");
    case "quote": return el("blockquote", {dir: directionOf(block.text)}, blocks(block.text, depth + 1, false));
    case "math": return block.after ? el("div", {class: "math-line"}, math(block.tex, true, block.raw), withoutBidi(block.after)) : math(block.tex, true, block.raw);
    case "list":
      return el(block.ordered ? "ol" : "ul", {start: block.ordered && block.start !== 1 ? block.start : null, dir: directionOf(block.items[0].text)}, block.items.map((item) =>
        el("li", {class: item.task === null ? null : "task", dir: directionOf(item.text)},
          item.task === null ? null : el("span", {class: "box", role: "img", "aria-label": item.task ? "done" : "to do"}, item.task ? "☑" : "☐"),
          blocks(item.text, depth + 1, !block.loose))));
    case "table":
      return el("div", {class: "table", tabindex: 0, role: "region", "aria-label": "Table"}, el("table", null,
        el("thead", null, el("tr", null, block.header.map((cell, i) => el("th", {class: block.align[i] || null, dir: directionOf(cell), scope: "col"}, spans(inline(cell)))))),
        el("tbody", null, block.rows.map((row) => el("tr", null, row.map((cell, i) => el("td", {class: block.align[i] || null, dir: directionOf(cell)}, spans(inline(cell)))))))));
    case "code": return whole(new CodeView(block.lang), codeText(source, block));
    case "plain": return plainText(source.slice(block.from, block.to));
    default: return el("p", {dir: directionOf(block.text)}, spans(inline(block.text)));
  }
}

function codeText(source, block) {
  const text = source.slice(block.from, block.to);
  return block.indent ? text.replace(new RegExp(`^ {1,${block.indent}}`, "gm"), "") : text;
}

// ---- Long texts, in pieces.

// A text that only grows, shown as a row of chunks. step(deadline) works until then; true: all is shown.
class ChunkedText {
  #text = "";
  #done = 0;     // shown in chunks that are complete
  #open = null;  // the chunk after them
  #shown = 0;

  constructor(root, parent) {
    this.root = root;
    this.parent = parent;
  }

  get text() {
    return this.#text;
  }

  set(text) {
    this.#text = text;
  }

  step(deadline) {
    while (this.#text.length - this.#done > kChunk || this.#shown !== this.#text.length) {
      const rest = this.#text.length - this.#done;
      if (!this.#open) {
        this.#open = el("div", {class: "chunk"});
        this.parent.append(this.#open);
      }
      if (rest <= kChunk) {
        this.fill(this.#open, this.#text.slice(this.#done), false);
        this.#shown = this.#text.length;
        break;
      }
      // At a line's end; a line that is longer than a chunk is cut.
      let end = this.#text.lastIndexOf("\n", this.#done + kChunk);
      if (end <= this.#done) end = this.#done + kChunk;
      const code = this.#text.charCodeAt(end);
      if (code >= 0xdc00 && code < 0xe000) ++end;  // not between the halves of a character
      const piece = this.#text.slice(this.#done, end);
      this.fill(this.#open, piece, true);
      let lines = 1;
      for (let i = piece.indexOf("\n"); i >= 0; i = piece.indexOf("\n", i + 1)) ++lines;
      this.#open.style.containIntrinsicSize = `auto ${this.size(piece, lines)}`;
      this.#open.classList.add("whole");
      this.#open = null;
      this.#done = this.#text[end] === "\n" ? end + 1 : end;
      this.#shown = this.#done;
      if (performance.now() > deadline) return false;
    }
    return true;
  }
}

class PlainView extends ChunkedText {
  constructor() {
    const root = el("div", {class: "plain"});
    super(root, root);
  }
  fill(chunk, text) {
    chunk.setAttribute("dir", directionOf(text));
    chunk.textContent = withoutBidi(text);
  }
  size(piece) {
    return `${Math.ceil(piece.length / 80) + 1}lh`;
  }
}

class CodeView extends ChunkedText {
  #language;
  #state = null;  // the highlighter's, where the open chunk begins
  #colored = 0;

  constructor(lang) {
    const code = el("div", {class: "lines"});
    const copy = iconButton("copy", "Copy code", () => copyText(this.text, copy), {class: "copy"});
    super(el("figure", {class: "code", dir: "ltr"},
      el("figcaption", null, el("span", {class: "lang"}, lang), copy),
      el("pre", {tabindex: 0, role: "region", "aria-label": lang ? `Code, ${lang}` : "Code"}, el("code", null, code))), code);
    this.#language = languageOf(lang);
  }

  fill(chunk, text, whole) {
    if (!this.#language || this.#colored > kMaxHighlighted) {
      chunk.textContent = visibleBidi(text);
      return;
    }
    const {tokens, state} = tokenize(this.#language, whole ? text + "\n" : text, this.#state);
    chunk.replaceChildren(...tokens.map(([kind, piece]) => (kind ? el("span", {class: `tok-${kind}`}, visibleBidi(piece)) : visibleBidi(piece))));
    if (!whole) return;
    if (chunk.lastChild && chunk.lastChild.textContent.endsWith("\n")) chunk.lastChild.textContent = chunk.lastChild.textContent.slice(0, -1);
    this.#state = state;
    this.#colored += text.length;
  }
  size(piece, lines) {
    return `${lines}lh`;
  }
}

function whole(view, text) {
  view.set(text);
  view.step(Infinity);
  return view.root;
}

// A text as it was written.
export function plainText(text) {
  return whole(new PlainView(), text);
}

export async function copyText(text, button = null) {
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Pages of plain http have no clipboard: the old way.
    const area = el("textarea", {class: "visually-hidden", readonly: true});
    area.value = text;
    document.body.append(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
  }
  if (!button) return done;
  const before = [...button.childNodes];
  button.replaceChildren(...iconButton(done ? "check" : "close", "").childNodes);
  button.classList.add("done");
  setTimeout(() => {
    button.replaceChildren(...before);
    button.classList.remove("done");
  }, 1200);
  return done;
}

// ---- The view.

export class MarkdownView {
  #source = "";
  #cleaner = new TextCleaner();
  #final = false;
  #at = 0;         // the source is shown up to here for good
  #open = [];      // elements of what comes after, which may change
  #grows = null;   // a long text at #at that only grows: {view, from, type, indent}
  #section = null; // {root, from}: where complete blocks go
  #wait = 0;       // not before then: building the open block takes long
  #onchange;

  constructor(root, {onchange = () => {}} = {}) {
    this.root = root;
    this.root.classList.add("markdown");
    this.#onchange = onchange;
  }

  append(text) {
    this.#source += this.#cleaner.push(text);
    schedule(this);
  }

  finish() {
    this.#source += this.#cleaner.finish();
    this.#final = true;
    this.#wait = 0;
    schedule(this);
  }

  // For render_queue: works until the deadline; true: nothing is left to do.
  step(deadline) {
    const began = performance.now();
    if (began < this.#wait && !this.#final) return "later";
    while (performance.now() < deadline) {
      const more = this.#advance(deadline);
      if (more === "done") {
        // At most a quarter of the time goes into building an open block again and again.
        this.#wait = performance.now() + 3 * (performance.now() - began);
        this.#onchange();
        return true;
      }
      if (more === "deadline") break;
    }
    this.#onchange();
    return false;
  }

  #advance(deadline) {
    if (this.#at >= this.#source.length && !this.#open.length) return "done";
    const block = nextBlock(this.#source, this.#at);
    if (!block) {
      this.#clearOpen();
      return "done";
    }
    const closed = this.#isClosed(block);
    if (block.type === "code" || block.type === "plain") return this.#long(block, closed, deadline);
    this.#clearOpen();
    if (closed) {
      this.#place(block).append(blockElement(this.#source, block));
      this.#at = block.end;
      return this.#at >= this.#source.length ? "done" : "more";
    }
    // The rest is open: this block and what may have begun behind it.
    for (let at = this.#at, next; (next = nextBlock(this.#source, at)); at = next.end) {
      const element = blockElement(this.#source, next);
      this.#open.push(element);
      this.root.append(element);
    }
    return "done";
  }

  // The element that a block goes into, by where it stands in the text alone.
  #place(block) {
    if (!this.#section || this.#at - this.#section.from > kSection) {
      const far = this.#at > 4 * kSection;
      this.#section = {root: el("section", {class: far ? "far" : null}), from: this.#at};
      this.root.append(this.#section.root);
    }
    return this.#section.root;
  }

  #isClosed(block) {
    if (this.#final || block.closed) return true;
    // A complete line that is not blank stands behind it.
    let at = block.end;
    for (;;) {
      const end = this.#source.indexOf("\n", at);
      if (end < 0) return false;
      if (this.#source.slice(at, end).trim()) return true;
      at = end + 1;
    }
  }

  #long(block, closed, deadline) {
    if (!this.#grows || this.#grows.from !== block.from || this.#grows.type !== block.type) {
      this.#clearOpen();
      const view = block.type === "code" ? new CodeView(block.lang) : new PlainView();
      this.#grows = {view, from: block.from, type: block.type};
      this.#place(block).append(view.root);
    }
    const {view} = this.#grows;
    view.set(block.type === "code" ? codeText(this.#source, block) : this.#source.slice(block.from, block.to));
    if (!view.step(deadline)) return "deadline";
    if (!closed) return "done";
    this.#grows = null;
    this.#at = block.end;
    return this.#at >= this.#source.length ? "done" : "more";
  }

  #clearOpen() {
    for (const element of this.#open) element.remove();
    this.#open = [];
    if (this.#grows) {
      this.#grows.view.root.remove();
      this.#grows = null;
    }
  }
}
