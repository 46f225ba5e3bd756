// A line chart on a canvas: several curves over one axis of steps or times. Thin lines are the values, bold ones their moving average. A value that
// is not finite leaves a gap and a mark on the lower edge. Drag: zoom into a range; double click: out again; pointer or arrow keys: read-out.
import {el, iconButton, replace} from "../common/dom.js";
import {number} from "../common/format.js";
import {firstWhere} from "./data.js";

const kLeft = 52, kRight = 10, kTop = 8, kBottom = 22;

const kFew = 40;  // points that are drawn as they are: an average of few evaluations lies far from them

const finite = (value) => typeof value === "number";

// About `count` round values from lo to hi.
function ticks(lo, hi, count) {
  const rough = (hi - lo) / Math.max(1, count), power = 10 ** Math.floor(Math.log10(rough)), share = rough / power;
  const step = power * (share <= 1.5 ? 1 : share <= 3 ? 2 : share <= 7 ? 5 : 10);
  const out = [];
  for (let i = Math.ceil(lo / step - 1e-9); i * step <= hi + step * 1e-9 && out.length < 50; ++i) out.push(i * step);
  return out;
}

function logTicks(lo, hi) {
  const out = [], first = Math.floor(lo), last = Math.ceil(hi), stride = Math.max(1, Math.ceil((last - first) / 5));
  for (let e = first; e <= last; e += stride) if (e >= lo - 1e-9 && e <= hi + 1e-9) out.push(e);
  if (out.length < 2) return ticks(lo, hi, 4);
  return out;
}

function axisNumber(x) {
  const size = Math.abs(x);
  if (size >= 1e15) return x.toExponential(0);
  for (const [unit, name] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) if (size >= unit) return `${Number((x / unit).toPrecision(4))}${name}`;
  if (size !== 0 && size < 1e-3) return x.toExponential(1).replace(".0e", "e");
  return String(Number(x.toPrecision(4)));
}

const seconds = (x) => {
  const size = Math.abs(x);
  if (size >= 86400) return `${Number((x / 86400).toPrecision(3))} d`;
  if (size >= 3600) return `${Number((x / 3600).toPrecision(3))} h`;
  if (size >= 60) return `${Number((x / 60).toPrecision(3))} min`;
  return `${Number(x.toPrecision(3))} s`;
};

export const readout = (value) => value === null ? "NaN" : finite(value) ? number(value) : value === "inf" ? "Inf" : "-Inf";

// The place of the step nearest to `step`; -1 without steps.
function nearest(steps, step) {
  const i = Math.min(firstWhere(steps.length, (k) => steps[k] >= step), steps.length - 1);
  return i > 0 && step - steps[i - 1] < steps[i] - step ? i - 1 : i;
}

// The mark that stands for a run.
export function swatch(color) {
  const node = el("i", {class: "swatch"});
  node.style.background = `var(${color})`;
  return node;
}

export class Chart {
  #canvas = el("canvas", {tabindex: 0, role: "img"});
  #tip = el("div", {class: "tip", hidden: true, role: "status"});
  #now = el("span", {class: "now"});
  #source;
  #drawn = null;   // what is on the canvas: {lines, x, y, ..}
  #pointer = null; // x in pixels
  #drag = null;
  #frame = 0;
  log = false;

  // `source`: {lines(key, points) -> [{name, color, curve, x(step)}] | undefined while they are on their way, marks() -> [step], zoom(from, to),
  // axis() -> "step" | "relative" | "wall", smoothing()}
  constructor(key, title, unit, source) {
    this.key = key;
    this.#source = source;
    const scale = el("button", {type: "button", class: "ghost small", title: "Logarithmic scale", "aria-pressed": "false", onclick: () => {
      this.log = !this.log;
      scale.setAttribute("aria-pressed", String(this.log));
      this.draw();
    }}, "log");
    const wide = iconButton("more", "Wide or normal", () => {
      this.node.classList.toggle("wide");
    }, {class: "small"});
    this.node = el("figure", {class: "chart card", "data-key": key},
      el("figcaption", null, el("span", {class: "name", title: key}, title, unit && el("small", null, ` ${unit}`)), this.#now, scale, wide),
      el("div", {class: "plot"}, this.#canvas, this.#tip));
    const canvas = this.#canvas;
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch") return;
      this.#drag = {from: this.#inside(event.offsetX), to: this.#inside(event.offsetX)};
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointerup", () => this.#release());
    canvas.addEventListener("pointercancel", () => { this.#drag = null; });
    canvas.addEventListener("pointerleave", () => {
      if (this.#drag) return;
      this.#pointer = null;
      this.draw();
    });
    canvas.addEventListener("dblclick", () => source.zoom(null, null));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => {
      this.#pointer = null;
      this.draw();
    });
    this.visible = false;
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  draw() {
    if (!this.visible || this.#frame) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#paint();
    });
  }

  // What is drawn, for tests and screen readers.
  get drawn() {
    return this.#drawn;
  }

  #inside(x) {
    return Math.min(Math.max(x, kLeft), this.#canvas.clientWidth - kRight);
  }

  #move(event) {
    this.#pointer = event.offsetX;
    if (this.#drag) this.#drag.to = this.#inside(event.offsetX);
    this.draw();
  }

  #release() {
    const drag = this.#drag;
    this.#drag = null;
    if (!drag || !this.#drawn || Math.abs(drag.to - drag.from) < 6) return this.draw();
    const [from, to] = [drag.from, drag.to].sort((a, b) => a - b).map((x) => this.#drawn.stepAt(x));
    if (from !== null && to !== null && to > from) this.#source.zoom(from, to);
  }

  #key(event) {
    const d = this.#drawn;
    if (!d) return;
    if (event.key === "Escape") {
      this.#pointer = null;
      this.#source.zoom(null, null);
    } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      const sign = event.key === "ArrowRight" ? 1 : -1;
      this.#pointer = this.#inside((this.#pointer ?? (sign > 0 ? kLeft : this.#canvas.clientWidth)) + sign * Math.max(2, (this.#canvas.clientWidth - kLeft) / 100));
    } else {
      return;
    }
    event.preventDefault();
    this.draw();
  }

  #paint() {
    const canvas = this.#canvas, width = canvas.clientWidth, height = canvas.clientHeight;
    if (width < 80 || height < 60) return;
    const lines = this.#source.lines(this.key, Math.ceil((width - kLeft - kRight) / 1.5));
    if (!lines) return;  // what was drawn stays until the curves are here
    const ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const style = getComputedStyle(canvas), color = (name) => style.getPropertyValue(name).trim();
    const g = canvas.getContext("2d");
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, width, height);
    g.font = "11px " + style.fontFamily;
    const box = {left: kLeft, right: width - kRight, top: kTop, bottom: height - kBottom};
    const scale = this.#scale(lines, box);
    this.#drawn = {...scale, lines, box};
    this.#axes(g, scale, box, color);
    for (const step of this.#source.marks()) this.#mark(g, scale, box, step, color("--warn"));
    g.save();
    g.beginPath();
    g.rect(box.left, box.top - 2, box.right - box.left, box.bottom - box.top + 4);
    g.clip();
    const smooth = this.#source.smoothing() > 0;
    for (const line of lines) this.#line(g, scale, box, line, color(line.color), smooth && line.curve.count > kFew, color("--bad"));
    g.restore();
    this.#select(g, box, color("--accent"));
    this.#read(g, scale, box, color, width);
    this.#label(lines);
  }

  #scale(lines, box) {
    const log = this.log;
    let x0 = Infinity, x1 = -Infinity, y0 = Infinity, y1 = -Infinity;
    const {from, to} = this.#source.range();
    for (const {curve, x} of lines) {
      for (let i = 0; i < curve.step.length; ++i) {
        const step = curve.step[i], value = curve.value[i];
        if ((from !== null && step < from) || (to !== null && step > to)) continue;
        const at = x(step);
        if (at === null) continue;
        if (at < x0) x0 = at;
        if (at > x1) x1 = at;
        if (!finite(value) || (log && value <= 0)) continue;
        if (value < y0) y0 = value;
        if (value > y1) y1 = value;
      }
    }
    if (this.#source.axis() === "step" && from !== null && to !== null) [x0, x1] = [from, to];
    if (!(x0 <= x1)) [x0, x1] = [0, 1];
    if (!(y0 <= y1)) [y0, y1] = log ? [0.1, 1] : [0, 1];
    if (x0 === x1) [x0, x1] = [x0 - 0.5, x1 + 0.5];
    if (log) [y0, y1] = [Math.log10(y0), Math.log10(y1)];
    const pad = y1 > y0 ? 0.06 * (y1 - y0) : Math.abs(y0) * 0.1 || 0.5;
    y0 -= pad;
    y1 += pad;
    const xOf = (at) => box.left + (at - x0) / (x1 - x0) * (box.right - box.left);
    const yOf = (value) => box.bottom - ((log ? Math.log10(value) : value) - y0) / (y1 - y0) * (box.bottom - box.top);
    // Back from pixels to a step, by the longest line.
    const longest = lines.reduce((a, b) => (b.curve.step.length > (a?.curve.step.length ?? 0) ? b : a), null);
    const stepAt = (pixel) => {
      if (!longest || !longest.curve.step.length) return null;
      const at = x0 + (pixel - box.left) / (box.right - box.left) * (x1 - x0);
      if (this.#source.axis() === "step") return at;
      const steps = longest.curve.step;
      return steps[Math.min(firstWhere(steps.length, (i) => (longest.x(steps[i]) ?? -Infinity) >= at), steps.length - 1)];
    };
    return {x0, x1, y0, y1, xOf, yOf, stepAt};
  }

  #axes(g, s, box, color) {
    g.lineWidth = 1;
    g.strokeStyle = color("--line");
    g.fillStyle = color("--ink-faint");
    g.textBaseline = "middle";
    g.textAlign = "right";
    for (const tick of this.log ? logTicks(s.y0, s.y1) : ticks(s.y0, s.y1, Math.max(2, (box.bottom - box.top) / 42))) {
      const y = Math.round(box.bottom - (tick - s.y0) / (s.y1 - s.y0) * (box.bottom - box.top)) + 0.5;
      g.beginPath();
      g.moveTo(box.left, y);
      g.lineTo(box.right, y);
      g.stroke();
      g.fillText(axisNumber(this.log ? 10 ** tick : tick), box.left - 7, y);
    }
    g.textBaseline = "top";
    g.textAlign = "center";
    const axis = this.#source.axis();
    for (const tick of ticks(s.x0, s.x1, Math.max(2, (box.right - box.left) / 90))) {
      const text = axis === "step" ? axisNumber(tick) : axis === "relative" ? seconds(tick)
        : new Date(1000 * tick).toLocaleString("en-GB", s.x1 - s.x0 > 172800 ? {day: "numeric", month: "short"} : {hour: "2-digit", minute: "2-digit"});
      g.fillText(text, Math.min(s.xOf(tick), box.right - 10), box.bottom + 7);
    }
  }

  #mark(g, s, box, mark, stroke) {
    const x = mark.x === null ? null : s.xOf(mark.x);
    if (x === null || !(x >= box.left && x <= box.right)) return;
    g.save();
    g.strokeStyle = stroke;
    g.globalAlpha = 0.7;
    g.setLineDash([3, 3]);
    g.beginPath();
    g.moveTo(x, box.top);
    g.lineTo(x, box.bottom);
    g.stroke();
    g.restore();
  }

  #line(g, s, box, {curve, x}, stroke, smooth, bad) {
    const path = (steps, values) => {
      let open = false, alone = null;
      const dots = [];
      g.beginPath();
      for (let i = 0; i < steps.length; ++i) {
        const at = x(steps[i]), value = values[i];
        if (at === null) continue;
        if (!finite(value) || (this.log && value <= 0)) {
          if (alone) dots.push(alone);
          open = false;
          alone = null;
          continue;
        }
        const px = s.xOf(at), py = s.yOf(value);
        if (open) {
          g.lineTo(px, py);
          alone = null;
        } else {
          g.moveTo(px, py);
          alone = [px, py];
        }
        open = true;
      }
      if (alone) dots.push(alone);
      g.stroke();
      return dots;
    };
    g.strokeStyle = g.fillStyle = stroke;
    g.lineJoin = "round";
    g.lineWidth = smooth ? 1 : 1.6;
    g.globalAlpha = smooth ? 0.28 : 1;
    const dots = path(curve.step, curve.value);
    g.globalAlpha = 1;
    if (smooth) {
      g.lineWidth = 2;
      path(curve.smoothStep, curve.smooth);
    }
    const few = curve.count <= kFew ? curve.step.map((step, i) => [x(step), curve.value[i]]).filter(([at, v]) => at !== null && finite(v) && !(this.log && v <= 0))
      .map(([at, v]) => [s.xOf(at), s.yOf(v)]) : dots;
    for (const [px, py] of few) {
      g.beginPath();
      g.arc(px, py, 2.4, 0, 2 * Math.PI);
      g.fill();
    }
    g.fillStyle = bad;
    for (let i = 0; i < curve.step.length; ++i) {
      if (finite(curve.value[i])) continue;
      const at = x(curve.step[i]);
      if (at === null) continue;
      const px = s.xOf(at);
      g.beginPath();
      g.moveTo(px - 4, box.bottom);
      g.lineTo(px + 4, box.bottom);
      g.lineTo(px, box.bottom - 7);
      g.fill();
    }
  }

  #select(g, box, fill) {
    if (!this.#drag) return;
    g.save();
    g.fillStyle = fill;
    g.globalAlpha = 0.16;
    g.fillRect(Math.min(this.#drag.from, this.#drag.to), box.top, Math.abs(this.#drag.to - this.#drag.from), box.bottom - box.top);
    g.restore();
  }

  #read(g, s, box, color, width) {
    const pixel = this.#pointer;
    this.#tip.hidden = true;
    if (pixel === null || pixel < box.left - 4 || pixel > box.right + 4) return;
    const step = s.stepAt(this.#inside(pixel));
    if (step === null) return;
    const rows = [];
    let shown = null;
    for (const line of this.#drawn.lines) {
      const i = nearest(line.curve.step, step);
      if (i < 0) continue;
      const at = line.curve.step[i], value = line.curve.value[i], j = nearest(line.curve.smoothStep, at);
      const px = s.xOf(line.x(at) ?? NaN);
      if (!(px >= box.left - 1 && px <= box.right + 1)) continue;
      shown ??= {px, at};
      const smooth = this.#source.smoothing() > 0 && line.curve.count > kFew && j >= 0 ? line.curve.smooth[j] : null;
      rows.push([line, at, value, smooth]);
      if (finite(value) && !(this.log && value <= 0)) {
        g.beginPath();
        g.arc(px, s.yOf(value), 3.5, 0, 2 * Math.PI);
        g.fillStyle = color("--raised");
        g.fill();
        g.lineWidth = 2;
        g.strokeStyle = color(line.color);
        g.stroke();
      }
    }
    if (!shown) return;
    g.strokeStyle = color("--ink-faint");
    g.lineWidth = 1;
    g.setLineDash([2, 3]);
    g.beginPath();
    g.moveTo(Math.round(shown.px) + 0.5, box.top);
    g.lineTo(Math.round(shown.px) + 0.5, box.bottom);
    g.stroke();
    g.setLineDash([]);
    replace(this.#tip, rows.map(([line, at, value, smooth]) =>
      el("div", null, swatch(line.color), el("b", null, readout(value)), smooth === null ? null : el("span", null, ` avg ${number(smooth)}`),
        el("span", {class: "where"}, ` step ${at.toLocaleString("en-US")}`), this.#drawn.lines.length > 1 && el("span", {class: "where"}, ` ${line.name}`))));
    this.#tip.hidden = false;
    const right = shown.px < width / 2;
    this.#tip.style.left = right ? `${shown.px + 12}px` : "auto";
    this.#tip.style.right = right ? "auto" : `${width - shown.px + 12}px`;
  }

  #label(lines) {
    const last = lines.length === 1 ? lines[0].curve.value.at(-1) : undefined;
    this.#now.textContent = last === undefined ? "" : readout(last);
    this.#canvas.setAttribute("aria-label", `${this.key}: ` + (lines.map((line) => `${line.name} ${line.curve.count} points, last ${readout(line.curve.value.at(-1) ?? null)}`).join("; ") || "no points"));
  }
}
