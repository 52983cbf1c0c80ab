/* Names for what gradio leaves without one, whenever it draws it: charts, the pictures of a gallery, and groups of
   radio buttons. It names every button of a group differently, so that Tab stops at each and arrow keys do nothing. */
(() => {
  const name = () => {
    for (const chart of document.querySelectorAll(".chart:not([aria-label])")) {
      const title = chart.closest(".card")?.querySelector("h2")?.textContent;
      if (title) chart.setAttribute("role", "figure"), chart.setAttribute("aria-label", `Chart: ${title}`);
    }
    for (const button of document.querySelectorAll(".thumbnail-item")) {
      const caption = button.querySelector(".caption-label")?.textContent.trim();
      if (caption && button.ariaLabel !== caption) button.ariaLabel = caption;
    }
  };
  const group = () => {
    for (const set of document.querySelectorAll("fieldset:has(input[type=radio])")) {
      const radios = set.querySelectorAll("input[type=radio]");
      for (const radio of radios) if (radio.name !== radios[0].name) radio.name = radios[0].name;
    }
  };
  let due = false;
  new MutationObserver(() => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => ((due = false), name(), group()));
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
