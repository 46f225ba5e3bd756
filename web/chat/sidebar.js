// The list of conversations: search, open, pin, rename, delete, import and export.

import {el, ask, iconButton, icon, replace} from "../common/dom.js";
import {ago} from "../common/format.js";
import {conversations} from "./conversations.js";
import {withoutBidi} from "./text.js";

function download(name, json) {
  const url = URL.createObjectURL(new Blob([JSON.stringify(json, null, 1)], {type: "application/json"}));
  el("a", {href: url, download: name}).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

export class Sidebar {
  #rows = [];
  #more = false;
  #asked = 0;
  #timer = null;

  // on: open(id), fresh(), settings(), removed(id), renamed(id, title), say(text), imported()
  constructor(root, on) {
    this.on = on;
    this.current = null;
    this.search = el("input", {type: "search", placeholder: "Search", "aria-label": "Search conversations", autocomplete: "off", maxlength: 100});
    this.search.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.refresh(), 150);
    });
    this.search.addEventListener("keydown", (event) => this.#searchKey(event));
    this.list = el("ul", {class: "conversations"});
    this.file = el("input", {type: "file", accept: ".json,application/json", class: "visually-hidden", tabindex: -1, "aria-label": "File to import"});
    this.file.addEventListener("change", () => this.#import());
    replace(root,
      el("button", {type: "button", class: "fresh", id: "new-chat", title: "Ctrl+Shift+O", onclick: () => on.fresh()}, icon("plus"), "New chat"),
      el("div", {class: "search"}, icon("search"), this.search),
      el("nav", {"aria-label": "Conversations"}, this.list),
      el("div", {class: "tools"},
        iconButton("import", "Import", () => this.file.click(), {id: "import"}),
        iconButton("export", "Export all", () => this.#exportAll(), {id: "export"}),
        el("span", {class: "space"}),
        iconButton("settings", "Settings", () => on.settings(), {id: "settings"})), this.file);
  }

  async refresh() {
    const asked = ++this.#asked;
    try {
      const {conversations: rows, more} = await conversations.list(this.search.value.trim(), Math.min(1000, Math.max(100, this.#rows.length)));
      if (asked !== this.#asked) return;  // a newer question is under way
      this.#rows = rows;
      this.#more = more;
      this.#show();
    } catch (error) {
      if (asked === this.#asked) this.on.say(error.message);
    }
  }

  select(id) {
    this.current = id;
    for (const row of this.list.children) {
      if (row.dataset.id === id) row.firstChild.setAttribute("aria-current", "true");
      else row.firstChild?.removeAttribute?.("aria-current");
    }
  }

  #show() {
    const rows = this.#rows.map((row) => this.#row(row));
    if (!rows.length) rows.push(el("li", {class: "empty muted"}, this.search.value ? "Nothing found" : "No conversations yet"));
    if (this.#more) rows.push(el("li", null, el("button", {type: "button", class: "ghost", onclick: () => this.#loadMore()}, "Show more")));
    const focused = document.activeElement?.closest?.("li[data-id]")?.dataset.id;
    replace(this.list, rows);
    if (focused) this.list.querySelector(`li[data-id="${CSS.escape(focused)}"] .open`)?.focus();
  }

  #row(row) {
    const title = withoutBidi(row.title) || "New chat";
    return el("li", {"data-id": row.id},
      el("button", {type: "button", class: "open", "aria-current": row.id === this.current ? "true" : null, onclick: () => this.on.open(row.id, row.match?.message)},
        el("span", {class: "title", dir: "auto", title}, title),
        row.match ? el("span", {class: "excerpt", dir: "auto"}, withoutBidi(row.match.excerpt)) : null),
      el("span", {class: "when"}, row.pinned ? icon("pin") : ago(row.updated)),
      el("span", {class: "acts"},
        iconButton("pin", row.pinned ? "Unpin" : "Pin", () => this.#change(row, {pinned: !row.pinned}), {class: row.pinned ? "pinned" : ""}),
        iconButton("edit", "Rename", () => this.#rename(row)),
        iconButton("export", "Export", () => this.#export(row)),
        iconButton("trash", "Delete conversation", () => this.#remove(row))));
  }

  async #loadMore() {
    const {conversations: rows, more} = await conversations.list(this.search.value.trim(), 100, this.#rows.length);
    this.#rows.push(...rows);
    this.#more = more;
    this.#show();
  }

  async #tried(work) {
    try {
      await work();
    } catch (error) {
      this.on.say(error.message);
    }
    this.refresh();
  }

  #change(row, change) {
    return this.#tried(() => conversations.change(row.id, change));
  }

  async #rename(row) {
    const title = await ask({title: "Rename", action: "Rename", field: row.title});
    if (title === null || !title.trim()) return;
    await this.#tried(async () => {
      await conversations.change(row.id, {title: title.trim()});
      this.on.renamed(row.id, title.trim());
    });
  }

  async #remove(row) {
    if (!await ask({title: "Delete this conversation?", text: `“${row.title}” and its ${row.messages} messages go for good.`, action: "Delete", danger: true})) return;
    await this.#tried(async () => {
      await conversations.remove(row.id);
      this.on.removed(row.id);
    });
  }

  #export(row) {
    return this.#tried(async () => download(`conversation-${row.id}.json`, await conversations.exported(row.id)));
  }

  #exportAll() {
    return this.#tried(async () => download("conversations.json", await conversations.exported(null)));
  }

  async #import() {
    const [file] = this.file.files;
    this.file.value = "";
    if (!file) return;
    await this.#tried(async () => {
      const {added, same} = await conversations.imported(await file.text());
      this.on.say(`Imported ${added}${same ? `, ${same} were there already` : ""}`);
      this.on.imported();
    });
  }

  #searchKey(event) {
    if (event.key === "Escape" && this.search.value) {
      event.stopPropagation();
      this.search.value = "";
      this.refresh();
    } else if (event.key === "Enter" || event.key === "ArrowDown") {
      event.preventDefault();
      const first = this.list.querySelector(".open");
      if (event.key === "Enter") first?.click();
      else first?.focus();
    }
  }
}
