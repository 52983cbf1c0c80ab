/* What a visitor has on the form stays in the browser: a reload brings it back, drawing included. Every tab goes by its
   own; a new one begins with what was last done in any. */
(() => {
  const FORM = "hgc.form", TAB = "hgc.tab";
  const read = (store, name) => {
    try {
      return JSON.parse(window[store].getItem(name));
    } catch {
      return null;
    }
  };
  /* Without storage, or with it full, the page does without. */
  const write = (store, name, value) => {
    try {
      if (value === null) window[store].removeItem(name);
      else window[store].setItem(name, JSON.stringify(value));
    } catch {}
  };
  /* The tab's name is away from the store while the page lives, so that a tab made as a copy gets a name of its own.
     Only a page of a secure address has randomUUID. */
  const named = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const tab = { name: named(), press: "", run: "", ...read("sessionStorage", TAB) };
  const leave = () => write("sessionStorage", TAB, tab);
  write("sessionStorage", TAB, null);
  addEventListener("pagehide", leave);
  addEventListener("pageshow", () => write("sessionStorage", TAB, null));

  let stamp = "", form = null, restored = null;
  const unchanged = { __type__: "update" };
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  const marked = () => {
    const words = document.getElementById("restored");
    words?.classList.toggle("since-changed", restored !== null && !same(restored, form));
  };

  hgc.nextPress = (press) => (tab.press = `${tab.name}/${Number(press.split("/")[1] ?? tab.press.split("/")[1] ?? 0) + 1}`);
  hgc.lastRun = (run) => void (tab.run = run || tab.run);
  /* The form as it stands, by the names of its fields. */
  hgc.remember = (names, values) => {
    form = Object.fromEntries(names.map((name, i) => [name, values[i]]));
    for (const store of ["sessionStorage", "localStorage"]) write(store, FORM, { stamp, form });
    marked();
  };
  /* What was brought back is what the form says now, until it is changed. */
  hgc.broughtBack = (names, values) => {
    restored = Object.fromEntries(names.map((name, i) => [name, values[i]]));
    form ??= restored;
    hgc.setByHand([]);
    marked();
  };
  /* Of a photo the server has the file, until it is cleared up there. */
  const there = async (value) => !value?.url || fetch(value.url, { method: "HEAD" }).then((answer) => answer.ok, () => false);
  /* The press and the run of this tab, then the fields' values; a link, and a form of other fields, begin anew. */
  hgc.recall = async (current, names) => {
    stamp = current;
    const kept = read("sessionStorage", FORM) ?? read("localStorage", FORM);
    const known = kept?.stamp === stamp && !new URLSearchParams(location.search).has("LINK") ? kept.form : {};
    const recalled = names.map(async (name) => (name in known && (await there(known[name])) ? known[name] : unchanged));
    return [tab.press, tab.run, ...(await Promise.all(recalled))];
  };
  hgc.startOver = () => {
    if (!confirm("Drawing, words and settings go back to the first example. Runs in the history stay.")) return;
    for (const store of ["sessionStorage", "localStorage"]) write(store, FORM, null);
    tab.run = tab.press = "";
    location.assign(location.pathname);
  };
})();
