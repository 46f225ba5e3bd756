// The bar on top of every page: topbar(document.getElementById("topbar"), "chat") fills a <header>; further nodes go to its right.
import {el, iconButton, replace} from "./dom.js";

const kPages = [["chat", "/", "Chat"], ["runs", "/runs", "Runs"], ["dialogue", "/dialogue", "Dialogue"]];

export function topbar(header, current, {before = [], after = []} = {}) {
  const theme = iconButton("moon", "Dark or light", () => window.r1Theme.toggle());
  const show = () => {
    const dark = document.documentElement.dataset.theme === "dark";
    theme.setAttribute("aria-pressed", String(dark));
    theme.replaceChildren(...iconButton(dark ? "sun" : "moon", "").childNodes);
  };
  window.addEventListener("r1:theme", show);
  show();
  header.className = "topbar";
  replace(header, before,
    el("a", {class: "brand", href: "/"}, "r1"),
    el("nav", {"aria-label": "Pages"},
      kPages.map(([id, href, name]) => el("a", {href, "aria-current": id === current ? "page" : null}, name))),
    el("span", {class: "space"}), after, theme);
}
