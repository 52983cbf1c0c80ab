/* The grid of a plan: steps across, blocks and their layers down. gradio hands in element, props, trigger and watch. */
const WORDS = { C: "computed", P: "computed in part", R: "reused", F: "forecast", ".": "not needed", "-": "not there" };
const opened = new Set();
let at = { key: null, step: 0 };  // where the keyboard is; step -1 is the row's name
let drag = null;

const escaped = (text) => text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
const plan = () => props.value;
const shownRows = () =>
  plan().rows.flatMap((row) => [
    { ...row, block: true },
    ...(opened.has(row.key) ? row.layers.map((layer) => ({ ...layer, of: row.title })) : []),
  ]);

const cell = (row, step) => {
  const letter = row.cells[step];
  const here = at.key === row.key && at.step === step;
  const name = row.of ? `${row.of}, ${row.title}` : row.title;
  return `<td role="gridcell" tabindex="${here ? 0 : -1}" data-step="${step}" data-state="${letter}"
    aria-label="${escaped(name)}, step ${step + 1}: ${WORDS[letter]}" title="${escaped(name)}, step ${step + 1}: ${WORDS[letter]}"></td>`;
};

const line = (row) => {
  const here = at.key === row.key && at.step === -1 ? 0 : -1;
  const arrow = row.block && row.layers.length ? `aria-expanded="${opened.has(row.key)}"` : "";
  const kind = row.block ? "block" : row.inner ? "layer inner" : "layer";
  const cells = Array.from({ length: plan().steps }, (_, step) => cell(row, step)).join("");
  return `<tr class="${kind}" data-key="${escaped(row.key)}">
    <th scope="row" role="rowheader" tabindex="${here}" ${arrow}>${escaped(row.title)}</th>${cells}</tr>`;
};

const draw = () => {
  const place = element.querySelector(".plan-grid");
  if (!place || !plan()?.rows) return;
  const rows = shownRows();
  if (!rows.some((row) => row.key === at.key)) at = { key: rows[0].key, step: 0 };
  at.step = Math.min(at.step, plan().steps - 1);
  const focused = place.contains(document.activeElement);
  const scrolled = place.querySelector(".scroll")?.scrollLeft ?? 0;
  const head = plan().spent.map((share, step) =>
    `<th scope="col" title="Step ${step + 1}: ${Math.round(100 * share)}% of a full step's MACs"><i style="height:${Math.max(1, Math.round(26 * share))}px"></i><span>${step + 1}</span></th>`);
  place.innerHTML = `<div class="scroll"><table role="grid" aria-label="The plan: blocks by steps">
    <thead><tr><th class="corner">MACs by step</th>${head.join("")}</tr></thead>
    <tbody>${rows.map(line).join("")}</tbody></table></div>`;
  place.querySelector(".scroll").scrollLeft = scrolled;
  if (focused) focusHere();
};

const nodeAt = () => {
  const row = [...element.querySelectorAll("tbody tr")].find((tr) => tr.dataset.key === at.key);
  return row?.children[at.step + 1];
};
const focusHere = () => {
  element.querySelectorAll('[tabindex="0"]').forEach((node) => (node.tabIndex = -1));
  const node = nodeAt();
  if (node) (node.tabIndex = 0), node.focus();
};
const go = (key, step) => ((at = { key, step }), focusHere());
const toggle = (key) => (opened.has(key) ? opened.delete(key) : opened.add(key), draw());
const send = (cells, action) => trigger("edit", { cells, action: action ?? null });
const placeOf = (node) => {
  const td = node?.closest?.("td[data-step]");
  return td && element.contains(td) ? { td, key: td.parentElement.dataset.key, step: Number(td.dataset.step) } : null;
};

/* By mouse: a press, or a press drawn over several cells. A finger taps, so that it can still scroll. */
element.addEventListener("pointerdown", (event) => {
  const name = event.target.closest?.("th[scope=row]");
  if (name) {
    go(name.parentElement.dataset.key, -1);
    if (name.hasAttribute("aria-expanded")) toggle(at.key);
  }
  const found = placeOf(event.target);
  if (!found || event.button > 0) return;
  event.preventDefault();
  go(found.key, found.step);
  drag = [[found.key, found.step]];
  found.td.classList.add("picked");
});
/* What is focused is ours to say: the row that was pressed may have been drawn anew. */
element.addEventListener("mousedown", (event) => event.target.closest?.("table") && event.preventDefault());
element.addEventListener("pointerover", (event) => {
  const found = drag && event.pointerType === "mouse" && placeOf(event.target);
  if (!found || drag.some(([key, step]) => key === found.key && step === found.step)) return;
  drag.push([found.key, found.step]);
  found.td.classList.add("picked");
});
const unpick = () => element.querySelectorAll(".picked").forEach((td) => td.classList.remove("picked"));
const letGo = () => drag && (unpick(), send(drag), (drag = null));
addEventListener("pointerup", letGo);
addEventListener("pointercancel", () => (unpick(), (drag = null)));

element.addEventListener("focusin", (event) => {
  const row = event.target.closest?.("tbody tr");
  if (row) at = { key: row.dataset.key, step: [...row.children].indexOf(event.target) - 1 };
});

/* By keyboard: arrows go, space takes the next in turn, C, R and F say which, Enter opens a block. */
element.addEventListener("keydown", (event) => {
  if (!event.target.closest?.("table")) return;
  const key = event.key.toLowerCase();
  const rows = shownRows();
  const index = rows.findIndex((row) => row.key === at.key);
  const last = plan().steps - 1;
  const ways = {
    arrowup: () => go(rows[Math.max(0, index - 1)].key, at.step),
    arrowdown: () => go(rows[Math.min(rows.length - 1, index + 1)].key, at.step),
    arrowleft: () => go(at.key, Math.max(-1, at.step - 1)),
    arrowright: () => go(at.key, Math.min(last, at.step + 1)),
    home: () => go(at.key, 0),
    end: () => go(at.key, last),
    enter: () => rows[index].layers?.length && toggle(at.key),
    " ": () => (at.step < 0 ? ways.enter() : send([[at.key, at.step]])),
  };
  for (const letter of ["c", "r", "f"]) ways[letter] = () => at.step >= 0 && send([[at.key, at.step]], letter.toUpperCase());
  const command = event.ctrlKey || event.metaKey;
  const way = command ? { z: () => trigger(event.shiftKey ? "redo" : "undo"), y: () => trigger("redo") }[key] : ways[key];
  if (!way || event.altKey) return;
  event.preventDefault();
  event.stopPropagation();
  way();
});

watch("value", draw);
draw();
