// Elements from plain values. Text becomes text nodes and attributes come from a fixed list of names, so nothing that a model or a file says can
// become markup: no innerHTML, no style attributes, no on... attributes.

const kSvg = "http://www.w3.org/2000/svg";
const kAttribute = /^(?:id|class|type|name|value|placeholder|title|href|rel|target|for|role|tabindex|min|max|step|rows|cols|open|hidden|disabled|checked|selected|dir|lang|autocomplete|spellcheck|enterkeyhint|inputmode|accept|multiple|download|start|scope|colspan|method|datetime|label|readonly|maxlength|aria-[a-z]+|data-[a-z-]+)$/;

// el("p", {class: "x", onclick: f}, "text", node, [more]): null, undefined and false are left out of both.
export function el(tag, attributes = null, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function" && name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (kAttribute.test(name)) node.setAttribute(name, value === true ? "" : String(value));
    else throw new Error(`el: no attribute '${name}'`);
  }
  append(node, children);
  return node;
}

function append(node, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(node, child);
    else node.append(child);  // strings become text nodes
  }
}

export function replace(node, ...children) {
  node.replaceChildren();
  append(node, children);
}

export const byId = (id) => document.getElementById(id);

// 24 x 24 line drawings.
const kIcons = {
  menu: "M4 6h16M4 12h16M4 18h16",
  plus: "M12 5v14M5 12h14",
  send: "M12 19V5M5 12l7-7 7 7",
  stop: "M7 7h10v10H7z",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  check: "M5 12l5 5 9-10",
  edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  redo: "M20 11a8 8 0 1 0-2.3 6M20 4v7h-7",
  play: "M7 5l12 7-12 7z",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  left: "M15 5l-7 7 7 7",
  right: "M9 5l7 7-7 7",
  down: "M12 5v14M5 12l7 7 7-7",
  pin: "M9 4h6l-1 6 4 4H6l4-4zM12 14v6",
  search: "M11 4a7 7 0 1 1 0 14 7 7 0 0 1 0-14M16 16l5 5",
  settings: "M4 7h9M19 7h1M4 17h1M11 17h9M16 5a2 2 0 1 1 0 4 2 2 0 0 1 0-4M8 15a2 2 0 1 1 0 4 2 2 0 0 1 0-4",
  import: "M12 4v11M7 10l5 5 5-5M4 20h16",
  export: "M12 15V4M7 9l5-5 5 5M4 20h16",
  sun: "M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M5 19l1.4-1.4M17.6 6.4L19 5",
  moon: "M20 14A8.5 8.5 0 0 1 10 4a8.5 8.5 0 1 0 10 10z",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  close: "M6 6l12 12M18 6L6 18",
};

export function icon(name) {
  const svg = document.createElementNS(kSvg, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(kSvg, "path");
  path.setAttribute("d", kIcons[name]);
  svg.append(path);
  return svg;
}

// A button that shows an icon and is called `label` by screen readers and in its tooltip.
export function iconButton(name, label, onclick, attributes = {}) {
  const extra = attributes.class ? " " + attributes.class : "";
  return el("button", {...attributes, type: "button", title: label, "aria-label": label, onclick, class: "ghost" + extra}, icon(name));
}

// For a dialog's "close": takes it away. Chromium gives the focus back to a text field without a place to type at; so the field gets it anew.
export function closeDialog(dialog) {
  dialog.remove();
  const field = document.activeElement;
  if (field && field.matches("textarea, input")) {
    field.blur();
    field.focus();
  }
}

// Asks in a dialog; resolves to true for `action`. With `field` it resolves to the text typed, or null.
export function ask({title, text = "", action, danger = false, field = null}) {
  return new Promise((resolve) => {
    const input = field === null ? null : el("input", {type: "text", value: field, maxlength: 200, "aria-label": title});
    const dialog = el("dialog", {class: "ask", "aria-label": title},
      el("form", {method: "dialog"},
        el("h2", null, title),
        text && el("p", null, text),
        input,
        el("div", {class: "buttons"},
          el("button", {type: "button", value: "no", class: "ghost", onclick: () => dialog.close("no")}, "Cancel"),
          el("button", {type: "submit", value: "yes", class: danger ? "danger" : "primary"}, action))));
    dialog.addEventListener("close", () => {
      closeDialog(dialog);
      const yes = dialog.returnValue === "yes";
      resolve(input ? (yes ? input.value : null) : yes);
    });
    document.body.append(dialog);
    dialog.showModal();
    if (input) input.select();
    else dialog.querySelector("button[value=yes]").focus();
  });
}
