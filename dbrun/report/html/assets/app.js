// The page at work: what is asked of it, by mouse and by keyboard.

const by = (id) => document.getElementById(id);
const PRINTED = 200;
const scoreNames = [];
let question = 0; // the number of the newest search

const grid = new Grid(by("grid"), (place) => openDetail(place));

// --- colours ------------------------------------------------------------------------------------

const THEMES = ["auto", "light", "dark"];
const system = matchMedia("(prefers-color-scheme: dark)");
let theme = remembered();

function remembered() {
  try { return THEMES.includes(localStorage.getItem("dbrun-theme")) ? localStorage.getItem("dbrun-theme") : "auto"; }
  catch { return "auto"; } // a page from a file may have no storage
}

function paint() {
  const dark = theme === "dark" || (theme === "auto" && system.matches);
  document.documentElement.toggleAttribute("data-dark", dark);
  by("theme").textContent = theme[0].toUpperCase() + theme.slice(1);
  for (const dot of document.querySelectorAll(".dot[data-side]")) dot.style.background = colour(Number(dot.dataset.side));
  if (isLoaded) drawCharts(by("charts"), chooseClass);
}

function nextTheme() {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  try { localStorage.setItem("dbrun-theme", theme); } catch { /* then it lasts as long as the page */ }
  paint();
  if (!by("detail").hidden) openDetail(opened);
}

// --- columns ------------------------------------------------------------------------------------

function against() { return by("against").value === "" ? null : Number(by("against").value); }
function chosenSide() { return by("side").value === "" ? null : Number(by("side").value); }

function columnsNow() {
  const many = about.sides.length > 1, base = against();
  const columns = [
    { name: "id", width: "minmax(110px, 0.8fr)", least: 110, key: (record) => record.id, cell: (record, words) => isolated(oneLine(record.id), words) },
  ];
  if (records.some((record) => record.repeat)) columns.push({ name: "repeat", number: true, width: "80px", least: 80, key: (record) => record.repeat, cell: (record) => figure(record.repeat) });
  columns.push(base === null
    ? { name: "status", width: "96px", least: 96, key: (record) => record.status, cell: (record) => state(record.status) }
    : { name: "change", width: "110px", least: 110, key: (record) => change(record, base), cell: (record) => state(change(record, base)) });
  if (many) columns.push({ name: "variant", width: "minmax(120px, 0.9fr)", least: 120, key: (record) => shortLabel(record.side), cell: (record) => sideCell(record) });
  columns.push({ name: "output", width: "minmax(220px, 4fr)", least: 220, key: (record) => shown(answerOf(record)).slice(0, 80), cell: (record, words) => outputCell(record, words, base) });
  for (const name of scoreNames.slice(0, 5)) {
    columns.push({ name, number: true, width: "minmax(84px, max-content)", least: 84, key: (record) => scoreKey(record, name, base), cell: (record) => scoreCell(record, name, base) });
    columns[columns.length - 1].width = "96px";
  }
  for (const [name, read, say] of [["tokens", tokensOf, figure], ["cost", (record) => record.cost, (value) => rough.format(value)], ["latency", latencyOf, duration]]) {
    if (records.some((record) => typeof read(record) === "number")) {
      columns.push({ name, number: true, width: "88px", least: 88, key: read, cell: (record) => typeof read(record) === "number" ? say(read(record)) : "" });
    }
  }
  return columns;
}

function sideCell(record) {
  const dot = element("i", { class: "dot" });
  dot.style.background = colour(record.side);
  return element("span", {}, dot, isolated(shortLabel(record.side)));
}

function other(record, base) { return sidesOf(record).get(base); }

function change(record, base) {
  const before = other(record, base);
  if (!before) return "new";
  if (before === record) return "base";
  if (before.status !== record.status) return record.status === "ok" ? "better" : before.status === "ok" ? "worse" : "changed";
  return shown(answerOf(before)) === shown(answerOf(record)) ? "same" : "changed";
}

function outputCell(record, words, base) {
  const before = base === null ? null : other(record, base);
  if (before && before !== record && before.status === "ok" && record.status === "ok" && !words.length) return diffLine(before, record);
  const cell = isolated(oneLine(answerOf(record), words), words);
  if (record.status === "error") cell.className = "failure";
  return cell;
}

// The difference in one line, from shortly before the first change.
function diffLine(before, record) {
  const old = oneLine(before.output), fresh = oneLine(record.output);
  if (old === fresh) return isolated(fresh);
  let same = 0;
  while (same < old.length && old[same] === fresh[same]) same++;
  const skip = same > 60 ? fresh.lastIndexOf(" ", same - 30) + 1 : 0;
  const node = diffNode(old.slice(skip), fresh.slice(skip));
  if (skip) node.prepend("…");
  return node;
}

function scoreKey(record, name, base) {
  const mine = scoreOf(record, name);
  if (base === null) return mine === undefined ? undefined : Number(mine);
  const before = other(record, base), theirs = before && scoreOf(before, name);
  return mine === undefined || theirs === undefined ? undefined : Number(mine) - Number(theirs);
}

function scoreCell(record, name, base) {
  const mine = scoreText(scoreOf(record, name));
  const gain = base === null ? undefined : scoreKey(record, name, base);
  if (!gain) return mine === "–" ? "" : mine;
  const good = (gain > 0) === (about.better[name] !== "lower");
  return element("span", { class: good ? "state better" : "state worse", title: `${gain > 0 ? "+" : ""}${fine.format(gain)}` }, `${mine} ${gain > 0 ? "▲" : "▼"}`);
}

// --- what is shown ------------------------------------------------------------------------------

function wordsNow() { return by("search").value.toLowerCase().split(/\s+/).filter(Boolean); }

async function show(keep) {
  const mine = ++question;
  const words = wordsNow(), status = by("status").value, kind = by("class").value, side = chosenSide(), base = against();
  const wanted = (record) =>
    (side === null || record.side === side)
    && (base === null || record.side !== base || side === base)
    && (!status || (status === "differs" ? ["changed", "better", "worse", "new"].includes(change(record, base ?? 0)) : record.status === status))
    && (!kind || String(errorOf(record).class) === kind)
    && (!words.length || holds(record, words));
  const found = await chosen(records.keys(), wanted, () => mine === question);
  if (found === null || mine !== question) return;
  grid.setRows(grid.sorted(found), words, keep);
  const all = base === null ? records.length : found.length;
  by("found").textContent = found.length === all ? count(found.length, "record") : `${number.format(found.length)} of ${count(all, "record")}`;
  document.body.dataset.shown = String(mine);
}

function options(select, pairs) { select.replaceChildren(...pairs.map(([value, said]) => addText(element("option", { value }), said))); }

function fillControls() {
  const many = about.sides.length > 1;
  const statuses = new Set(records.map((record) => record.status));
  options(by("status"), [["", "every status"], ...["ok", "error", "filtered"].filter((one) => statuses.has(one)).map((one) => [one, one]), ...(many ? [["differs", "not the same"]] : [])]);
  const kinds = [...new Set(records.filter((record) => record.status === "error").map((record) => String(errorOf(record).class)))].sort();
  options(by("class"), [["", "every error"], ...kinds.map((kind) => [kind, kind])]);
  by("class").hidden = kinds.length < 2;
  const sides = about.sides.map((_, place) => [String(place), shortLabel(place)]);
  options(by("side"), [["", "every variant"], ...sides]);
  options(by("against"), [["", "–"], ...sides]);
  by("side").hidden = by("against-label").hidden = !many;
}

function chooseClass(kind) {
  by("status").value = "error";
  by("class").value = kind;
  show();
  by("grid").scrollIntoView({ block: "nearest" });
  by("grid").focus({ preventScroll: true });
}

// --- one record ---------------------------------------------------------------------------------

let opened = null;

function openDetail(place) {
  opened = place;
  showDetail(by("detail"), records[place], { against: against(), close: closeDetail, move: moveDetail });
  by("detail").focus({ preventScroll: true });
}

function closeDetail() {
  by("detail").hidden = true;
  opened = null;
  by("grid").focus({ preventScroll: true });
}

function moveDetail(by_) {
  grid.move(by_);
  openDetail(grid.current);
}

// --- keyboard -----------------------------------------------------------------------------------

const KEYS = [["/", "search"], ["↓ ↑, j k", "next, previous record"], ["Enter", "open the record"], ["Esc", "close, or clear the search"], ["c", "compare with the next variant"], ["t", "colours: auto, light, dark"], ["?", "this list"]];

function toggleHelp() {
  const help = by("help");
  help.hidden = !help.hidden;
  if (help.hidden) { by("grid").focus({ preventScroll: true }); return; }
  const list = element("dl", { class: "pairs" });
  for (const [keys, does] of KEYS) list.append(element("dt", {}, ...keys.split(/([ ,]+)/).map((key) => /[ ,]/.test(key) ? " " : element("kbd", {}, key))), element("dd", {}, does));
  help.replaceChildren(element("h2", {}, "Keyboard"), list, element("button", { type: "button", onclick: toggleHelp }, "Close"));
  help.focus();
}

function nextAgainst() {
  const select = by("against");
  if (about.sides.length < 2) return;
  select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
  compare();
}

function compare() {
  grid.setColumns(columnsNow());
  show(grid.current);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const isTyping = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName);
  if (event.key === "Escape") {
    if (!by("help").hidden) toggleHelp();
    else if (!by("detail").hidden) closeDetail();
    else if (by("search").value) { by("search").value = ""; show(grid.current); by("grid").focus({ preventScroll: true }); }
    else if (isTyping) by("grid").focus({ preventScroll: true });
    else return;
  } else if (isTyping) {
    if (event.target !== by("search") || !["Enter", "ArrowDown"].includes(event.key)) return;
    by("grid").focus({ preventScroll: true });
  } else if (event.key === "/") { if (!by("detail").hidden) closeDetail(); by("search").focus(); by("search").select(); }
  else if (event.key === "?") toggleHelp();
  else if (event.key === "t") nextTheme();
  else if (event.key === "c") nextAgainst();
  else if (!by("detail").hidden && ["j", "k", "ArrowRight", "ArrowLeft"].includes(event.key)) moveDetail(["j", "ArrowRight"].includes(event.key) ? 1 : -1);
  else if (by("detail").hidden && event.target === document.body && ["j", "k", "ArrowDown"].includes(event.key)) by("grid").focus();
  else return;
  event.preventDefault();
});

let typing = 0;
by("search").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => show(grid.current), 120); });
for (const id of ["status", "class", "side"]) by(id).addEventListener("change", () => {
  if (id === "status" && by("status").value !== "error") by("class").value = "";
  show(grid.current);
});
by("against").addEventListener("change", compare);
by("theme").addEventListener("click", nextTheme);
by("keys").addEventListener("click", toggleHelp);
by("grid").addEventListener("sorted", () => show()); // from the top: that is what sorting is for
system.addEventListener("change", paint);
let fitting = 0;
addEventListener("resize", () => { clearTimeout(fitting); fitting = setTimeout(fitCharts, 150); });

// --- paper --------------------------------------------------------------------------------------

addEventListener("beforeprint", () => {
  const rows = grid.rows.slice(0, PRINTED);
  const columns = grid.columns.filter((column) => ["id", "status", "change", "variant", "output", ...scoreNames].includes(column.name));
  const head = element("tr", {}, ...columns.map((column) => addText(element("th"), column.name)));
  const lines = rows.map((row) => element("tr", {}, ...columns.map((column) => element("td", {}, column.cell(records[row], [])))));
  const more = grid.rows.length - rows.length;
  by("printed").replaceChildren(element("h2", {}, "Records"), element("table", {}, element("thead", {}, head), element("tbody", {}, ...lines)), more > 0 ? element("p", {}, `… and ${count(more, "more record")}`) : "");
  document.documentElement.removeAttribute("data-dark");
  if (isLoaded) drawCharts(by("charts"), chooseClass);
});
addEventListener("afterprint", () => { by("printed").replaceChildren(); paint(); });

// --- begin --------------------------------------------------------------------------------------

let isLoaded = false;
paint();
load((share) => { by("found").textContent = `reading records … ${Math.floor(share * 100)} %`; }).then(async () => {
  const names = new Set();
  for (const record of records) if (isTree(record.scores)) for (const name of Object.keys(record.scores)) names.add(name);
  scoreNames.push(...names);
  isLoaded = true;
  fillControls();
  grid.setColumns(columnsNow());
  drawCharts(by("charts"), chooseClass);
  await show();
  if (about.left_out) document.querySelector(".records").prepend(element("p", { class: "note" }, `${count(about.left_out, "more record")} are counted above, but are too many for this page.`));
  document.body.dataset.ready = "yes";
}).catch((error) => {
  by("found").textContent = `the records cannot be read: ${error.message}; a browser of 2023 or later is needed`;
});
