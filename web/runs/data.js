// The runs as this page knows them: curves as they were asked for, carried on by what the stream brings.
import {api, request} from "../common/api.js";
import {events} from "../common/sse.js";

const kMaxTail = 400;  // points appended before a curve is asked for anew, thinned

// The first of n places at which `test` holds, which then holds for all that follow; n: at none.
export function firstWhere(n, test) {
  let lo = 0, hi = n;
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (test(mid)) hi = mid;
    else lo = mid + 1;
  }
  return lo;
}

export const palette = (i) => `--series-${i % 8 + 1}`;

export function query(path, parameters) {
  const text = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
  return api(`/api/runs${path}${text ? "?" + text : ""}`);
}

const finite = (value) => typeof value === "number";
const offsetOf = (cursor) => Number.parseInt(cursor ?? "0", 10);

// One curve of one run. Steps and values side by side; a value that is no number is null (NaN), "inf" or "-inf".
class Curve {
  constructor(json, cursor) {
    this.cursor = cursor;  // of the file: all before it is in the curve
    this.step = json.step;
    this.value = json.value;
    this.smoothStep = json.smooth_step;
    this.smooth = json.smooth;
    this.state = json.smoothing;
    this.count = json.count;
    this.tail = 0;
  }

  // False: this belongs before what is there, so the curve has to be read again.
  append(step, value, weight) {
    if (this.step.length && step <= this.step.at(-1)) return false;
    this.step.push(step);
    this.value.push(value);
    ++this.count;
    if (weight > 0 && finite(value)) {
      this.state.sum = weight * this.state.sum + (1 - weight) * value;
      this.state.mass = weight * this.state.mass + (1 - weight);
      this.smoothStep.push(step);
      this.smooth.push(this.state.sum / this.state.mass);
    }
    return ++this.tail < kMaxTail;
  }
}

export class Runs extends EventTarget {
  view = {smoothing: 0.8, from: null, to: null};
  selected = [];        // names, in the order they were chosen
  details = new Map();  // by name
  #curves = new Map();  // name -> key -> Curve
  #wanted = new Map();  // name -> key -> points
  #times = new Map();
  #generation = 0;      // of the view
  #selection = 0;
  #rewritten = new Map();  // name -> how often the file turned out to be another one
  #timer = 0;
  #stream = null;
  #cursors = new Map();

  #tell(type, detail = null) {
    this.dispatchEvent(new CustomEvent(type, {detail}));
  }

  async select(names) {
    this.selected = names;
    for (const name of [...this.details.keys()]) if (!names.includes(name)) this.#forget(name);
    const selection = ++this.#selection;
    this.#restream();
    await Promise.all(names.map((name) => this.refresh(name)));
    if (selection === this.#selection) this.#restream();
  }

  #forget(name) {
    for (const map of [this.details, this.#curves, this.#wanted, this.#times, this.#cursors]) map.delete(name);
  }

  async refresh(name) {
    try {
      const details = await query("/details", {run: name});
      if (!this.selected.includes(name)) return;
      this.details.set(name, details);
      if (!this.#cursors.has(name)) this.#cursors.set(name, details.cursor);
      this.#tell("details", name);
    } catch (error) {
      this.details.delete(name);
      this.#tell("failed", {name, error});
    }
  }

  // The curve, if it is here; null if the run has no such metric; undefined: it is asked for, and "curves" follows.
  curve(name, key, points) {
    const curve = this.#curves.get(name)?.get(key);
    if (curve) return curve;
    if (!this.details.has(name)) return undefined;
    if (!this.details.get(name).metrics.some((metric) => metric.key === key)) return null;
    if (!this.#wanted.has(name)) this.#wanted.set(name, new Map());
    this.#wanted.get(name).set(key, points);
    if (!this.#timer) this.#timer = setTimeout(() => this.#fetch(), 20);
    return undefined;
  }

  // Seconds since 1970 at a step: between the logged ones in proportion.
  time(name, step) {
    const times = this.#times.get(name);
    if (!times || !times.step.length) return null;
    const n = times.step.length;
    if (n === 1) return times.time[0];
    const hi = Math.min(n - 1, Math.max(1, firstWhere(n, (i) => times.step[i] > step))), lo = hi - 1;
    const share = (step - times.step[lo]) / (times.step[hi] - times.step[lo] || 1);
    return times.time[lo] + share * (times.time[hi] - times.time[lo]);
  }

  setView(view) {
    Object.assign(this.view, view);
    this.#drop();
  }

  // All curves are asked for again as they are drawn; what is drawn stays until then.
  #drop() {
    ++this.#generation;
    this.#curves.clear();
    this.#wanted.clear();
    this.#tell("curves");
  }

  async #fetch() {
    this.#timer = 0;
    const generation = this.#generation, {smoothing, from, to} = this.view;
    const wanted = this.#wanted;
    this.#wanted = new Map();
    await Promise.all([...wanted].map(async ([run, keys]) => {
      const rewritten = this.#rewritten.get(run);
      try {
        const answer = await query("/series", {run, keys: JSON.stringify([...keys.keys()]), points: Math.max(...keys.values()), smoothing, from_step: from, to_step: to});
        if (generation !== this.#generation || rewritten !== this.#rewritten.get(run) || !this.selected.includes(run)) return;
        if (!this.#curves.has(run)) this.#curves.set(run, new Map());
        for (const [key, json] of Object.entries(answer.series)) this.#curves.get(run).set(key, new Curve(json, answer.cursor));
        this.#times.set(run, answer.times);
        // The stream was faster than this answer: it goes back, and the other curves pass over what they have.
        if (offsetOf(answer.cursor) < offsetOf(this.#cursors.get(run))) {
          this.#cursors.set(run, answer.cursor);
          this.#restream();
        }
        this.#tell("curves", run);
      } catch (error) {
        this.#tell("failed", {name: run, error});
      }
    }));
  }

  // ---- what is appended ----

  // A page that is left, and may come back, must not keep one of the browser's six connections.
  pause() {
    this.#stream?.abort();
    this.#stream = null;
  }

  resume() {
    for (const name of this.selected) this.refresh(name);
    this.#drop();
    this.#restream();
  }

  #restream() {
    this.#stream?.abort();
    this.#stream = null;
    const names = this.selected.filter((name) => this.#cursors.has(name)).slice(0, 16);
    if (!names.length) return;
    const abort = this.#stream = new AbortController();
    this.#follow(names, abort);
  }

  async #follow(names, abort) {
    let wait = 500;
    while (!abort.signal.aborted) {
      try {
        const response = await request("/api/runs/stream?runs=" + encodeURIComponent(names.join(",")) + "&from=" +
          encodeURIComponent(names.map((name) => this.#cursors.get(name) ?? "0-0").join(",")), {signal: abort.signal});
        this.#tell("live", true);
        wait = 500;
        for await (const {event, data} of events(response)) this.#take(event, JSON.parse(data));
      } catch (error) {
        if (abort.signal.aborted) return;
        if (error.status === 400 || error.status === 404) {
          // A run has gone, or a cursor is of another file: the list will say.
          await Promise.all(names.map((name) => this.refresh(name)));
          names = names.filter((name) => this.details.has(name));
          for (const name of names) this.#cursors.set(name, this.details.get(name).cursor);
          if (!names.length) return;
        }
      }
      if (abort.signal.aborted) return;
      this.#tell("live", false);
      await new Promise((done) => setTimeout(done, wait));
      wait = Math.min(10000, 2 * wait);
    }
  }

  #take(event, message) {
    const run = message.run;
    if (!this.selected.includes(run)) return;
    if (event === "gone") {
      this.#forget(run);
      this.#tell("failed", {name: run, error: new Error("The run's folder is gone.")});
      return;
    }
    if (event === "reset") {
      this.#rewritten.set(run, (this.#rewritten.get(run) ?? 0) + 1);
      this.#curves.delete(run);
      this.#cursors.delete(run);
      this.refresh(run);
      this.#tell("curves", run);
      return;
    }
    const before = offsetOf(this.#cursors.get(run));
    this.#cursors.set(run, message.cursor);
    const curves = this.#curves.get(run) ?? new Map(), details = this.details.get(run);
    const metrics = new Map(details?.metrics.map((metric) => [metric.key, metric]));
    let fresh = false;
    for (const row of message.rows) {
      for (const [key, value] of Object.entries(row)) {
        if (key === "step") continue;
        if (metrics.has(key)) metrics.get(key).last = value;
        else fresh = true;
        const curve = curves.get(key);
        if (!curve || (offsetOf(curve.cursor) > before && row.step <= (curve.step.at(-1) ?? -Infinity))) continue;
        if (!curve.append(row.step, value, this.view.smoothing)) curves.delete(key);
      }
      if (details) details.step = row.step;
    }
    for (const curve of curves.values()) curve.cursor = message.cursor;
    if (fresh || message.rows.some((row) => row["monitor/alarms"] > 0)) this.refresh(run);
    this.#tell("curves", run);
    this.#tell("step", run);
  }
}
