// The completions of a run: a table with filters, and what changed between two steps, word by word.
import {el, replace} from "../common/dom.js";
import {count, number} from "../common/format.js";
import {query} from "./data.js";
import {wordDiff} from "./diff.js";
import {diffed, marked, plain, visible} from "./text.js";

const kVerdicts = [["", "all"], ["right", "right"], ["wrong", "not right"], ["unparsed", "no answer found"], ["timeout", "check timed out"], ["crash", "check crashed"]];
const kPage = 50;

const badge = (verdict) => el("span", {class: `verdict ${verdict === "right" ? "right" : "not"}`}, visible(verdict || "–"));
const rewardOf = (row) => (typeof row.reward === "number" ? number(row.reward) : "reward" in row ? "–" : "");

export class Completions {
  #run = null;
  #state = {step: null, other: null, verdict: "", reward_min: "", reward_max: "", search: ""};
  #steps = [];
  #ask = 0;
  #body = el("div", {class: "rows"});
  #count = el("span", {class: "muted", role: "status"});
  #step = el("select", {"aria-label": "Step", onchange: () => this.#set({step: this.#step.value === "" ? null : Number(this.#step.value)})});
  #other = el("select", {"aria-label": "Compare with step", onchange: () => this.#set({other: this.#other.value === "" ? null : Number(this.#other.value)})});

  constructor() {
    const typed = (name, attributes) => {
      let timer = 0;
      return el("input", {...attributes, oninput: (event) => {
        clearTimeout(timer);
        timer = setTimeout(() => this.#set({[name]: event.target.value.trim()}), 250);
      }});
    };
    this.node = el("section", {class: "completions"},
      el("div", {class: "toolbar"},
        el("label", null, "Step ", this.#step),
        el("label", null, "compared with ", this.#other),
        el("label", null, "Verdict ", el("select", {onchange: (event) => this.#set({verdict: event.target.value})}, kVerdicts.map(([value, name]) => el("option", {value}, name)))),
        el("label", null, "Reward ", typed("reward_min", {type: "number", step: "any", placeholder: "min", "aria-label": "Least reward", class: "narrow"}), " to ",
          typed("reward_max", {type: "number", step: "any", placeholder: "max", "aria-label": "Largest reward", class: "narrow"})),
        typed("search", {type: "search", placeholder: "Search question, answer, completion", "aria-label": "Search completions", maxlength: 200}),
        this.#count),
      this.#body);
  }

  // `details`: of the run whose completions are shown, or null.
  async show(details) {
    const changed = this.#run?.name !== details?.name;
    this.#run = details;
    if (!details) return replace(this.#body, el("p", {class: "muted"}, "Choose a run."));
    if (changed) {
      this.#state.step = this.#state.other = null;
      this.#steps = [];
    }
    if (!details.has_completions) {
      replace(this.#count);
      return replace(this.#body, this.#watched(), el("p", {class: "muted"}, "This run keeps no completions. r1 grpo writes them (log_completions)."));
    }
    if (changed || !this.#steps.length) await this.#latest();
    await this.#load();
  }

  async #latest() {
    try {
      const answer = await query("/completions", {run: this.#run.name, limit: 1});
      this.#setSteps(answer.steps);
      this.#state.step = this.#steps.at(-1) ?? null;
    } catch (error) {
      replace(this.#body, el("p", {class: "notice bad"}, error.message));
    }
  }

  #setSteps(steps) {
    this.#steps = steps;
    const options = (first) => [el("option", {value: ""}, first), ...steps.slice().reverse().map((step) => el("option", {value: step}, count(step)))];
    replace(this.#step, options("all"));
    replace(this.#other, options("none"));
  }

  #set(change) {
    Object.assign(this.#state, change);
    this.#load();
  }

  async #load(offset = 0) {
    const ask = ++this.#ask, run = this.#run.name, {step, other, verdict, reward_min, reward_max, search} = this.#state;
    this.#step.value = step ?? "";
    this.#other.value = other ?? "";
    try {
      const filters = {verdict, reward_min, reward_max, search};
      const [answer, before] = await Promise.all([query("/completions", {run, step, ...filters, offset, limit: kPage}),
        step !== null && other !== null ? query("/completions", {run, step: other, limit: 200}) : null]);
      if (ask !== this.#ask) return;
      if (answer.steps.length !== this.#steps.length) this.#setSteps(answer.steps);
      this.#step.value = step ?? "";
      this.#other.value = other ?? "";
      replace(this.#count, `${count(answer.found)}${answer.more ? " or more" : ""} of ${count(answer.rows_total)}` + (answer.broken ? `, ${count(answer.broken)} broken line${answer.broken > 1 ? "s" : ""}` : ""));
      // The k-th answer to a problem at one step stands against the k-th at the other.
      const earlier = new Map();
      for (const row of before?.rows ?? []) earlier.set(row.id, [...(earlier.get(row.id) ?? []), row]);
      const rows = answer.rows.map((row) => this.#row(row, before ? (earlier.get(row.id) ?? []).shift() ?? null : undefined));
      const more = answer.next !== null && el("button", {type: "button", class: "more", onclick: (event) => {
        event.target.remove();
        this.#load(answer.next);
      }}, "Show more");
      const matched = before && answer.rows.length && !rows.some((row) => row.dataset.pair === "yes") &&
        el("p", {class: "notice"}, `No problem stands at both steps ${step} and ${other}. Open a row: it lists the other steps at which its problem was answered.`);
      if (offset) this.#body.append(...rows, ...(more ? [more] : []));
      else replace(this.#body, this.#watched(), matched, rows.length ? rows : el("p", {class: "muted"}, "No completion fits."), more);
    } catch (error) {
      if (ask === this.#ask) replace(this.#body, el("p", {class: "notice bad"}, error.message));
    }
  }

  // `before`: undefined where nothing is compared, null where the problem was not answered then.
  #row(row, before) {
    const inside = el("div", {class: "inside"});
    const details = el("details", {ontoggle: () => {
      if (details.open && !inside.childNodes.length) replace(inside, this.#inside(row));
    }},
      el("summary", null,
        badge(row.verdict), el("span", {class: "figure", title: "reward"}, rewardOf(row)), el("span", {class: "figure muted"}, `step ${count(row.step)}`),
        el("span", {class: "figure muted"}, `${count(row.tokens ?? 0)} tok${row.finish === "length" ? " (cut off)" : ""}`),
        el("span", {class: "question", dir: "auto"}, visible(row.question ?? ""))),
      inside);
    return el("div", {class: "row card", "data-pair": before ? "yes" : "no"}, details,
      before === undefined ? el("p", {class: "preview", dir: "auto"}, visible(String(row.completion ?? "").slice(0, 400))) : this.#pair(before, row));
  }

  #pair(before, row) {
    if (!before) return el("p", {class: "preview muted"}, "Not answered at the other step.");
    return el("div", {class: "pair"},
      el("p", {class: "muted"}, `step ${count(before.step)} `, badge(before.verdict), ` ${rewardOf(before)}  →  step ${count(row.step)} `, badge(row.verdict), ` ${rewardOf(row)}`),
      el("pre", {class: "said diff", dir: "auto"}, diffed(wordDiff(String(before.completion ?? ""), String(row.completion ?? "")))));
  }

  #inside(row) {
    const against = el("div");
    const others = el("select", {"aria-label": "Compare this problem with step", onchange: async () => {
      if (others.value === "") return replace(against);
      try {
        const answer = await query("/completions", {run: this.#run.name, step: others.value, id: row.id, limit: 1});
        replace(against, this.#pair(answer.rows[0] ?? null, row));
      } catch (error) {
        replace(against, el("p", {class: "notice bad"}, error.message));
      }
    }}, el("option", {value: ""}, "none"), row.other_steps.map((step) => el("option", {value: step}, count(step))));
    const rewards = Object.entries(row.rewards ?? {});
    return [
      el("h4", null, "Question"), el("pre", {class: "said", dir: "auto"}, visible(row.question ?? "")),
      el("h4", null, "Completion"), el("pre", {class: "said", dir: "auto"}, marked(row.completion ?? "")),
      el("dl", {class: "facts"},
        el("dt", null, "Known answer"), el("dd", null, plain(row.gold)), el("dt", null, "Read as"), el("dd", null, plain(row.extracted)),
        rewards.map(([name, value]) => [el("dt", null, visible(name)), el("dd", null, plain(value))]), el("dt", null, "Problem"), el("dd", null, plain(row.id))),
      row.other_steps.length ? el("p", null, el("label", null, "Compare with what it said at step ", others)) : el("p", {class: "muted"}, "This problem was answered at no other step."),
      against,
    ];
  }

  // The held-out problem that the run looked at along the way.
  #watched() {
    const watched = this.#run?.results?.watched, looks = watched?.completions;
    if (!Array.isArray(looks) || !looks.length) return null;
    const options = looks.map((look, i) => el("option", {value: i}, `step ${count(look.step)}`));
    const first = el("select", {"aria-label": "Earlier look"}, options), second = el("select", {"aria-label": "Later look"}, options.map((o) => o.cloneNode(true)));
    first.value = "0";
    second.value = String(looks.length - 1);
    const pair = el("div");
    const draw = () => replace(pair, this.#pair(looks[first.value], looks[second.value]));
    first.addEventListener("change", draw);
    second.addEventListener("change", draw);
    draw();
    return el("details", {class: "watched card"}, el("summary", null, el("b", null, "One held-out problem along the way"), " ", el("span", {class: "muted", dir: "auto"}, visible(watched.question ?? ""))),
      el("p", null, "From ", first, " to ", second, ` · known answer ${plain(watched.answer)}`), pair);
  }
}
