// One record in full: its answer beside those of the other sides, and what it was made of.

const REST = ["steps", "text", "request", "raw", "timing", "key"];

function showDetail(panel, record, { against, close, move }) {
  const found = sidesOf(record);
  const sides = [...found.keys()].sort((one, other) => one - other);
  const base = against !== null && found.has(against) ? against : sides[0];
  const button = (said, title, act) => element("button", { type: "button", class: "quiet", title, "aria-label": title, onclick: act }, said);
  const title = element("h2", {}, isolated(record.id));
  if (record.repeat) title.append(element("small", {}, ` repeat ${record.repeat}`));
  panel.replaceChildren(
    element("div", { class: "bar" }, title, element("span", { class: "grow" }),
      button("↑", "Previous record (k)", () => move(-1)), button("↓", "Next record (j)", () => move(1)), button("✕", "Close (Esc)", close)),
    element("div", { class: "sides" }, ...sides.map((side) => answerCard(found.get(side), side === base ? null : found.get(base), sides.length > 1))),
    pairsOf("Row", record.row),
    ...REST.filter((name) => record[name] !== undefined && record[name] !== null).map((name) => folded(name, record[name])),
  );
  panel.setAttribute("aria-label", `Record ${record.id}`);
  panel.hidden = false;
  panel.scrollTop = 0;
}

function answerCard(record, base, isNamed) {
  const card = element("article", { class: "answer" });
  if (isNamed) card.style.setProperty("--side", colour(record.side));
  card.append(element("header", {},
    isNamed ? addText(element("h3"), shortLabel(record.side)) : null,
    state(record.status),
    record.finish_reason === "length" ? element("span", { class: "failure" }, "cut by max_tokens") : null,
    base ? element("small", { class: "number" }, shown(answerOf(base)) === shown(answerOf(record)) ? "the same answer" : "differs") : null));
  const text = element("div", { class: isTree(record.output) ? "text json" : "text" });
  const answer = shown(answerOf(record));
  if (record.status === "error") {
    const error = errorOf(record);
    text.append(addText(element("strong", { class: "failure" }), `${shown(error.class)}${error.status ? ` (${error.status})` : ""}`), "\n", isolated(answer));
    if (error.where) text.append("\n", addText(element("small"), shown(error.where)));
  } else if (record.status === "filtered") text.append("left out by a transform, or because no step ran");
  else if (base && base.status === "ok") text.append(diffNode(shown(base.output), answer));
  else if (answer) text.append(isolated(answer));
  else text.append(element("em", {}, "an empty answer"));
  card.append(text, ...scoreLines(record));
  const facts = [];
  const usage = isTree(record.usage) ? record.usage : {};
  if (usage.input_tokens !== undefined) facts.push(`${number.format(usage.input_tokens)} tokens in`);
  if (usage.output_tokens !== undefined) facts.push(`${number.format(usage.output_tokens)} out`);
  if (typeof record.cost === "number") facts.push(`${fine.format(record.cost)} ${about.files[about.sides[record.side].file].currency}`);
  if (typeof latencyOf(record) === "number") facts.push(record.timing.reused ? "from the journal" : duration(latencyOf(record)));
  if (facts.length) card.append(element("footer", {}, facts.join(" · ")));
  return card;
}

function scoreLines(record) {
  if (!isTree(record.scores)) return [];
  const lines = element("div", { class: "scores" });
  for (const [name, score] of Object.entries(record.scores)) {
    lines.append(addText(element("span"), name), element("b", {}, scoreText(score && score.value)), addText(element("span", { dir: "auto" }), shown(score && score.explanation)));
  }
  return [lines];
}

function pairsOf(title, values) {
  if (!isTree(values) || !Object.keys(values).length) return null;
  const list = element("dl", { class: "pairs" });
  for (const [name, value] of Object.entries(values)) list.append(element("dt", {}, isolated(name)), element("dd", {}, isolated(shown(value))));
  return element("section", {}, element("h3", {}, title), list);
}

function folded(name, value) {
  return element("section", {}, element("details", {}, element("summary", {}, name), addText(element("pre", { class: "code" }), shown(value))));
}

function state(said) { return element("span", { class: `state ${said.replace(" ", "-")}` }, said); }
