/* One step for the whole tab: its slider, the marker in every chart, and whatever has a frame or words for each step. */
(() => {
  let step = 0;
  const parsed = new WeakMap();
  const slider = () => document.getElementById("step");
  const list = (element, name) => {
    const text = element.getAttribute(name);
    const known = parsed.get(element);
    if (known?.text === text) return known.values;
    const values = JSON.parse(text);
    parsed.set(element, { text, values });
    return values;
  };
  const at = (values) => values[Math.min(step, values.length) - 1] ?? "";

  const turn = (image) => {
    const frame = at(list(image, "data-frames"));
    image.hidden = !frame;
    if (frame && image.getAttribute("src") !== frame) image.src = frame;
  };
  const say = (element) => {
    const words = at(list(element, "data-texts"));
    if (element.textContent !== words) element.textContent = words;
  };
  /* An arm of fewer steps has a shorter axis: its step that has got as far. */
  const lastOf = (axis) => Math.round(axis.range[1] - 0.6);
  /* A band over the step's column; plotly's own shapes would draw the whole chart anew. */
  const mark = (plot) => {
    const layout = plot._fullLayout;
    const axis = layout?.xaxis;
    const host = plot.querySelector(".svg-container");
    if (!axis?._length || !host) return;
    let band = host.querySelector(":scope > .step-band");
    if (!band) {
      band = document.createElement("div");
      band.className = "step-band";
      host.append(band);
      plot.on("plotly_afterplot", () => mark(plot));
      plot.on("plotly_click", (event) => {
        const column = event.points[0]?.x;
        if (Number.isInteger(column)) go(Math.floor((column * slider().max) / lastOf(plot._fullLayout.xaxis)));
      });
    }
    const column = Math.ceil((step * lastOf(axis)) / slider().max);
    const left = axis._offset + axis.l2p(column - 0.5);
    const right = axis._offset + axis.l2p(column + 0.5);
    band.style.left = `${left}px`;
    band.style.width = `${right - left}px`;
    band.style.top = `${layout._size.t}px`;
    band.style.height = `${layout._size.h}px`;
    band.dataset.step = step;
  };
  const show = () => {
    const range = slider();
    if (!range) return;
    step = Math.min(step || Number(range.value), Number(range.max));
    if (Number(range.value) !== step) range.value = step;
    const tab = document.getElementById("inside");
    tab.querySelectorAll("[data-frames]").forEach(turn);
    tab.querySelectorAll("[data-texts]").forEach(say);
    tab.querySelectorAll(".by-step .js-plotly-plot").forEach(mark);
  };
  const go = (wanted) => {
    const range = slider();
    if (!range) return;
    step = Math.max(1, Math.min(wanted, Number(range.max)));
    show();
  };

  document.addEventListener("input", (event) => {
    if (event.target.id === "step") go(Number(event.target.value));
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("#inside [data-move]");
    if (button) go(step + Number(button.dataset.move));
  });
  const taken = "input, textarea, select, [contenteditable], [role=listbox], [role=slider]";
  document.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    if (!slider()?.offsetParent || event.target.closest?.(taken)) return;
    event.preventDefault();
    go(step + way);
  });
  /* Charts and words come whenever the server has them: they take up the step as they appear. */
  let waiting = 0;
  const soon = () => {
    waiting ||= requestAnimationFrame(() => {
      waiting = 0;
      show();
    });
  };
  const sized = new ResizeObserver(soon);
  const appears = ({ target }) => target.nodeType === 1 && !(target instanceof SVGElement) && target.closest("#tabs");
  new MutationObserver((changes) => {
    if (!changes.some(appears)) return;
    const tab = document.getElementById("inside");
    if (tab) sized.observe(tab);
    soon();
  }).observe(document, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-frames", "data-texts"] });

  window.hgc.download = (file) => {
    if (!file?.name) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([file.text], { type: file.type }));
    link.download = file.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  };
})();
