/* Numbers as they are typed: what a field cannot hold is said beside it and never sent, so that whatever the page says
   elsewhere belongs to a value that can be run. A value that is left standing is put to the nearest that can. */
(() => {
  const held = new WeakMap(); // the last value that a field could hold
  const numeric = (target) => target instanceof HTMLInputElement && target.type === "number" && target.max !== "";
  const shown = (number) => String(Number(number.toPrecision(12)));
  const bounds = (field) => ({ low: Number(field.min), high: Number(field.max), whole: field.step === "1" });
  const slides = (field) => field.dataset.testid === "number-input";

  const note = (field, text) => {
    const block = field.closest(".block") ?? field.parentElement;
    let told = block.querySelector(":scope > .wrong");
    field.setAttribute("aria-invalid", text ? "true" : "false");
    if (!text) return told?.remove();
    told ??= block.appendChild(Object.assign(document.createElement("p"), { className: "wrong" }));
    told.setAttribute("role", "alert");
    told.textContent = text;
  };
  const fault = (field) => {
    const { low, high, whole } = bounds(field);
    const number = field.valueAsNumber;
    if (Number.isNaN(number)) return slides(field) || field.validity.badInput ? "This is not a number" : "";
    if (number < low || number > high) return `${shown(number)} is not within ${shown(low)} to ${shown(high)}`;
    return whole && number % 1 ? `${shown(number)} is not a whole number` : "";
  };
  const nearest = (field) => {
    const { low, high, whole } = bounds(field);
    const number = field.valueAsNumber;
    if (Number.isNaN(number)) return held.get(field) ?? shown(low);
    return shown(Math.min(Math.max(whole ? Math.round(number) : number, low), high));
  };
  const settle = (field) => {
    const wrong = fault(field);
    if (!wrong) return;
    const value = nearest(field);
    field.value = value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    note(field, `${wrong}: ${value} is taken.`);
  };

  document.addEventListener("focusin", ({ target }) => {
    if (numeric(target) && !fault(target)) held.set(target, target.value);
  });
  document.addEventListener(
    "input",
    (event) => {
      const field = event.target;
      if (!numeric(field)) return window_(field);
      const wrong = fault(field);
      if (!wrong) {
        held.set(field, field.value);
        return note(field, ""), window_(field);
      }
      event.stopImmediatePropagation();
      // The first digits of a number that is not yet written out are no fault.
      note(field, field.valueAsNumber > bounds(field).high ? `${wrong}.` : "");
    },
    true,
  );
  for (const left of ["change", "focusout"]) {
    document.addEventListener(left, ({ target }) => numeric(target) && settle(target), true);
  }

  /* The control's window ends after it begins. */
  const window_ = (target) => {
    if (!target.closest?.("#from, #until")) return;
    const [from, until] = ["from", "until"].map((id) => document.querySelector(`#${id} input[type=number]`));
    requestAnimationFrame(() => {
      const wrong = from.valueAsNumber >= until.valueAsNumber;
      note(until, wrong ? `The control has to work until later than ${from.value}, from where it works.` : "");
    });
  };
})();
