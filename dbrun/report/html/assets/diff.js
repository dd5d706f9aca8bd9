// Differences of two texts, word by word.

const MOST_CELLS = 4_000_000;

function words(text) { return text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) || []; }

// Pieces [kind, text]: " " is in both, "-" in the old text only, "+" in the new one only.
function wordDiff(before, after) {
  if (before === after) return [[" ", before]];
  const old = words(before), fresh = words(after);
  let start = 0, oldEnd = old.length, freshEnd = fresh.length;
  while (start < oldEnd && start < freshEnd && old[start] === fresh[start]) start++;
  while (oldEnd > start && freshEnd > start && old[oldEnd - 1] === fresh[freshEnd - 1]) { oldEnd--; freshEnd--; }
  const pieces = [];
  const put = (kind, text) => {
    if (!text) return;
    const last = pieces[pieces.length - 1];
    if (last && last[0] === kind) last[1] += text; else pieces.push([kind, text]);
  };
  put(" ", old.slice(0, start).join(""));
  between(old.slice(start, oldEnd), fresh.slice(start, freshEnd), put);
  put(" ", old.slice(oldEnd).join(""));
  return pieces;
}

// The longest common subsequence; texts too long for its table are told as replaced.
function between(old, fresh, put) {
  const rows = old.length, columns = fresh.length, width = columns + 1;
  if (rows * columns > MOST_CELLS || !rows || !columns) {
    put("-", old.join("")); put("+", fresh.join(""));
    return;
  }
  const common = new Uint16Array((rows + 1) * width);
  for (let i = rows - 1; i >= 0; i--) {
    for (let j = columns - 1; j >= 0; j--) {
      common[i * width + j] = old[i] === fresh[j]
        ? common[(i + 1) * width + j + 1] + 1
        : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
    }
  }
  let i = 0, j = 0;
  while (i < rows && j < columns) {
    if (old[i] === fresh[j]) { put(" ", old[i++]); j++; }
    else if (common[(i + 1) * width + j] >= common[i * width + j + 1]) put("-", old[i++]);
    else put("+", fresh[j++]);
  }
  put("-", old.slice(i).join("")); put("+", fresh.slice(j).join(""));
}

function diffNode(before, after) {
  const node = element("bdi", { dir: "auto" });
  for (const [kind, text] of wordDiff(before, after)) {
    if (kind === " ") addText(node, text);
    else node.append(addText(element(kind === "-" ? "del" : "ins"), text));
  }
  return node;
}
