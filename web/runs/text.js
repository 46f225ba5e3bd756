// What a model said, as nodes: characters that hide or turn text are spelled out, thoughts are grey, answers bold.
import {el} from "../common/dom.js";

const kHidden = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
const kTags = [["<think>", "thought"], ["</think>", ""], ["<answer>", "answer"], ["</answer>", ""]];

export const visible = (text) => String(text).replace(kHidden, (c) => `\\u{${c.codePointAt(0).toString(16).toUpperCase()}}`);

export function marked(text) {
  const out = [];
  let state = "", rest = String(text);
  const emit = (piece) => {
    if (piece) out.push(el("span", {class: state || null}, visible(piece)));
  };
  for (;;) {
    let at = -1, tag = null;
    for (const candidate of kTags) {
      const i = rest.indexOf(candidate[0]);
      if (i >= 0 && (at < 0 || i < at)) [at, tag] = [i, candidate];
    }
    if (!tag) {
      emit(rest);
      return out;
    }
    emit(rest.slice(0, at));
    out.push(el("span", {class: "tag"}, tag[0]));
    state = tag[1];
    rest = rest.slice(at + tag[0].length);
  }
}

export function diffed(parts) {
  return parts.map(([kind, text]) => kind === "same" ? visible(text) : el(kind === "added" ? "ins" : "del", null, visible(text)));
}

// A value of a config.
export function plain(value) {
  return value === null || value === undefined ? "–" : typeof value === "string" ? visible(value)
    : typeof value === "number" && value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential() : JSON.stringify(value);
}

export function flatten(value, prefix = "", out = [], depth = 0) {
  if (value !== null && typeof value === "object" && !Array.isArray(value) && depth < 16) {
    for (const [key, child] of Object.entries(value)) flatten(child, prefix ? `${prefix}.${key}` : key, out, depth + 1);
  } else {
    out.push([prefix, value]);
  }
  return out;
}

// Seconds since 1970.
export function clock(time) {
  return time === null || time === undefined ? "" : new Date(1000 * time).toLocaleString("en-GB", {day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit"});
}
