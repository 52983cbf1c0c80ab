/* Names for what gradio leaves without one, whenever it draws it: charts, and the pictures of a gallery. */
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
  let due = false;
  new MutationObserver(() => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => ((due = false), name()));
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
