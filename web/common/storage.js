// What the browser keeps for a page: texts under names, in "localStorage" or, for this tab alone, "sessionStorage". Where that is off or full nothing
// is kept and nothing fails.

export function stored(area, name) {
  try {
    return window[area].getItem(name) || "";
  } catch {
    return "";
  }
}

// An empty text is none.
export function store(area, name, text) {
  try {
    if (text) window[area].setItem(name, text);
    else window[area].removeItem(name);
  } catch {
    // Then it lasts as long as the page.
  }
}
