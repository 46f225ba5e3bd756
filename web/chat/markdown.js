// Markdown as models write it, to plain objects: CommonMark's blocks and spans, tables, task lists, strike-through, math. HTML stays text.
// No DOM in here (markdown_view.js). Every step is linear in its text, and what nests has a limit, so that no answer can hang a page.
//
//   nextBlock(source, at)   the block that starts at or after `at`: {type, end, closed, ..}, null if only blanks are left. `closed`: more text
//                           can't change it, whatever follows
//   inline(text)            a list of strings and {t, ..}

import {safeUrl} from "./text.js";

const kMaxBlock = 1 << 15;     // of one block; longer ones go on as another, longer lines are shown as they are
const kMaxParagraph = 6000;    // likewise, at a line's end
const kMaxList = 4000;         // likewise, between two of its items
export const kMaxDepth = 10;   // of quotes and lists in each other
const kMaxSpans = 12;          // of emphasis in each other
const kMaxMath = 20000;

const kFence = /^ {0,3}(`{3,}|~{3,})[ \t]*([^\n]*)$/;
const kHeading = /^ {0,3}(#{1,6})(?:[ \t]+|$)/;
const kRule = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const kQuote = /^ {0,3}>/;
const kMarker = /^([ \t]*)([-*+]|\d{1,9}[.)])([ \t]+|$)/;
const kDelimiterRow = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const kMathEnvironment = /^ {0,3}\\begin\{((?:align|aligned|alignat|equation|gather|gathered|multline|eqnarray|cases|split|array|[pbvBV]?matrix|smallmatrix)\*?)\}/;

function lineEnd(source, at) {
  const end = source.indexOf("\n", at);
  return end < 0 ? source.length : end;
}

function isBlank(line) {
  return /^[ \t]*$/.test(line);
}

function fenceOf(line) {
  const match = kFence.exec(line.length > 300 ? line.slice(0, 300) : line);
  if (!match || (match[1][0] === "`" && match[2].includes("`"))) return null;
  return {mark: match[1], indent: line.indexOf(match[1][0]), info: match[2].trim()};
}

// What ends a paragraph without a blank line.
function interrupts(line) {
  const c = line.trimStart()[0];
  if (c === undefined) return true;
  if (c === "`" || c === "~") return fenceOf(line) !== null;
  if (c === "#") return kHeading.test(line);
  if (c === ">") return kQuote.test(line);
  if (c === "$") return /^ {0,3}\$\$/.test(line);
  if (c === "\\") return /^ {0,3}\\\[/.test(line) || kMathEnvironment.test(line);
  if (c === "*" || c === "-" || c === "_" || c === "+" || (c >= "0" && c <= "9")) {
    if (kRule.test(line)) return true;
    const marker = kMarker.exec(line);
    return marker !== null && marker[1].length < 4 && marker[0].length < line.length && (marker[2].length === 1 || /^1[.)]$/.test(marker[2]));
  }
  return false;
}

export function nextBlock(source, at) {
  while (at < source.length) {
    const end = lineEnd(source, at);
    if (!isBlank(source.slice(at, end))) break;
    at = end + 1;
  }
  if (at >= source.length) return null;
  const end = lineEnd(source, at);
  if (end - at > kMaxBlock) return {type: "plain", from: at, end: Math.min(end + 1, source.length), to: end, closed: end < source.length};
  const line = source.slice(at, end);
  const block = fenced(source, at, line, end) || math(source, at, line) || heading(source, line, end) || rule(source, line, end) ||
    quote(source, at, line) || list(source, at, line) || table(source, at, line, end) || indented(source, at, line) || paragraph(source, at);
  if (block.type !== "code" && block.type !== "plain" && block.end - at > 2 * kMaxBlock)
    return {type: "plain", from: at, to: block.end, end: block.end, closed: false};
  return block;
}

// {type: "code", lang, from, to, end, indent}: the text is source.slice(from, to), each line less `indent` blanks.
function fenced(source, at, line, end) {
  const fence = fenceOf(line);
  if (!fence) return null;
  const lang = /^[^\s{}]*/.exec(fence.info)[0].slice(0, 40).toLowerCase();
  const from = Math.min(end + 1, source.length);
  const mark = fence.mark;
  for (let i = from; i < source.length;) {
    // The next line that holds the mark.
    const found = source.indexOf(mark, i);
    if (found < 0) break;
    const start = source.lastIndexOf("\n", found) + 1;
    const stop = lineEnd(source, found);
    if (start >= from && found - start < 300 && isBlank(source.slice(start, found))) {
      let after = found;
      while (source[after] === mark[0]) ++after;
      if (stop - after < 300 && isBlank(source.slice(after, stop)))
        return {type: "code", lang, from, to: Math.max(from, start - 1), indent: fence.indent, end: Math.min(stop + 1, source.length), closed: stop < source.length};
    }
    i = stop + 1;
  }
  return {type: "code", lang, from, to: source.length, indent: fence.indent, end: source.length, closed: false};
}

function math(source, at, line) {
  let open, close;
  const environment = kMathEnvironment.exec(line);
  const start = at + (line.length - line.trimStart().length);
  if (environment) {
    open = "";
    close = `\\end{${environment[1]}}`;
  } else if (/^ {0,3}\$\$/.test(line)) {
    open = close = "$$";
  } else if (/^ {0,3}\\\[/.test(line)) {
    open = "\\[";
    close = "\\]";
  } else {
    return null;
  }
  const found = source.indexOf(close, start + open.length);
  const whole = found < 0 ? source.slice(start, start + kMaxMath) : source.slice(start, found);
  if (found < 0) {
    // Still coming, or never closed: then it is a paragraph.
    return whole.length < kMaxMath && !/\n[ \t]*\n/.test(whole) ? {type: "paragraph", text: whole, end: source.length, closed: false} : null;
  }
  if (found - start > kMaxMath || /\n[ \t]*\n/.test(whole)) return null;
  const after = found + close.length;
  const stop = lineEnd(source, after);
  if (!/^[ \t]*[.,;:]?[ \t]*$/.test(source.slice(after, Math.min(stop, after + 20)))) return null;  // goes on in the line: a paragraph with a span
  const tex = environment ? source.slice(start, after) : source.slice(start + open.length, found);
  return {type: "math", tex, after: source.slice(after, stop).trim(), raw: source.slice(start, after), end: Math.min(stop + 1, source.length), closed: stop < source.length};
}

function heading(source, line, end) {
  const match = kHeading.exec(line);
  if (!match) return null;
  const text = line.slice(match[0].length).replace(/[ \t]+#+[ \t]*$/, "").trim();
  return {type: "heading", level: match[1].length, text, end: Math.min(end + 1, source.length), closed: end < source.length};
}

function rule(source, line, end) {
  return kRule.test(line) ? {type: "rule", end: Math.min(end + 1, source.length), closed: end < source.length} : null;
}

function quote(source, at, first) {
  if (!kQuote.test(first)) return null;
  const lines = [];
  const begin = at;
  while (at < source.length && at - begin < kMaxBlock) {
    const end = lineEnd(source, at);
    const line = source.slice(at, end);
    if (kQuote.test(line)) lines.push(line.replace(/^ {0,3}> ?/, ""));
    else if (!isBlank(line) && !isBlank(lines[lines.length - 1]) && !interrupts(line)) lines.push(line);  // a lazy line of its paragraph
    else break;
    at = end + 1;
  }
  return {type: "quote", text: lines.join("\n"), end: Math.min(at, source.length), closed: false};
}

function indentOf(line) {
  let n = 0;
  for (const c of line) {
    if (c === " ") ++n;
    else if (c === "\t") n += 4 - (n % 4);
    else break;
  }
  return n;
}

// Less up to n columns of blanks.
function dedent(line, n) {
  let i = 0;
  for (let column = 0; i < line.length && column < n; ++i) {
    if (line[i] === " ") ++column;
    else if (line[i] === "\t") column += 4 - (column % 4);
    else break;
  }
  return line.slice(i);
}

// Models indent what is inside an item by 2, 3 or 4 whatever the marker's width: from two columns on, it is inside.
function list(source, at, first) {
  const marker = kMarker.exec(first);
  if (!marker || indentOf(marker[1]) > 3) return null;
  const base = indentOf(marker[1]);
  const ordered = marker[2].length > 1;
  const kind = marker[2][marker[2].length - 1];
  const items = [];
  let lines = null, content = 0, blanks = 0, loose = false, fence = "";
  const begin = at;
  let end = at;
  while (at < source.length && at - begin < kMaxBlock) {
    const stop = lineEnd(source, at);
    const line = source.slice(at, stop);
    const next = Math.min(stop + 1, source.length);
    if (isBlank(line)) {
      ++blanks;
      at = stop + 1;
      continue;
    }
    const indent = indentOf(line);
    const inside = lines !== null && indent >= Math.min(content, base + 2);
    const match = inside ? null : kMarker.exec(line);
    if (match && !fence && items.length && at - begin > kMaxList) break;
    if (match && !fence && indent <= base + 1 && match[2][match[2].length - 1] === kind && !kRule.test(line)) {
      if (items.length && blanks) loose = true;
      const pad = match[3].length > 4 ? 1 : Math.max(match[3].length, 1);
      content = indent + match[2].length + pad;
      lines = [line.slice(match[1].length + match[2].length + Math.min(pad, match[3].length))];
      items.push(lines);
      fence = (fenceOf(lines[0]) || {mark: ""}).mark;
    } else if (inside) {
      const text = dedent(line, content);
      for (; blanks > 0; --blanks) lines.push("");
      if (lines[lines.length - 1] === "" && !fence && indent < content + 2 && !kMarker.test(text)) loose = true;
      lines.push(text);
      const mark = fenceOf(text);
      if (mark) fence = fence ? (mark.mark.startsWith(fence) && !mark.info ? "" : fence) : mark.mark;
    } else if (lines !== null && !blanks && !match && !interrupts(line)) {
      lines.push(line.trim());
    } else {
      break;
    }
    blanks = 0;
    end = next;
    at = stop + 1;
  }
  return {
    type: "list", ordered, start: ordered ? parseInt(marker[2], 10) : 1, loose, end, closed: false,
    items: items.map((itemLines) => {
      const text = itemLines.join("\n");
      const task = /^\[([ xX])\][ \t]+/.exec(text);
      return {task: task ? task[1] !== " " : null, text: task ? text.slice(task[0].length) : text};
    }),
  };
}

// Cells between bars that are neither escaped nor in code.
function cells(line) {
  const text = line.trim();
  const out = [];
  let cell = "";
  let code = false;
  for (let i = text[0] === "|" ? 1 : 0; i < text.length; ++i) {
    const c = text[i];
    if (c === "\\" && text[i + 1] === "|") {
      cell += "|";
      ++i;
    } else if (c === "|" && !code) {
      out.push(cell.trim());
      cell = "";
    } else {
      if (c === "`" && (code || text.indexOf("`", i + 1) > 0)) code = !code;
      cell += c;
    }
  }
  if (cell.trim() || !text.endsWith("|")) out.push(cell.trim());
  return out.slice(0, 64);
}

function table(source, at, line, end) {
  if (!line.includes("|") || end >= source.length || line.length > 4000) return null;
  const second = lineEnd(source, end + 1);
  const row = source.slice(end + 1, Math.min(second, end + 4000));
  if (!row.includes("-") || !kDelimiterRow.test(row)) return null;
  const header = cells(line);
  const align = cells(row).map((c) => (c.startsWith(":") ? (c.endsWith(":") ? "center" : "left") : c.endsWith(":") ? "right" : ""));
  if (align.length !== header.length) return null;
  const rows = [];
  let to = Math.min(second + 1, source.length);
  while (to < source.length && to - at < kMaxBlock) {
    const stop = lineEnd(source, to);
    const text = source.slice(to, stop);
    if (isBlank(text) || (!text.includes("|") && interrupts(text))) break;
    const all = cells(text).slice(0, header.length);
    while (all.length < header.length) all.push("");
    rows.push(all);
    to = Math.min(stop + 1, source.length);
  }
  return {type: "table", align, header, rows, end: to, closed: false};
}

function indented(source, at, first) {
  if (!/^(?: {4}|\t)/.test(first)) return null;
  let end = at;
  const from = at;
  let to = at;
  while (at < source.length) {
    const stop = lineEnd(source, at);
    const line = source.slice(at, stop);
    if (!isBlank(line)) {
      if (!/^(?: {4}|\t)/.test(line)) break;
      to = stop;
      end = Math.min(stop + 1, source.length);
    }
    at = stop + 1;
  }
  return {type: "code", lang: "", from, to, indent: 4, end, closed: false};
}

function paragraph(source, at) {
  const begin = at;
  const lines = [];
  while (at < source.length && at - begin < kMaxParagraph) {
    const end = lineEnd(source, at);
    const line = source.slice(at, end);
    if (lines.length) {
      const setext = /^ {0,3}(=+|-+)[ \t]*$/.exec(line);
      if (setext) return {type: "heading", level: setext[1][0] === "=" ? 1 : 2, text: lines.join("\n").trim(), end: Math.min(end + 1, source.length), closed: end < source.length};
      if (interrupts(line)) break;
      // A table may follow without a blank line.
      if (line.includes("|") && end < source.length) {
        const row = source.slice(end + 1, Math.min(lineEnd(source, end + 1), end + 4000));
        if (row.includes("|") && kDelimiterRow.test(row)) break;
      }
    }
    lines.push(line);
    at = end + 1;
  }
  return {type: "paragraph", text: lines.join("\n").trim(), end: Math.min(at, source.length), closed: false};
}

// ---- Spans.

const kOrdinary = /[^\\`*_~[\]!<$&\nh]+/y;
const kUrl = /https?:\/\/[^\s<>"'`\u3000-\u303f\uff00-\uffef]{1,2000}/y;
const kAngle = /<(?:(https?:\/\/[^\s<>]{1,2000}|mailto:[^\s<>]{1,200})|([\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}))>/y;
const kDestination = /^\([ \t\n]*(?:<([^<>\n]*)>|([^\s()]*(?:\([^\s()]*\)[^\s()]*)*))(?:[ \t\n]+(?:"[^"]*"|'[^']*'))?[ \t\n]*\)/;
const kTag = /<(?:(br)[ \t]*\/?|(\/?)(sub|sup))>/iy;
const kEntity = /&(?:(lt|gt|amp|quot|apos|nbsp|copy|times|ndash|mdash|hellip|rarr|larr)|#(\d{1,7})|#x([0-9a-f]{1,6}));/iy;
const kEntities = {lt: "<", gt: ">", amp: "&", quot: "\"", apos: "'", nbsp: "\u00a0", copy: "\u00a9", times: "\u00d7", ndash: "\u2013", mdash: "\u2014",
  hellip: "\u2026", rarr: "\u2192", larr: "\u2190"};
const kEscapable = /[!-/:-@[-`{-~]/;
const kWordCharacter = /[\p{L}\p{N}_]/u;

// A doubly linked list of what was read: strings, nodes, and delimiters that may still become emphasis.
class Items {
  constructor() {
    this.head = {};
    this.tail = this.head;
  }
  push(item) {
    item.previous = this.tail;
    this.tail.next = item;
    this.tail = item;
    return item;
  }
  text(text) {
    if (this.tail.text !== undefined) this.tail.text += text;
    else this.push({text});
  }
}

// Takes what stands between two items (neither included) out of the list: as nodes, and how deep they nest.
function takeBetween(from, to) {
  const out = [];
  let depth = 0;
  for (let item = from.next; item && item !== to; item = item.next) {
    const node = asNode(item);
    if (node === "") continue;
    if (typeof node === "string" && typeof out[out.length - 1] === "string") out[out.length - 1] += node;
    else out.push(node);
    depth = Math.max(depth, (item.depth || 0));
  }
  from.next = to;
  if (to) to.previous = from;
  return {nodes: out, depth};
}

function asNode(item) {
  if (item.text !== undefined) return item.text;
  if (item.delimiter) return item.delimiter.repeat(item.count);
  if (item.bracket !== undefined) return item.bracket;
  return item.node;
}

// CommonMark's "process emphasis", over the delimiters after `bottom`.
function processEmphasis(items, delimiters, bottom) {
  const openersBottom = {};
  for (let c = bottom; c < delimiters.length; ++c) {
    const closer = delimiters[c];
    if (!closer.canClose || closer.gone) continue;
    const key = closer.delimiter + (closer.canOpen ? "o" : "c") + (closer.delimiter === "~" ? "" : closer.original % 3);
    let o = c - 1;
    const stop = Math.max(bottom, openersBottom[key] ?? bottom);
    for (; o >= stop; --o) {
      const opener = delimiters[o];
      if (opener.gone || !opener.canOpen || opener.delimiter !== closer.delimiter) continue;
      if ((opener.canClose || closer.canOpen) && (opener.original + closer.original) % 3 === 0 && (opener.original % 3 || closer.original % 3)) continue;
      break;
    }
    if (o < stop) {
      openersBottom[key] = c;
      continue;
    }
    const opener = delimiters[o];
    const n = opener.delimiter === "~" ? 2 : opener.count >= 2 && closer.count >= 2 ? 2 : 1;
    const {nodes, depth} = takeBetween(opener, closer);
    for (let k = o + 1; k < c; ++k) delimiters[k].gone = true;
    const t = opener.delimiter === "~" ? "del" : n === 2 ? "strong" : "em";
    const made = depth < kMaxSpans ? {node: {t, c: nodes}, depth: depth + 1} : {node: {t: "span", c: nodes}, depth};
    made.previous = opener;
    made.next = closer;
    opener.next = made;
    closer.previous = made;
    opener.count -= n;
    closer.count -= n;
    if (!opener.count) opener.gone = true;
    if (closer.count) --c;  // once more with what is left of it
    else closer.gone = true;
  }
  delimiters.length = bottom;
}

// Whether $..$ is meant as math: prices, shell variables and prose between two dollars are not.
const kFunctionWords = new Set(["sin", "cos", "tan", "log", "exp", "max", "min", "mod", "gcd", "lcm", "det", "lim", "arg", "sup", "inf", "dim", "ker"]);
export function looksLikeMath(text) {
  const words = text.match(/(?<![\\A-Za-z])[A-Za-z]{3,}/g) || [];
  const prose = words.filter((word) => !kFunctionWords.has(word.toLowerCase())).length;
  if (/\\[A-Za-z]+|\\[{}$%#&,;! ]/.test(text)) return true;
  if (/[\^_=<>{}\u2200-\u22ff\u0391-\u03c9]/.test(text)) return prose < 3;
  return prose === 0 && /^[-+\w\s*/().,:!|'[\]]+$/.test(text);
}

// At a single dollar: the math span's end (behind its dollar), or -1.
function dollarSpan(text, at) {
  const before = text[at - 1];
  const first = text[at + 1];
  if (first === undefined || /\s/.test(first) || (before !== undefined && /[A-Za-z0-9]/.test(before))) return -1;
  const limit = Math.min(text.length, at + 2000);
  for (let i = at + 1; i < limit; ++i) {
    if (text[i] === "\\") ++i;
    else if (text[i] === "$") {
      const after = text[i + 1];
      if (i === at + 1 || /\s/.test(text[i - 1]) || (after !== undefined && /[A-Za-z0-9$]/.test(after))) return -1;
      return looksLikeMath(text.slice(at + 1, i)) ? i + 1 : -1;
    }
  }
  return -1;
}

function trimUrl(url) {
  for (;;) {
    const shorter = url.replace(/[.,;:!?*_~|]+$/, "");
    if (shorter.endsWith(")") && (shorter.match(/\(/g) || []).length < (shorter.match(/\)/g) || []).length) url = shorter.slice(0, -1);
    else if (shorter.endsWith("]") && !shorter.includes("[")) url = shorter.slice(0, -1);
    else return shorter;
  }
}

export function inline(text) {
  const items = new Items();
  const delimiters = [];
  const brackets = [];
  const none = new Set();  // closers that are known not to come any more
  const find = (closer, from) => {
    if (none.has(closer)) return -1;
    const at = text.indexOf(closer, from);
    if (at < 0) none.add(closer);
    return at;
  };
  const match = (regex, at) => {
    regex.lastIndex = at;
    return regex.exec(text);
  };
  const node = (value) => items.push({node: value});
  let at = 0;
  while (at < text.length) {
    const c = text[at];
    const ordinary = match(kOrdinary, at);
    if (ordinary) {
      items.text(ordinary[0]);
      at += ordinary[0].length;
      continue;
    }
    let next = -1;
    if (c === "\\") next = escape(at);
    else if (c === "`") next = codeSpan(at);
    else if (c === "$") next = mathSpan(at);
    else if (c === "*" || c === "_" || c === "~") next = delimiterRun(at, c);
    else if (c === "[" || (c === "!" && text[at + 1] === "[")) next = openBracket(at, c);
    else if (c === "]") next = closeBracket(at);
    else if (c === "<") next = angle(at);
    else if (c === "&") next = entity(at);
    else if (c === "h") next = bareUrl(at);
    else if (c === "\n") {
      if (items.tail.text !== undefined) items.tail.text = items.tail.text.replace(/[ \t]+$/, "");
      node({t: "br"});
      next = at + 1;
      while (text[next] === " ") ++next;
    }
    if (next < 0) {
      items.text(c);
      next = at + 1;
    }
    at = next;
  }
  processEmphasis(items, delimiters, 0);
  return takeBetween(items.head, undefined).nodes;

  function escape(i) {
    const c = text[i + 1];
    if (c === "(" || c === "[") {
      const close = c === "(" ? "\\)" : "\\]";
      const end = find(close, i + 2);
      if (end > 0 && end - i < kMaxMath) {
        node({t: "math", tex: text.slice(i + 2, end), display: c === "[", raw: text.slice(i, end + 2)});
        return end + 2;
      }
    }
    if (c === "\n") {
      node({t: "br"});
      return i + 2;
    }
    if (c === undefined || !kEscapable.test(c)) return -1;
    items.text(c);
    return i + 2;
  }

  function codeSpan(i) {
    let n = 1;
    while (text[i + n] === "`") ++n;
    const run = "`".repeat(n);
    for (let end = find(run, i + n); end >= 0;) {
      let after = end + n;
      while (text[after] === "`") ++after;
      if (after === end + n) {
        let code = text.slice(i + n, end).replace(/\n/g, " ");
        if (/^ .*[^ ].* $/.test(code)) code = code.slice(1, -1);
        node({t: "code", text: code});
        return end + n;
      }
      end = text.indexOf(run, after);
      if (end < 0) none.add(run);
    }
    items.text(run);
    return i + n;
  }

  function mathSpan(i) {
    if (text[i + 1] === "$") {
      const end = find("$$", i + 2);
      if (end > i + 2 && end - i < kMaxMath) {
        node({t: "math", tex: text.slice(i + 2, end), display: true, raw: text.slice(i, end + 2)});
        return end + 2;
      }
      items.text("$$");
      return i + 2;
    }
    const end = dollarSpan(text, i);
    if (end < 0) return -1;
    node({t: "math", tex: text.slice(i + 1, end - 1), display: false, raw: text.slice(i, end)});
    return end;
  }

  function delimiterRun(i, c) {
    let n = 1;
    while (text[i + n] === c) ++n;
    const before = i > 0 ? text[i - 1] : " ";
    const after = i + n < text.length ? text[i + n] : " ";
    if (c === "~" && n !== 2) {
      items.text(c.repeat(n));
      return i + n;
    }
    // CommonMark also looks at punctuation, which makes **"word"**, next to a letter of Chinese, no emphasis; models mean it as one.
    let canOpen = !/\s/.test(after);
    let canClose = !/\s/.test(before);
    if (c === "_") {
      if (kWordCharacter.test(before)) canOpen = false;
      if (kWordCharacter.test(after)) canClose = false;
    }
    if (!canOpen && !canClose) items.text(c.repeat(n));
    else delimiters.push(items.push({delimiter: c, count: n, original: n, canOpen, canClose}));
    return i + n;
  }

  function openBracket(i, c) {
    const image = c === "!";
    brackets.push({item: items.push({bracket: image ? "![" : "["}), image, delimiters: delimiters.length, at: i + (image ? 2 : 1), active: true});
    return i + (image ? 2 : 1);
  }

  function closeBracket(i) {
    const open = brackets.pop();
    if (!open || !open.active || text[i + 1] !== "(") return -1;
    const found = kDestination.exec(text.slice(i + 1, i + 2048));
    if (!found) return -1;
    const address = (found[1] ?? found[2]).replace(/\\([!-/:-@[-`{-~])/g, "$1");
    const href = safeUrl(address);
    processEmphasis(items, delimiters, open.delimiters);
    const {nodes, depth} = takeBetween(open.item, undefined);
    items.tail = open.item;
    open.item.bracket = "";
    const alt = text.slice(open.at, i).slice(0, 300);
    const made = open.image ? {t: "image", href, alt, address} : {t: "link", href, c: nodes, address};
    items.push({node: made, depth});
    if (!open.image) for (const other of brackets) if (!other.image) other.active = false;  // no links in links
    if (!open.image) brackets.splice(0, brackets.length, ...brackets.filter((other) => other.active));
    return i + 1 + found[0].length;
  }

  function angle(i) {
    const tag = match(kTag, i);
    if (tag) {
      if (tag[1]) {
        node({t: "br"});
        return i + tag[0].length;
      }
      // <sub>short</sub>, as chemistry is written.
      const close = tag[2] ? -1 : text.slice(i, i + 300).search(new RegExp(`</${tag[3]}>`, "i"));
      if (close > 0) {
        node({t: tag[3].toLowerCase(), c: [text.slice(i + tag[0].length, i + close)]});
        return i + close + tag[3].length + 3;
      }
      return -1;
    }
    const link = match(kAngle, i);
    if (!link) return -1;
    const href = safeUrl(link[1] || "mailto:" + link[2]);
    if (!href) return -1;
    node({t: "link", href, c: [link[1] || link[2]], address: href});
    return i + link[0].length;
  }

  function entity(i) {
    const found = match(kEntity, i);
    if (!found) return -1;
    const code = found[2] ? parseInt(found[2], 10) : found[3] ? parseInt(found[3], 16) : 0;
    if (!found[1] && (code === 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) || code < 32 || (code >= 127 && code < 160))) return -1;
    items.text(found[1] ? kEntities[found[1].toLowerCase()] : String.fromCodePoint(code));
    return i + found[0].length;
  }

  function bareUrl(i) {
    if (i > 0 && kWordCharacter.test(text[i - 1])) return -1;
    const found = match(kUrl, i);
    if (!found) return -1;
    const url = trimUrl(found[0]);
    const href = safeUrl(url);
    if (!href || brackets.some((open) => !open.image && open.active)) return -1;
    node({t: "link", href, c: [url], address: url});
    return i + url.length;
  }
}
