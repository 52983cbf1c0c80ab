/* One state for all pictures: how they are looked at, where, how near; panes only show it. */
(() => {
  const ZOOM_MAX = 16;
  /* Side of the magnified square, in pixels of the picture, and how large it is drawn. */
  const LENS_PX = 32;
  const LENS_DRAWN_PX = 160;
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const option = (value, text) => Object.assign(document.createElement("option"), { value, textContent: text });

  hgc.viewer = (element, props, watch) => {
    const viewer = element.querySelector(".viewer");
    const find = (selector) => viewer.querySelector(selector);
    const all = (selector) => [...viewer.querySelectorAll(selector)];
    const [scene, lens, pairs, overs] = [".scene", ".lens", ".pair select", ".over select"].map(find);
    const state = { look: "side", zoom: 1, x: 0, y: 0, split: 0.5, lens: false, u: 0.5, v: 0.5 };
    let divider = null;

    const arms = () => all("[data-arm]");
    const pane = (name) => find(`.result [data-arm="${name}"]`);
    const heat = () => find(`[data-pair="${pairs.value}"]`);
    const picture = (of) => of.querySelector(".picture");

    const show = () => {
      const [left, right] = pairs.value.split(" ");
      viewer.dataset.look = state.look;
      state.x = clamp(state.x, 1 - state.zoom, 0);
      state.y = clamp(state.y, 1 - state.zoom, 0);
      const places = { zoom: state.zoom, x: state.x, y: state.y, split: state.split, u: state.u, v: state.v };
      for (const [name, value] of Object.entries(places)) viewer.style.setProperty(`--${name}`, value);
      viewer.style.setProperty("--over-by", find(".over-by input").value / 100);
      viewer.classList.toggle("near", state.zoom > 1.5);
      viewer.classList.toggle("moves", state.zoom > 1 || state.lens);
      find(".zoom output").value = `${Math.round(state.zoom * 100)}%`;
      find("[data-do=lens]").setAttribute("aria-pressed", state.lens);
      lens.hidden = !state.lens || !arms().length || !find(".result");
      for (const one of arms()) {
        const name = one.dataset.arm;
        one.dataset.role = name === left ? "left" : name === right ? "right" : "off";
        one.classList.toggle("mapped", overs.value === "all" || overs.value === name);
      }
      for (const one of all("[data-pair]")) {
        one.dataset.role = one === heat() ? "on" : "off";
        one.classList.toggle("mapped", overs.value === "all");
      }
      if (divider) divider.valueAsNumber = state.split * 1000;
      magnify();
    };

    /* A new scene: its arms decide what can be chosen; what was chosen before stays where it still can be. */
    const refresh = () => {
      scene.innerHTML = props.value ?? "";
      divider = null;
      const shown = arms().map((one) => [one.dataset.arm, one.dataset.title]);
      const done = find(".result") !== null;
      viewer.classList.toggle("bare", !done);
      for (const control of all(".tools :is(button, select, input)")) control.disabled = !done;
      if (!done) return show();
      const couples = shown.flatMap(([a, left], i) =>
        shown.slice(i + 1).map(([b, right]) => option(`${a} ${b}`, `${left} | ${right}`)));
      choose(pairs, couples);
      choose(overs, [option("", "nothing"), ...shown.map(([a, title]) => option(a, title)), option("all", "all")]);
      find(".pair").hidden = couples.length < 2;
      for (const glass of all(".result .glass")) {
        const over = Object.assign(new Image(), { className: "over", alt: "", src: find("img.map").src });
        const spot = Object.assign(document.createElement("i"), { className: "spot" });
        glass.append(over, spot);
      }
      divider = Object.assign(document.createElement("input"), { type: "range", className: "cut-line", max: 1000 });
      divider.setAttribute("aria-label", "Line between the two pictures");
      divider.addEventListener("input", () => set({ split: divider.valueAsNumber / 1000 }));
      find(".panes").append(divider);
      lens.replaceChildren();
      show();
    };
    const choose = (select, options) => {
      const before = select.value;
      select.replaceChildren(...options);
      if (options.some((one) => one.value === before)) select.value = before;
    };
    const set = (change) => show(Object.assign(state, change));

    /* Zooms by a factor and keeps the point (u, v) of the pane where it is. */
    const zoom = (factor, u = 0.5, v = 0.5) => {
      const next = clamp(state.zoom * factor, 1, ZOOM_MAX);
      const by = next / state.zoom;
      set({ zoom: next, x: u - (u - state.x) * by, y: v - (v - state.y) * by });
    };
    const flip = () => {
      if (state.look !== "flicker") return look("flicker");
      viewer.dataset.side = viewer.dataset.side === "right" ? "left" : "right";
    };
    const look = (name) => {
      find(`.looks [value=${name}]`).checked = true;
      set({ look: name });
    };
    const fullScreen = () =>
      document.fullscreenElement ? document.exitFullscreen() : viewer.requestFullscreen?.();
    const acts = {
      in: () => zoom(1.5),
      out: () => zoom(1 / 1.5),
      fit: () => set({ zoom: 1, x: 0, y: 0 }),
      lens: () => set({ lens: !state.lens }),
      full: fullScreen,
    };

    /* The magnifier: the same square of every picture, drawn large, with the colour of its middle. */
    const magnify = () => {
      if (lens.hidden) return;
      const sources = [...arms(), heat(), { map: find("img.map") }];
      if (lens.childElementCount !== sources.length + 1) {
        lens.replaceChildren(...sources.map(glassFor), document.createElement("p"));
      }
      const middles = sources.map((source, i) => enlarge(source.map ?? picture(source), lens.children[i]));
      sources.forEach((source, i) => {
        const title = source.map ? "Map" : source.dataset.title;
        lens.children[i].querySelector("b").textContent = title;
      });
      const [left, right] = pairs.value.split(" ").map((name) => arms().indexOf(pane(name)));
      const apart = middles[left].rgb.reduce((sum, value, k) => sum + Math.abs(value - middles[right].rgb[k]), 0) / 765;
      lens.lastChild.textContent =
        `Pixel ${middles[0].x}, ${middles[0].y}: ${arms()[left].dataset.title} and ${arms()[right].dataset.title} ` +
        `differ by ${(apart * 100).toFixed(1)}% of full brightness.`;
    };
    const glassFor = () => {
      const figure = document.createElement("figure");
      figure.innerHTML = `<canvas width="${LENS_DRAWN_PX}" height="${LENS_DRAWN_PX}" aria-hidden="true"></canvas>
        <figcaption><b></b><span></span></figcaption>`;
      return figure;
    };
    const enlarge = (image, figure) => {
      const canvas = figure.querySelector("canvas");
      const context = canvas.getContext("2d", { willReadFrequently: true });
      const x = Math.min(Math.floor(state.u * image.naturalWidth), image.naturalWidth - 1);
      const y = Math.min(Math.floor(state.v * image.naturalHeight), image.naturalHeight - 1);
      const cell = LENS_DRAWN_PX / LENS_PX;
      context.imageSmoothingEnabled = false;
      context.clearRect(0, 0, LENS_DRAWN_PX, LENS_DRAWN_PX);
      context.drawImage(image, (LENS_PX / 2 - x) * cell, (LENS_PX / 2 - y) * cell,
        image.naturalWidth * cell, image.naturalHeight * cell);
      const middle = LENS_DRAWN_PX / 2;
      const rgb = [...context.getImageData(middle + cell / 2, middle + cell / 2, 1, 1).data.slice(0, 3)];
      context.strokeStyle = "#fff";
      context.strokeRect(middle - 0.5, middle - 0.5, cell + 1, cell + 1);
      figure.querySelector("span").textContent = rgb.join(" ");
      return { x, y, rgb };
    };

    /* Pointers: one moves the line, the magnifier or the pictures; two spread them. */
    const held = new Map();
    let moved = false;
    const place = (event, glass = event.target.closest(".glass")) => {
      const box = glass.getBoundingClientRect();
      return { u: (event.clientX - box.x) / box.width, v: (event.clientY - box.y) / box.height };
    };
    const aim = ({ u, v }) =>
      set({ u: clamp((u - state.x) / state.zoom, 0, 1), v: clamp((v - state.y) / state.zoom, 0, 1) });
    scene.addEventListener("pointerdown", (event) => {
      const glass = event.target.closest(".result .glass");
      if (!glass || event.button) return;
      held.set(event.pointerId, { glass, ...place(event, glass) });
      scene.setPointerCapture(event.pointerId);
      moved = false;
      if (held.size === 1 && state.look === "slider" && state.zoom === 1 && !state.lens) {
        set({ split: clamp(place(event, glass).u, 0, 1) });
      }
      if (event.pointerType !== "mouse" && state.lens) aim(place(event, glass));
    });
    scene.addEventListener("dragstart", (event) => event.preventDefault());
    scene.addEventListener("pointermove", (event) => {
      const hold = held.get(event.pointerId);
      if (!hold) {
        const glass = state.lens && event.target.closest(".result .glass");
        if (glass) aim(place(event, glass));
        return;
      }
      const now = place(event, hold.glass);
      const [du, dv] = [now.u - hold.u, now.v - hold.v];
      if (Math.hypot(du, dv) > 0.01) moved = true;
      if (held.size === 2) {
        const other = [...held.values()].find((one) => one !== hold);
        const apart = (one) => Math.hypot(one.u - other.u, one.v - other.v);
        zoom(apart(now) / Math.max(apart(hold), 0.02), (now.u + other.u) / 2, (now.v + other.v) / 2);
      } else if (state.lens && event.pointerType !== "mouse") {
        aim(now);
      } else if (state.zoom > 1) {
        set({ x: state.x + du, y: state.y + dv });
      } else if (state.look === "slider") {
        set({ split: clamp(now.u, 0, 1) });
      }
      Object.assign(hold, now);
    });
    scene.addEventListener("pointerup", (event) => {
      if (held.delete(event.pointerId) && state.look === "flicker" && !moved) flip();
    });
    scene.addEventListener("pointercancel", (event) => held.delete(event.pointerId));
    scene.addEventListener("click", (event) => {
      const saved = event.target.closest("[data-save]");
      if (saved) {
        const link = { href: picture(pane(saved.dataset.save)).src, download: `hgc-${saved.dataset.save}.png` };
        Object.assign(document.createElement("a"), link).click();
      }
    });
    scene.addEventListener("wheel", (event) => {
      const glass = event.target.closest(".result .glass");
      if (!glass || !(event.ctrlKey || event.metaKey || document.fullscreenElement)) return;
      event.preventDefault();
      const { u, v } = place(event, glass);
      zoom(Math.exp(-event.deltaY / 300), u, v);
    }, { passive: false });

    const walk = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    scene.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || viewer.classList.contains("bare")) return;
      const act = { "+": "in", "=": "in", "-": "out", 0: "fit" }[event.key];
      const move = event.target === divider ? null : walk[event.key];
      if (!act && !move) return;
      event.preventDefault();
      if (act) return acts[act]();
      const far = event.shiftKey ? 8 : 1;
      const size = picture(arms()[0]).naturalWidth;
      if (state.lens) {
        const to = (value, by) => clamp(value + (by * far) / size, 0, 1);
        set({ u: to(state.u, move[0]), v: to(state.v, move[1]) });
      } else {
        set({ x: state.x - move[0] * 0.05 * far, y: state.y - move[1] * 0.05 * far });
      }
    });
    viewer.addEventListener("click", (event) => {
      const button = event.target.closest("[data-do]");
      if (button) acts[button.dataset.do]();
    });
    for (const radio of all(".looks input")) radio.addEventListener("change", () => look(radio.value));
    for (const control of [pairs, overs, find(".over-by input")]) control.addEventListener("input", () => show());

    /* Not by offsetParent: what fills the screen has none. */
    const seen = (act) => () => viewer.checkVisibility() && find(".result") && act();
    (hgc.viewers ??= []).push({ flip: seen(flip), magnify: seen(acts.lens), fullScreen: seen(fullScreen) });
    watch("value", refresh);
    refresh();
  };
})();
