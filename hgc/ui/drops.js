/* A PNG dropped anywhere but on a place that takes pictures of its own is brought back; a link is made whole here. */
(() => {
  const own = (event) => event.target.closest?.("#photo, input[type=file], .easel");
  const pictures = (event) => [...(event.dataTransfer?.items ?? [])].some((item) => item.kind === "file");
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      document.body.classList.toggle("dropping", name === "dragover" && pictures(event) && !own(event));
      if (!pictures(event) || own(event)) return;
      event.preventDefault();
      if (name === "drop") hgc.restore(event.dataTransfer.files);
    });
  }
  /* Hands files to the button that restores, as if they had been chosen there. */
  hgc.restore = (files) => {
    const input = document.querySelector("#take-along input[type=file]");
    if (!input || !files.length) return;
    const one = new DataTransfer();
    one.items.add(files[0]);
    input.files = one.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };
  /* The server knows the settings, the page its own address. */
  hgc.share = () => {
    const told = document.querySelector("#linked [data-query]");
    if (!told) return;
    const address = `${location.origin}${location.pathname}?${told.dataset.query}`;
    const field = Object.assign(document.createElement("input"), { value: address, readOnly: true });
    field.setAttribute("aria-label", "Link to these settings");
    told.replaceChildren(field);
    field.select();
    const say = (text) => told.append(Object.assign(document.createElement("span"), { textContent: text + told.dataset.note }));
    (navigator.clipboard?.writeText(address) ?? Promise.reject()).then(() => say("Copied."), () => say("Copy it from here."));
  };
})();
