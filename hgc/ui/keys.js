(() => {
  const press = (id) => {
    const found = document.getElementById(id);
    const button = found?.tagName === "BUTTON" ? found : found?.querySelector("button");
    if (button && !button.disabled) button.click();
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      document.activeElement?.blur?.();
      setTimeout(() => press("run"), 0);
    } else if (event.key === "Escape" && !event.defaultPrevented) {
      press("stop");
    } else if (event.key === "f" && !event.ctrlKey && !event.metaKey && !event.altKey && !writes(event.target)) {
      flip();
    }
  });
  const writes = (target) =>
    target.isContentEditable || target.matches?.("textarea, select, input:not([type=radio], [type=checkbox], [type=range])");
  /* Two pictures lie on each other; one of them is seen. */
  const flip = () => {
    const pictures = document.getElementById("flicker");
    if (pictures?.offsetParent) pictures.dataset.side = pictures.dataset.side === "right" ? "left" : "right";
  };
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#flicker")) flip();
  });
  /* The editor measures its place once, while the page is still being laid out; a nudge makes it measure again. */
  const fitCanvas = (target) => {
    const canvas = target.querySelector("canvas");
    const wide = target.clientWidth;
    if (!canvas || !wide || Math.abs(canvas.clientWidth - wide) < 2) return;
    target.style.width = `${wide - 1}px`;
    requestAnimationFrame(() => requestAnimationFrame(() => (target.style.width = "")));
  };
  const fitAll = () => document.querySelectorAll(".pixi-target").forEach(fitCanvas);
  new MutationObserver((changes) => {
    const drawn = (node) => node.nodeName === "CANVAS" || node.querySelector?.(".pixi-target");
    if (changes.some((change) => [...change.addedNodes].some(drawn))) {
      [100, 400, 1000, 2500, 5000].forEach((wait) => setTimeout(fitAll, wait));
    }
  }).observe(document, { childList: true, subtree: true });

  window.hgc = {
    /* Takes up the brush in an editor that waits with another tool in hand. */
    takeBrush(id) {
      const brush = document.querySelector(`#${id} button[aria-label="Brush"]`);
      if (brush && !brush.classList.contains("highlight")) brush.click();
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
