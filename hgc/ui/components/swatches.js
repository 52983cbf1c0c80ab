/* The colours of a canvas, by name. A few stand side by side; of many, those used last stand first and a search finds
   the others. A palette may hold several sets of classes, one of which is shown. */
(() => {
  const FEW = 12;
  const USED = 9;
  /* What was used last, by canvas and set: elements go and come with gradio's tabs. */
  const kept = {};

  const escaped = (text) => text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

  /* `repaint` gives every colour of the sheet another, or none. */
  hgc.swatches = (easel, props, watch, repaint) => {
    const place = easel.querySelector(".palette");
    const canvas = easel.dataset.name;
    const state = (kept[canvas] ??= { set: "", chosen: {}, used: {} });
    const find = (selector) => place.querySelector(selector);
    /* gradio forgets the properties of what it draws only after a tab was left. */
    const first = JSON.parse(place.dataset.sets);
    const sets = () => (state.sets = props.sets ?? state.sets ?? first);
    const current = () => sets().find((set) => set.name === state.set) ?? sets()[0];
    const classes = () => current().classes;
    const many = () => classes().length > FEW;
    const used = () => (state.used[current().name] ??= []);
    const chosen = () => {
      const names = classes().map(({ name }) => name);
      const wanted = [state.chosen[current().name], current().chosen, names[0]];
      return classes()[names.indexOf(wanted.find((name) => names.includes(name)))];
    };

    const swatch = ({ name, colour }) =>
      `<label style="--swatch:${colour}" data-class="${escaped(name)}"><input type="radio" name="${canvas}-colour"
        value="${escaped(name)}"${name === chosen().name ? " checked" : ""}><span>${escaped(name)}</span></label>`;
    const choice = ({ name }) =>
      `<label><input type="radio" name="${canvas}-set" value="${escaped(name)}"${name === current().name ? " checked" : ""}>
        <span>${escaped(name)}</span></label>`;
    const told = () => {
      const { name, colour } = chosen();
      find(".with").innerHTML = many()
        ? `Paint with <b style="--swatch:${colour}">${escaped(name)}</b>`
        : "Paint with";
    };
    /* Those used last, then the others; of a search, what begins with it stands before what only holds it. */
    const ordered = (asked) => {
      const held = (name) => name.toLowerCase().indexOf(asked);
      const found = classes().filter(({ name }) => held(name) >= 0);
      if (asked) return found.sort((a, b) => (held(a.name) > 0) - (held(b.name) > 0));
      const first = used().map((name) => found.find((one) => one.name === name)).filter(Boolean);
      return [...first, ...found.filter((one) => !first.includes(one))];
    };
    const list = () => {
      const asked = (find("[type=search]")?.value ?? "").trim().toLowerCase();
      const shown = ordered(asked);
      find(".swatches").innerHTML = `<legend class="unseen">Paint with</legend>${shown.map(swatch).join("")}`;
      const status = find("[role=status]");
      if (status) status.textContent = !asked ? "" : shown.length ? `${shown.length} found` : "No class of this name.";
      find(".swatches").scrollTop = 0;
    };
    const draw = () => {
      place.hidden = classes().length === 1;
      const several = sets().length > 1;
      const search = `<input type="search" placeholder="Search ${classes().length} classes" aria-label="Search the classes"
        autocomplete="off" spellcheck="false"><span role="status" class="aside"></span>`;
      place.innerHTML = `<div class="with"></div>
        ${several ? `<fieldset class="choices sets"><legend class="unseen">Set of classes</legend>${sets().map(choice).join("")}</fieldset>` : ""}
        ${many() ? `<div class="search">${search}</div>` : ""}<fieldset class="swatches${many() ? " many" : ""}"></fieldset>`;
      list();
      told();
    };
    const remember = (names) => {
      const now = names.slice(0, USED);
      if (!many() || now.join() === used().join()) return;
      state.used[current().name] = now;
      const busy = place.contains(document.activeElement) || find("[type=search]").value;
      if (!busy) list();
    };
    /* The sheet goes along: a map is in one set. */
    const change = (set) => {
      const before = current();
      state.set = set;
      const colours = Object.fromEntries(classes().map(({ name, colour }) => [name, colour]));
      const pairs = before.classes.map(({ colour, like }) => [colour, colours[like[current().name]] ?? ""]);
      draw();
      repaint(new Map(pairs.reverse()));
    };
    const choose = (name) => {
      state.chosen[current().name] = name;
      told();
    };

    place.addEventListener("change", ({ target }) => {
      if (target.name === `${canvas}-set`) {
        change(target.value);
        find(`[name="${canvas}-set"]:checked`).focus();
      } else if (target.name === `${canvas}-colour`) choose(target.value);
    });
    place.addEventListener("input", ({ target }) => target.type === "search" && list());
    place.addEventListener("keydown", (event) => {
      if (event.target.type !== "search") return;
      const first = find(".swatches input");
      if (event.key === "Enter" && first) {
        first.click();
        event.preventDefault();
      } else if (event.key === "ArrowDown" && first) {
        (find(".swatches :checked") ?? first).focus();
        event.preventDefault();
      } else if (event.key === "Escape" && event.target.value) {
        event.target.value = "";
        list();
        event.stopPropagation();
      }
    });
    watch("sets", draw);
    draw();
    return {
      colour: () => chosen().colour,
      /* What was painted with stands first from now on. */
      painted: () => remember([chosen().name, ...used().filter((name) => name !== chosen().name)]),
      /* A sheet came with these colours: it is in the set that has most of them. */
      present: (colours) => {
        const held = (set) => set.classes.filter(({ colour }) => colours.has(colour)).map(({ name }) => name);
        const best = sets().reduce((best, set) => (held(set).length > held(best).length ? set : best), current());
        if (best !== current()) {
          state.set = best.name;
          draw();
        }
        remember([...used(), ...held(best).filter((name) => !used().includes(name))]);
      },
    };
  };
})();
