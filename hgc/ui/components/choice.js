/* What stood in a list when it was opened, and how often a person took something else. */
(() => {
  const stood = new Map();
  hgc.listOpened = (list, value) => void stood.set(list, value);
  hgc.choices = (list, value, turns) => {
    if (stood.get(list) === value) return turns;
    stood.set(list, value);
    return turns + 1;
  };
})();
