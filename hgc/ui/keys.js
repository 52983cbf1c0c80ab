/* Keys for Run, Stop, the tabs and the viewer; and what the page presses by itself. */
(() => {
  const press = (id) => {
    const found = document.getElementById(id);
    const button = found?.tagName === "BUTTON" ? found : found?.querySelector("button");
    if (button && !button.disabled) button.click();
  };
  const writes = (target) =>
    target.isContentEditable || target.matches?.("textarea, select, input:not([type=radio], [type=checkbox], [type=range])");
  // The tab that a key asks for, from the one that has the focus.
  const tabFor = (key, tab) => {
    const tabs = [...tab.closest("[role=tablist]").querySelectorAll("[role=tab]")];
    const at = tabs.indexOf(tab);
    return tabs[{ ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[key]];
  };
  const letters = { f: "flip", F: "fullScreen", m: "magnify" };
  document.addEventListener("keydown", (event) => {
    const bare = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      document.activeElement?.blur?.();
      setTimeout(() => press("run"), 0);
    } else if (event.key === "Escape" && !event.defaultPrevented && !document.fullscreenElement) {
      press("stop");
    } else if (bare && event.target.role === "tab" && tabFor(event.key, event.target)) {
      event.preventDefault();
      tabFor(event.key, event.target).click();
      tabFor(event.key, event.target).focus();
    } else if (bare && letters[event.key] && !writes(event.target)) {
      for (const viewer of hgc.viewers ?? []) viewer[letters[event.key]]();
    }
  });
  window.hgc = {
    press,
    // HGC's two switches, as one press of the ladder sets them.
    caches(coarse, fine) {
      for (const [id, on] of [["coarse", coarse], ["fine", fine]]) {
        const box = document.querySelector(`#${id} input`);
        if (box && box.checked !== on) box.click();
      }
    },
    copy(text, button) {
      navigator.clipboard?.writeText(text).then(() => {
        const before = button.textContent;
        button.textContent = "Copied";
        setTimeout(() => (button.textContent = before), 1200);
      });
    },
  };
})();
