// The records: read from the page block by block, searched and grouped in slices of time.

const about = JSON.parse(document.getElementById("about").textContent);
const records = [];
const groups = new Map(); // one row of the source (and repeat) → the places of its records
const SLICE = 12; // milliseconds of work before the page may answer

async function unpacked(script) {
  if (script.type === "application/json") return JSON.parse(script.textContent);
  const binary = atob(script.textContent);
  const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

async function load(progress) {
  const blocks = [...document.querySelectorAll("script.rows")];
  const seen = new Map();
  for (const [done, block] of blocks.entries()) {
    for (const record of await unpacked(block)) take(record, seen);
    block.remove(); // its text is not needed any more
    if (done % 8 === 7) { progress((done + 1) / blocks.length); await pause(); }
  }
}

// Rows that are equal share an id: the first of one side goes with the first of another.
function take(record, seen) {
  const name = JSON.stringify([record.id, record.repeat ?? 0]);
  const mine = `${record.side} ${name}`;
  const nth = seen.get(mine) || 0;
  seen.set(mine, nth + 1);
  const key = nth ? `${nth} ${name}` : name;
  const group = groups.get(key);
  record.group = key;
  if (group) group.push(records.length); else groups.set(key, [records.length]);
  records.push(record);
}

function pause() { return new Promise((resume) => setTimeout(resume)); }

// Labels without what all of them have in common: `prompt=brief,endpoint.name=small` → `small`.
const shortLabels = (() => {
  const parts = about.sides.map((side) => side.label.split(/, ?| · /));
  const kept = parts.map((mine) => mine.filter((part) => !parts.every((theirs) => theirs.includes(part))).join(","));
  const values = kept.map((label) => label.replace(/^[^=,]+=(?=[^=,]+$)/, ""));
  for (const short of [values, kept]) if (new Set(short).size === short.length && short.every(Boolean)) return short;
  return about.sides.map((side) => side.label);
})();
function shortLabel(side) { return shortLabels[side]; }

// The records of the same row, by side.
function sidesOf(record) {
  const found = new Map();
  for (const place of groups.get(record.group)) found.set(records[place].side, records[place]);
  return found;
}

function latencyOf(record) { return record.timing ? record.timing.latency : undefined; }
function tokensOf(record) { return record.usage ? record.usage.output_tokens ?? record.usage.total_tokens : undefined; }
function scoreOf(record, name) {
  const value = record.scores && record.scores[name] ? record.scores[name].value : undefined;
  return value === null ? undefined : value;
}
function errorOf(record) { return isTree(record.error) ? record.error : {}; }
function answerOf(record) {
  return record.status === "ok" ? record.output : errorOf(record).message ?? errorOf(record).class ?? "";
}

function holds(record, wanted) {
  const parts = [record.id, record.variant, record.error && `${errorOf(record).class} ${errorOf(record).message}`];
  if (record.output !== null) parts.push(isTree(record.output) ? JSON.stringify(record.output) : String(record.output));
  if (record.row) for (const value of Object.values(record.row)) parts.push(isTree(value) ? JSON.stringify(value) : String(value));
  const text = parts.join("\n").toLowerCase();
  return wanted.every((word) => text.includes(word));
}

// The places among `places` that `wanted` takes; null if a newer question came meanwhile.
async function chosen(places, wanted, isCurrent) {
  const found = [];
  let since = performance.now();
  for (const place of places) {
    if (wanted(records[place])) found.push(place);
    if (performance.now() - since > SLICE) {
      await pause();
      if (!isCurrent()) return null;
      since = performance.now();
    }
  }
  return found;
}
