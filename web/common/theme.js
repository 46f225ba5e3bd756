// A classic script in <head>, before the first paint, so that a dark page does not flash white: puts data-theme on <html> as stored or as the
// system has it, and follows the system while nothing is stored. window.r1Theme: toggle().
(function () {
  "use strict";
  var key = "r1.theme";
  var system = window.matchMedia("(prefers-color-scheme: dark)");
  function stored() {
    try {
      var value = window.localStorage.getItem(key);
      return value === "dark" || value === "light" ? value : null;
    } catch (error) {
      return null;  // storage is off: the system's theme
    }
  }
  function current() {
    return stored() || (system.matches ? "dark" : "light");
  }
  function show(theme) {
    document.documentElement.dataset.theme = theme;
    window.dispatchEvent(new Event("r1:theme"));
  }
  function apply() {
    show(current());
  }
  function toggle() {
    var next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try {
      window.localStorage.setItem(key, next);
    } catch (error) {
      // Then it lasts as long as the page.
    }
    show(next);
  }
  system.addEventListener("change", apply);
  window.addEventListener("storage", function (event) {
    if (event.key === key) apply();
  });
  window.r1Theme = {toggle: toggle};
  apply();
})();
