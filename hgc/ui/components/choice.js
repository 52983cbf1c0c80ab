/* What a person took from a list or set by hand, and which of the server's answers that leaves in force. */
(() => {
  const stood = new Map(), taken = new Map();
  let latest = 0;

  hgc.listOpened = (list, value) => void stood.set(list, value);
  /* How often a person took something else than stood in the list. */
  hgc.choices = (list, value) => {
    if (stood.get(list) !== value) {
      stood.set(list, value);
      taken.set(list, (taken.get(list) ?? 0) + 1);
    }
    return taken.get(list) ?? 0;
  };

  /* A press, or a question to the server, after which no answer to an earlier question is written. */
  hgc.setByHand = (values) => {
    latest += 1;
    return values;
  };
  hgc.asking = (values) => [String(++latest), ...values];
  hgc.answered = (answer, size) => {
    const { asked, values } = JSON.parse(answer);
    const written = asked === String(latest) ? values : [];
    return Array.from({ length: size }, (_, place) => (place < written.length ? written[place] : { __type__: "update" }));
  };
})();
