/* Draws on a sheet of pixels in memory, in exact colours: what is chosen when a stroke begins is what it paints with. */
(() => {
  const UNDO_STEPS = 40;
  /* Sheets outlive their elements: gradio takes those of a hidden tab out of the page. */
  const kept = {};

  const packed = (hex) => {
    const n = parseInt(hex.slice(1), 16);
    return (0xff000000 | ((n & 255) << 16) | (n & 0xff00) | (n >> 16)) >>> 0;
  };
  const written = (pixel) => {
    const hex = (n) => (n & 255).toString(16).padStart(2, "0");
    return `#${hex(pixel)}${hex(pixel >> 8)}${hex(pixel >> 16)}`;
  };
  const same = (a, b) => a.every((pixel, i) => pixel === b[i]);

  /* Every pixel nearer than r to the line from a to b, on a sheet that is shown `tall` times as tall as it is wide. */
  const capsule = (sheet, side, tall, a, b, r, colour) => {
    const [dx, dy] = [b.x - a.x, (b.y - a.y) * tall];
    const long = dx * dx + dy * dy;
    const span = (low, high, reach) => [Math.max(Math.floor(low - reach), 0), Math.min(Math.ceil(high + reach), side - 1)];
    const [left, right] = span(Math.min(a.x, b.x), Math.max(a.x, b.x), r);
    const [top, bottom] = span(Math.min(a.y, b.y), Math.max(a.y, b.y), r / tall);
    for (let y = top; y <= bottom; y++) {
      for (let x = left; x <= right; x++) {
        const [px, py] = [x - a.x, (y - a.y) * tall];
        const t = long ? Math.min(Math.max((px * dx + py * dy) / long, 0), 1) : 0;
        const [ex, ey] = [px - t * dx, py - t * dy];
        if (ex * ex + ey * ey <= r * r) sheet[y * side + x] = colour;
      }
    }
  };

  /* The area of one colour around a point, to its four neighbours each. */
  const flood = (sheet, side, at, colour) => {
    const first = Math.floor(at.y) * side + Math.floor(at.x);
    const old = sheet[first];
    if (old === colour) return;
    const todo = [first];
    while (todo.length) {
      const i = todo.pop();
      if (sheet[i] !== old) continue;
      sheet[i] = colour;
      const x = i % side;
      if (x > 0) todo.push(i - 1);
      if (x < side - 1) todo.push(i + 1);
      if (i >= side) todo.push(i - side);
      if (i < side * (side - 1)) todo.push(i + side);
    }
  };

  hgc.easel = (element, props, trigger, watch) => {
    const easel = element.querySelector(".easel");
    const find = (selector) => easel.querySelector(selector);
    const [canvas, ring, size] = [find("canvas"), find(".ring"), find(".size input")];
    const side = canvas.width;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    /* `held` is the value that the sheet shows; what a page opens with has nothing before it to go back to. */
    const history = (kept[easel.dataset.name] ??= {
      image: context.createImageData(side, side),
      held: "bare" in easel.dataset ? "" : null,
      done: [],
      undone: [],
    });
    const { image } = history;
    const sheet = new Uint32Array(image.data.buffer);
    const swatches = hgc.swatches(easel, props, watch, (colours) => repaint(colours));
    const tool = () => find('input[name$="-tool"]:checked').value;
    const colour = () => (tool() === "eraser" ? 0 : packed(swatches.colour()));
    const radius = () => size.valueAsNumber / 2;
    const tall = () => canvas.clientHeight / canvas.clientWidth;
    /* The stroke under way: the sheet before it, where it began and where it is. */
    let stroke = null;
    let at = { x: side / 2, y: side / 2 };

    const held = () => new Set([...new Set(sheet)].filter(Boolean).map(written));
    const show = () => {
      context.putImageData(image, 0, 0);
      find("[data-do=undo]").setAttribute("aria-disabled", !history.done.length);
      find("[data-do=redo]").setAttribute("aria-disabled", !history.undone.length);
    };
    const send = () => {
      show();
      history.held = props.value = canvas.toDataURL("image/png");
      trigger("input");
    };
    const remember = (before) => {
      history.done.push(before);
      if (history.done.length > UNDO_STEPS) history.done.shift();
      history.undone = [];
    };
    const step = (from, to) => {
      if (stroke || !from.length) return;
      to.push(sheet.slice());
      sheet.set(from.pop());
      send();
    };
    const begin = () => {
      stroke = { before: sheet.slice(), from: at, to: at, tool: tool(), colour: colour() };
      if (stroke.tool === "fill") flood(sheet, side, at, stroke.colour);
      else capsule(sheet, side, tall(), at, at, radius(), stroke.colour);
      show();
    };
    const draw = (to) => {
      if (stroke.tool === "line") sheet.set(stroke.before);
      if (stroke.tool !== "fill") {
        const from = stroke.tool === "line" ? stroke.from : stroke.to;
        capsule(sheet, side, tall(), from, to, radius(), stroke.colour);
      }
      stroke.to = to;
      show();
    };
    const end = () => {
      const { before, tool: used } = stroke;
      stroke = null;
      if (same(before, sheet)) return;
      if (used !== "eraser") swatches.painted();
      remember(before);
      send();
    };
    const drop = () => {
      if (!stroke) return;
      sheet.set(stroke.before);
      stroke = null;
      show();
    };

    const place = () => {
      const [scale, down] = [canvas.clientWidth / side, canvas.clientHeight / side];
      const wide = tool() === "fill" ? 6 : Math.max(2 * radius() * scale, 4);
      Object.assign(ring.style, { left: `${at.x * scale}px`, top: `${at.y * down}px`, width: `${wide}px` });
    };
    const point = (event) => {
      const box = canvas.getBoundingClientRect();
      const inside = (value) => Math.min(Math.max(value, 0), side - 1);
      at = {
        x: inside(((event.clientX - box.left) / box.width) * side),
        y: inside(((event.clientY - box.top) / box.height) * side),
      };
      return at;
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button || stroke) return;
      canvas.setPointerCapture(event.pointerId);
      point(event);
      begin();
    });
    canvas.addEventListener("pointermove", (event) => {
      ring.hidden = event.pointerType === "touch";
      const several = stroke ? (event.getCoalescedEvents?.() ?? []) : [];
      for (const one of several.length ? several : [event]) {
        point(one);
        if (stroke) draw(at);
      }
      place();
    });
    canvas.addEventListener("pointerup", () => stroke && end());
    canvas.addEventListener("pointercancel", drop);
    canvas.addEventListener("pointerleave", () => (ring.hidden = document.activeElement !== canvas || !keyed));
    canvas.addEventListener("blur", () => {
      ring.hidden = true;
      keyed = false;
      if (stroke) end();
    });

    /* By keyboard: the ring is the pointer. */
    let keyed = false;
    const walk = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    canvas.addEventListener("keydown", (event) => {
      const move = walk[event.key];
      const known = move || [" ", "[", "]"].includes(event.key);
      if (!known || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      keyed = true;
      ring.hidden = false;
      if (move) {
        const far = event.shiftKey ? 2 : 12;
        const inside = (value) => Math.min(Math.max(value, 0), side - 1);
        at = { x: inside(at.x + far * move[0]), y: inside(at.y + far * move[1]) };
        if (stroke) draw(at);
      } else if (event.key === " ") {
        if (stroke) end();
        else begin();
        if (stroke?.tool === "fill") end();
      } else {
        size.valueAsNumber += event.key === "]" ? 6 : -6;
        size.dispatchEvent(new Event("input"));
      }
      place();
    });
    const undo = () => step(history.done, history.undone);
    const redo = () => step(history.undone, history.done);
    easel.addEventListener("keydown", (event) => {
      if (!(event.ctrlKey || event.metaKey)) return;
      const key = event.key.toLowerCase();
      if (key === "z" || key === "y") {
        event.preventDefault();
        if (key === "y" || event.shiftKey) redo();
        else undo();
      }
    });
    const repaint = (colours) => {
      const before = sheet.slice();
      const pairs = new Map([...colours].map(([from, to]) => [packed(from), to ? packed(to) : 0]));
      sheet.forEach((pixel, i) => (sheet[i] = pairs.get(pixel) ?? pixel));
      if (same(before, sheet)) return;
      remember(before);
      swatches.present(held());
      send();
    };
    const clear = () => {
      if (!sheet.some(Boolean)) return;
      remember(sheet.slice());
      sheet.fill(0);
      send();
    };
    for (const [name, act] of Object.entries({ undo, redo, clear })) {
      find(`[data-do=${name}]`).addEventListener("click", act);
    }
    size.addEventListener("input", () => (find(".size output").value = size.value));

    const take = (url, picture) => {
      const next = new Uint32Array(side * side);
      if (picture) {
        context.clearRect(0, 0, side, side);
        context.drawImage(picture, 0, 0, side, side);
        next.set(new Uint32Array(context.getImageData(0, 0, side, side).data.buffer));
      }
      stroke = null;
      if (history.held !== null && !same(sheet, next)) remember(sheet.slice());
      history.held = url;
      sheet.set(next);
      swatches.present(held());
    };
    /* A sheet from the server: an example, or a photo's map, which may come before or after the element it is for. */
    const load = async () => {
      const url = props.value ?? "";
      const picture = url && url !== history.held ? Object.assign(new Image(), { src: url }) : null;
      await picture?.decode();
      if (url !== (props.value ?? "")) return;
      if (url !== history.held) take(url, picture);
      show();
      easel.dataset.ready = "";
    };
    watch("value", load);
    load();
  };
})();
