// Two texts word by word (E. W. Myers, An O(ND) difference algorithm, 1986): [[kind, text]], kind "same", "added" or "removed".

const kMostEdits = 1500;

function words(text) {
  return text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) || [];
}

// The way through the edit graph, or null where the texts have too little in common.
function trace(a, b) {
  const max = Math.min(a.length + b.length, kMostEdits);
  let ends = new Map([[1, 0]]);
  const history = [];
  for (let d = 0; d <= max; ++d) {
    history.push(new Map(ends));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (ends.get(k - 1) ?? -1) < (ends.get(k + 1) ?? -1));
      let x = down ? ends.get(k + 1) ?? 0 : (ends.get(k - 1) ?? 0) + 1;
      let y = x - k;
      while (x < a.length && y < b.length && a[x] === b[y]) {
        ++x;
        ++y;
      }
      ends.set(k, x);
      if (x >= a.length && y >= b.length) return history;
    }
  }
  return null;
}

function middle(a, b) {
  const history = trace(a, b);
  if (!history) return [["removed", a.join("")], ["added", b.join("")]];
  const out = [];
  let x = a.length, y = b.length;
  for (let d = history.length - 1; d >= 0; --d) {
    const ends = history[d], k = x - y;
    const down = k === -d || (k !== d && (ends.get(k - 1) ?? -1) < (ends.get(k + 1) ?? -1));
    const from = down ? k + 1 : k - 1;
    const x0 = ends.get(from) ?? 0, y0 = x0 - from;
    while (x > x0 && y > y0 && x > 0 && y > 0 && a[x - 1] === b[y - 1]) {
      out.push(["same", a[--x]]);
      --y;
    }
    if (d === 0) break;
    if (down) out.push(["added", b[--y]]);
    else out.push(["removed", a[--x]]);
  }
  return out.reverse();
}

export function wordDiff(before, after) {
  const a = words(before), b = words(after);
  let head = 0, tail = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) ++head;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) ++tail;
  const parts = [["same", a.slice(0, head).join("")], ...middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail)),
    ["same", a.slice(a.length - tail).join("")]];
  const out = [];
  for (const [kind, text] of parts) {
    if (!text) continue;
    if (out.length && out.at(-1)[0] === kind) out.at(-1)[1] += text;
    else out.push([kind, text]);
  }
  return out;
}
