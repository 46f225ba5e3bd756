// What a model's text is cleaned of before it is shown: terminal escapes, control characters, invisible changes of writing direction.

const kControl = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/;
const kBidi = /[\u202a-\u202e\u2066-\u2069]/g;
const kMaxEscape = 4096;

// Takes text as it comes; gives it without ANSI escapes and control characters (tab and line feed stay; \r\n and \r are line feeds). A sequence
// may be cut anywhere between two pieces.
export class TextCleaner {
  #held = "";

  push(piece) {
    if (!this.#held && !kControl.test(piece)) return piece;
    return this.#clean(this.#held + piece, false);
  }

  finish() {
    return this.#held ? this.#clean(this.#held, true) : "";
  }

  #clean(text, last) {
    let out = "";
    let from = 0;
    this.#held = "";
    for (let i = 0; i < text.length;) {
      const c = text.charCodeAt(i);
      if (c === 9 || c === 10 || (c >= 32 && c < 127) || c > 159) {
        ++i;
        continue;
      }
      out += text.slice(from, i);
      const next = c === 13 ? carriageReturn(text, i) : c === 27 || c === 0x9b || c === 0x9d ? escapeEnd(text, i) : i + 1;
      if (next < 0 && !last && text.length - i < kMaxEscape) {
        this.#held = text.slice(i);
        return out;
      }
      if (c === 13) out += "\n";
      i = from = next < 0 ? i + 1 : next;
    }
    return out + text.slice(from);
  }
}

// The end of the line break at `i`; -1: not known yet.
function carriageReturn(text, i) {
  if (i + 1 === text.length) return -1;
  return text[i + 1] === "\n" ? i + 2 : i + 1;
}

// The end of the escape at `i`; -1: it is not complete.
function escapeEnd(text, i) {
  let kind = text[i];
  let at = i + 1;
  if (kind === "\x1b") {
    if (at === text.length) return -1;
    kind = text[at++];
  }
  if (kind === "[" || kind === "\x9b") {  // CSI: parameters, intermediates, one final
    for (; at < text.length; ++at) {
      const c = text.charCodeAt(at);
      if (c >= 0x40 && c <= 0x7e) return at + 1;
      if (c < 0x20 || c > 0x7e) return at;
    }
    return -1;
  }
  if (kind === "]" || kind === "P" || kind === "^" || kind === "_" || kind === "\x9d") {  // a string, to BEL or ESC backslash
    for (const end = Math.min(text.length, i + kMaxEscape); at < end; ++at) {
      if (text[at] === "\x07" || text[at] === "\x9c") return at + 1;
      if (text[at] === "\x1b") return at + 1 === text.length ? -1 : text[at + 1] === "\\" ? at + 2 : at;
    }
    return text.length - i < kMaxEscape ? -1 : i + 1;
  }
  return at;
}

export function clean(text) {
  const cleaner = new TextCleaner();
  return cleaner.push(text) + cleaner.finish();
}

// Prose goes without them: its elements have a direction of their own.
export function withoutBidi(text) {
  return text.replace(kBidi, "");
}

// In code they are shown, since they can make it read as what it is not.
export function visibleBidi(text) {
  return text.replace(kBidi, (c) => `\u27e8U+${c.charCodeAt(0).toString(16).toUpperCase()}\u27e9`);
}

// "rtl" if its first letter is of a script that is written from the right. (dir="auto" has a browser look again with each change, at all of it.)
const kLetter = /\p{L}/u;
const kFromRight = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;
export function directionOf(text) {
  const first = kLetter.exec(text.length > 2000 ? text.slice(0, 2000) : text);
  return first && kFromRight.test(first[0]) ? "rtl" : "ltr";
}

// The address if it may be a link: absolute, of the web or mail. Else null.
export function safeUrl(address) {
  let url;
  try {
    url = new URL(address);
  } catch {
    return null;
  }
  return url.protocol === "http:" || url.protocol === "https:" || url.protocol === "mailto:" ? url.href : null;
}
