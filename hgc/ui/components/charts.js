/* A chart that is drawn unseen has plotly's own width: it takes that of its card as soon as it stands there. */
(() => {
  const fit = (chart) => {
    const plot = chart.querySelector(".js-plotly-plot");
    const wide = plot?.clientWidth;
    if (!wide || !plot._fullLayout || Math.abs(plot._fullLayout.width - wide) < 1 || plot.dataset.fitted === `${wide}`) return;
    plot.dataset.fitted = wide;
    window.Plotly.Plots.resize(plot);
  };
  const shown = new ResizeObserver((entries) => entries.forEach(({ target }) => fit(target)));
  let due = false;
  new MutationObserver(() => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      for (const chart of document.querySelectorAll(".chart")) {
        shown.observe(chart);
        fit(chart);
      }
    });
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
