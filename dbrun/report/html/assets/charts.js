// Charts of all records, by side.

const LIGHT = ["#2f6be0", "#d9700f", "#0f8f6b", "#a63fbf", "#c2334d", "#64748b", "#0d8ba8", "#8a7a12"];
const DARK = ["#7fabff", "#f0a35a", "#4fcfa6", "#d48be8", "#f08b9d", "#a3b0c2", "#5fc9e3", "#d3c25c"];
const BINS = 24;
const MOST_SIDES = 8;
const WHOLE = Array.from({ length: 45 }, (_, place) => [1, 2, 5][place % 3] * 10 ** Math.floor(place / 3)); // between ticks

function isDark() { return document.documentElement.hasAttribute("data-dark"); }
function colour(side) { return (isDark() ? DARK : LIGHT)[side % LIGHT.length]; }

const plots = []; // those that are drawn, to be drawn anew in other colours

function drawCharts(place, choose) {
  for (const plot of plots.splice(0)) plot.destroy();
  place.replaceChildren();
  const draw = (title, note, body) => {
    const card = element("figure", { class: "card" }, element("figcaption", {},
      addText(element("h3"), title), addText(element("small"), note)), body);
    place.append(card);
    return card;
  };
  for (const name of scoreNames) scoreChart(name, draw);
  distribution("Latency", "seconds an answer took", latencyOf, draw) || quantiles(draw);
  distribution("Tokens of answers", "tokens", tokensOf, draw);
  distribution("Tokens of requests", "tokens", (record) => record.usage && record.usage.input_tokens, draw);
  errorChart(draw, choose);
  limitCharts(draw);
}

function valuesBySide(read) {
  const sides = about.sides.map(() => []);
  for (const record of records) {
    const value = read(record);
    if (typeof value === "number") sides[record.side].push(value);
    else if (typeof value === "boolean") sides[record.side].push(value ? 1 : 0);
  }
  return sides;
}

function mean(values) { return values.reduce((sum, value) => sum + value, 0) / values.length; }

function scoreChart(name, draw) {
  const read = (record) => scoreOf(record, name);
  const isYes = records.every((record) => typeof read(record) !== "number");
  const lower = about.better[name] === "lower" ? "lower is better" : "";
  if (!isYes) { distribution(name, `score${lower && `, ${lower}`}`, read, draw); return; }
  const sides = valuesBySide(read);
  const lines = sides.map((values, side) => [shortLabel(side), values.length ? mean(values) : null, side]);
  draw(name, `share of records that meet it${lower && `; ${lower}`}`, bars(lines
    .filter((line) => line[1] !== null)
    .map(([label, share, side]) => ({ label, share, said: `${(Math.round(share * 1000) / 10)} %`, colour: colour(side) }))));
}

// Lines of a bar chart; a line that can be pressed chooses its records.
function bars(lines, press) {
  const body = element("div", { class: "lines" });
  for (const line of lines) {
    const fill = element("span", { class: "fill" });
    fill.style.width = `${line.share * 100}%`;
    fill.style.background = line.colour;
    body.append(element("button", { type: "button", tabindex: press ? null : "-1", onclick: press && (() => press(line)), title: line.label },
      addText(element("span", { class: "name" }), line.label),
      element("span", { class: "track" }, fill),
      element("span", { class: "number" }, line.said)));
  }
  return body;
}

function errorChart(draw, choose) {
  const kinds = new Map();
  for (const record of records) {
    if (record.status !== "error") continue;
    const kind = String(errorOf(record).class ?? "unknown");
    kinds.set(kind, (kinds.get(kind) || 0) + 1);
  }
  if (!kinds.size) return;
  const sorted = [...kinds].sort((one, other) => other[1] - one[1]);
  const lines = sorted.map(([label, amount]) => ({ label, share: amount / sorted[0][1], said: number.format(amount), colour: isDark() ? "#ff8a7e" : "#c9382c" }));
  draw("Error classes", "press one to see its records", bars(lines, (line) => choose(line.label)));
}

// A histogram; steps where several sides share it. False if there is nothing to draw.
function distribution(title, unit, read, draw) {
  const sides = valuesBySide(read).slice(0, MOST_SIDES);
  const all = sides.flat();
  if (!all.length) return false;
  let least = Infinity, most = -Infinity;
  for (const value of all) { if (value < least) least = value; if (value > most) most = value; }
  const isWhole = all.every(Number.isInteger);
  if (least === most) { least -= isWhole ? 1 : Math.abs(least) / 10 || 0.5; most += isWhole ? 1 : Math.abs(most) / 10 || 0.5; }
  let width = (most - least) / BINS;
  if (isWhole) width = Math.max(1, Math.ceil(width));
  const bins = Math.floor((most - least) / width + 1e-9) + 1;
  const places = Array.from({ length: bins }, (_, bin) => least + (bin + (isWhole && width === 1 ? 0 : 0.5)) * width);
  const heights = sides.map((values) => {
    const counts = new Array(bins).fill(0);
    for (const value of values) counts[Math.min(bins - 1, Math.floor((value - least) / width + 1e-9))]++;
    return counts;
  });
  all.sort((one, other) => one - other);
  const middle = all[Math.floor((all.length - 1) / 2)];
  const note = `median ${rough.format(middle)}, mean ${rough.format(mean(all))}`;
  const drawn = sides.map((values, side) => ({ side, counts: heights[side] })).filter(({ side }) => sides[side].length);
  const body = element("div", { role: "img", "aria-label": `${title}: ${unit}; ${note}, from ${fine.format(all[0])} to ${fine.format(all[all.length - 1])}` });
  draw(title, note, body);
  const isStepped = drawn.length > 1; // steps go from edge to edge, bars stand in the middle
  const edges = Array.from({ length: bins + 1 }, (_, edge) => places[0] + (edge - 0.5) * width);
  plot(body, isStepped ? [edges, ...drawn.map(({ counts }) => [...counts, 0])] : [places, drawn[0].counts], drawn.map(({ side }) => ({
    label: about.sides[side].label,
    stroke: colour(side),
    width: drawn.length > 1 ? 2 : 0,
    fill: colour(side) + (drawn.length > 1 ? "22" : "cc"),
    paths: drawn.length > 1 ? uPlot.paths.stepped({ align: 1 }) : uPlot.paths.bars({ size: [0.92, 60] }),
    points: { show: false },
  })), { x: [places[0] - width * 0.6, places[bins - 1] + width * 0.6], unit, isWhole });
  return true;
}

// Where records do not tell their own time, the manifest still knows what most answers kept to.
function quantiles(draw) {
  const sides = about.sides.map((side, place) => [side, place]).filter(([side]) => side.latency && typeof side.latency.p50 === "number");
  if (!sides.length) return;
  const most = Math.max(...sides.flatMap(([side]) => Object.values(side.latency))) || 1;
  const lines = sides.flatMap(([side, place]) => ["p50", "p90", "p99"].filter((name) => name in side.latency).map((name) => ({
    label: sides.length > 1 ? `${name} ${shortLabel(place)}` : name,
    share: side.latency[name] / most,
    said: duration(side.latency[name]),
    colour: colour(place),
  })));
  draw("Latency", "50, 90, 99 of 100 answers came within", bars(lines));
}

function limitCharts(draw) {
  for (const file of about.files) {
    for (const limit of file.limits) {
      const history = Array.isArray(limit.history) ? limit.history.filter((step) => Array.isArray(step) && typeof step[0] === "number" && typeof step[1] === "number") : [];
      if (history.length < 3) continue;
      const body = element("div", { role: "img", "aria-label": "calls at a time, over the seconds of the run" });
      draw(`Calls at a time${about.files.length > 1 ? `, ${file.label}` : ""}`, shown(limit.endpoint), body);
      plot(body, [history.map((step) => step[0]), history.map((step) => step[1])], [{
        label: "limit", stroke: colour(0), width: 2, fill: colour(0) + "22", paths: uPlot.paths.stepped({ align: 1 }), points: { show: false },
      }], { unit: "seconds", x: null, isWhole: false });
    }
  }
}

// As many digits as tell them apart; where the room of each tick is known, as many labels as fit.
function tickLabels(ticks, room = Infinity) {
  let labels = [];
  for (let digits = 3; digits < 16 && new Set(labels).size < Math.max(1, ticks.length); digits++) {
    const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: digits });
    labels = ticks.map((tick) => short.format(tick));
  }
  const widest = 8 + 6.5 * Math.max(0, ...labels.map((label) => label.length));
  const every = Math.ceil(widest / room) || 1;
  return labels.map((label, place) => (place % every ? "" : label));
}

function plot(body, data, series, { x, unit, isWhole }) {
  const style = getComputedStyle(document.documentElement);
  const soft = style.getPropertyValue("--soft").trim(), line = style.getPropertyValue("--line").trim();
  const font = "11px system-ui, sans-serif";
  const axis = { stroke: soft, font, ticks: { show: false }, grid: { stroke: line, width: 1 } };
  const made = new uPlot({
    width: Math.max(220, body.clientWidth), height: 156,
    legend: { show: false }, cursor: { show: false }, padding: [8, 16, 0, 0],
    scales: { x: { time: false, range: x ? () => x : undefined }, y: { range: (_, __, most) => [0, most * 1.08 || 1] } },
    axes: [
      { ...axis, grid: { show: false }, size: 26, gap: 3, label: unit, labelSize: 15, labelGap: 0, labelFont: font, space: 46, values: (_, ticks, __, room) => tickLabels(ticks, room), ...(isWhole && { incrs: WHOLE }) },
      { ...axis, size: 42, space: 34, values: (_, ticks) => tickLabels(ticks), incrs: WHOLE },
    ],
    series: [{}, ...series],
  }, data, body);
  plots.push(made);
}

function fitCharts() {
  for (const made of plots) made.setSize({ width: Math.max(220, made.root.parentNode.clientWidth), height: made.height });
}
