// Texts on the page. Everything that comes from records goes through here, as text nodes only.

const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]/;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// Adds text to a node; what cannot be seen, or turns around what follows, is shown by its number.
function addText(node, text) {
  if (!UNSEEN.test(text)) { node.append(text); return node; }
  let plain = "";
  for (const character of text) {
    if (character.length === 2 || !UNSEEN.test(character)) { plain += character; continue; }
    if (plain) node.append(plain);
    plain = "";
    const code = character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    node.append(element("span", { class: "odd", title: "a character that cannot be seen" }, `U+${code}`));
  }
  if (plain) node.append(plain);
  return node;
}

// A text in a place of its own: its direction ends where it ends.
function isolated(text, words = []) {
  const node = element("bdi", { dir: "auto" });
  return words.length ? addMarked(node, text, words) : addText(node, text);
}

function addMarked(node, text, words) {
  const pattern = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  let end = 0;
  for (const found of text.matchAll(new RegExp(pattern, "giu"))) {
    if (!found[0]) continue;
    addText(node, text.slice(end, found.index));
    node.append(addText(element("mark"), found[0]));
    end = found.index + found[0].length;
  }
  return addText(node, text.slice(end));
}

function isTree(value) { return value !== null && typeof value === "object"; }

function shown(value) {
  if (value === null || value === undefined) return "";
  return isTree(value) ? JSON.stringify(value, null, 2) : String(value);
}

// One line of a value, as much as a cell can show; near the first of the words, if there are any.
function oneLine(value, words = []) {
  let text = isTree(value) ? JSON.stringify(value) : shown(value);
  if (words.length && text.length > 80) {
    const low = text.toLowerCase();
    const places = words.map((word) => low.indexOf(word)).filter((place) => place >= 0);
    const place = places.length ? Math.min(...places) : 0;
    if (place > 60) text = "…" + text.slice(place - 20);
  }
  return text.slice(0, 300).replace(/\s+/g, " ");
}

const number = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const rough = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const fine = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });

function count(amount, noun) { return `${number.format(amount)} ${noun}${amount === 1 ? "" : "s"}`; }
function figure(value) { return typeof value === "number" ? fine.format(value) : ""; }
function duration(value) { return value < 1 ? `${fine.format(Math.round(value * 1000))} ms` : `${fine.format(value)} s`; }
function scoreText(value) {
  if (value === true) return "✓";
  if (value === false) return "✗";
  return typeof value === "number" ? fine.format(value) : "–";
}
