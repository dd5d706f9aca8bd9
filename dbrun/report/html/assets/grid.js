// The table of records: only the lines in sight are in the page, whatever their number.

const LINE = 36, HEAD = 38, SPARE = 8;

class Grid {
  constructor(place, open) {
    this.place = place;
    this.open = open;
    this.columns = [];
    this.rows = [];
    this.cursor = 0;
    this.sort = null; // {name, down}
    this.words = [];
    this.head = element("div", { class: "head", role: "row", "aria-rowindex": "1" });
    this.body = element("div", { role: "rowgroup" });
    this.body.style.position = "relative";
    place.replaceChildren(this.head, this.body);
    place.addEventListener("scroll", () => this.later());
    place.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.later()).observe(place);
  }

  setColumns(columns) {
    this.columns = columns;
    if (this.sort && !columns.some((column) => column.name === this.sort.name)) this.sort = null;
    this.place.style.setProperty("--columns", columns.map((column) => column.width).join(" "));
    this.place.style.setProperty("--least", `${columns.reduce((sum, column) => sum + column.least, 0)}px`);
    this.place.setAttribute("aria-colcount", columns.length);
    this.drawHead();
  }

  drawHead() {
    this.head.replaceChildren(...this.columns.map((column) => {
      const mine = this.sort && this.sort.name === column.name;
      return element("div", {
        role: "columnheader", class: column.number && "number",
        "aria-sort": mine ? (this.sort.down ? "descending" : "ascending") : "none",
      }, addText(element("button", { type: "button", onclick: () => this.sortBy(column), title: `Sort by ${column.name}` }), column.name));
    }));
  }

  // Press once for up (numbers: down first), again for the other way, a third time for the order of the file.
  sortBy(column) {
    const first = Boolean(column.number);
    if (!this.sort || this.sort.name !== column.name) this.sort = { name: column.name, down: first };
    else if (this.sort.down === first) this.sort.down = !first;
    else this.sort = null;
    this.drawHead();
    this.place.dispatchEvent(new CustomEvent("sorted"));
    this.head.children[this.columns.indexOf(column)].firstChild.focus({ preventScroll: true });
  }

  sorted(rows) {
    if (!this.sort) return rows;
    const column = this.columns.find((one) => one.name === this.sort.name);
    const way = this.sort.down ? -1 : 1;
    const keys = new Map(rows.map((row) => [row, column.key(records[row])]));
    const compare = new Intl.Collator(undefined, { numeric: true }).compare;
    return [...rows].sort((one, other) => {
      const a = keys.get(one), b = keys.get(other);
      const noA = a === undefined || a === null || a === "", noB = b === undefined || b === null || b === "";
      if (noA || noB) return noA === noB ? one - other : noA ? 1 : -1; // what has none comes last
      return way * (typeof a === "number" && typeof b === "number" ? a - b : compare(String(a), String(b))) || one - other;
    });
  }

  setRows(rows, words, keep) {
    this.rows = rows;
    this.words = words;
    const at = keep === undefined ? -1 : rows.indexOf(keep);
    this.cursor = at < 0 ? 0 : at;
    this.body.style.height = `${Math.max(rows.length * LINE, 1)}px`;
    this.place.setAttribute("aria-rowcount", rows.length + 1);
    this.drawn = null;
    if (at >= 0) this.reveal(); else this.place.scrollTop = 0;
    this.draw();
  }

  later() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.draw(); });
  }

  draw() {
    const top = this.place.scrollTop;
    const from = Math.max(0, Math.floor(top / LINE) - SPARE);
    const to = Math.min(this.rows.length, Math.ceil((top + this.place.clientHeight) / LINE) + SPARE);
    const now = `${from} ${to} ${this.cursor}`;
    if (this.drawn === now) return;
    this.drawn = now;
    if (!this.rows.length) {
      this.body.replaceChildren(element("div", { class: "empty" }, records.length ? "No record is like that." : "There are no records."));
      this.place.removeAttribute("aria-activedescendant");
      return;
    }
    const lines = [];
    for (let at = from; at < to; at++) lines.push(this.line(at));
    this.body.replaceChildren(...lines);
    this.place.setAttribute("aria-activedescendant", `line-${this.cursor}`);
  }

  line(at) {
    const record = records[this.rows[at]];
    const line = element("div", {
      class: "line", role: "row", id: `line-${at}`, "aria-rowindex": at + 2, "aria-selected": String(at === this.cursor),
      onclick: () => { this.cursor = at; this.draw(); this.open(this.rows[at]); },
    }, ...this.columns.map((column) => element("div", { role: "gridcell", class: column.number && "number" }, column.cell(record, this.words))));
    line.style.top = `${at * LINE}px`;
    return line;
  }

  get current() { return this.rows[this.cursor]; }

  move(by) {
    if (!this.rows.length) return;
    this.cursor = Math.min(this.rows.length - 1, Math.max(0, this.cursor + by));
    this.reveal();
    this.draw();
  }

  reveal() {
    const top = this.cursor * LINE, height = this.place.clientHeight - HEAD - 16;
    if (top < this.place.scrollTop) this.place.scrollTop = top;
    else if (top + LINE > this.place.scrollTop + height) this.place.scrollTop = top + LINE - height;
  }

  key(event) {
    if (event.target !== this.place || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.place.clientHeight / LINE) - 2);
    const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in steps) this.move(steps[event.key]);
    else if (event.key === "Enter" || event.key === " ") { if (this.rows.length) this.open(this.current); }
    else return;
    event.preventDefault();
  }
}
