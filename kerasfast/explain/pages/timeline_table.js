/** What stands beside the lanes: the highest classes of the moment, the tip, the table of segments. */

/** The highest classes of every head at a moment. */
class Now {
  static ROWS = 3;

  constructor(heads) {
    this.heads = heads.filter((head) => head.lanes.some((lane) => lane.values));
    this.rows = this.heads.map((head) => {
      const rows = head.lanes.slice(0, Now.ROWS).map(() => {
        const [label, bar, score] = [make("bdi"), make("i", "bar"), make("span", "number")];
        return { label, bar, score, element: make("div", "now-row", label, make("span", "gauge", bar), score) };
      });
      document.getElementById("now").append(
        make("div", "now-head", make("h3", "", head.name), ...rows.map((row) => row.element)));
      return rows;
    });
  }

  show(index, seconds) {
    document.getElementById("now-time").textContent = clock(seconds);
    this.heads.forEach((head, place) => {
      const highest = head.lanes.filter((lane) => lane.values);
      highest.sort((one, other) => scoreOf(other, index) - scoreOf(one, index));
      this.rows[place].forEach((row, rank) => {
        const lane = highest[rank];
        row.element.hidden = !lane || index < 0;
        if (row.element.hidden) return;
        const score = scoreOf(lane, index);
        row.label.textContent = row.label.title = lane.label;
        row.score.textContent = shortScore(score);
        row.bar.style.width = `${score * 100}%`;
        row.element.classList.toggle("above", isSeen(lane, index));
        row.element.classList.toggle("annotated", Boolean(at(lane.truth, seconds)));
      });
    });
  }
}

/** What a lane says at a point, beside the pointer or, for the keyboard, beside the cursor. */
class Tip {
  constructor(windows) {
    this.windows = windows;
    this.element = document.getElementById("tip");
  }

  /**
   * Shows class, time and score, right of `x` and under `below`, or over `above` where there is no room: it must not
   * cover its own lane. All in pixels of the window. Without a lane it shows the time alone.
   */
  show(lane, seconds, x, below, above) {
    const index = this.windows.at(seconds);
    const lines = lane ? this.#lines(lane, index, seconds) : [make("b", "number", clock(seconds))];
    const { element } = this;
    element.replaceChildren(...lines);
    element.hidden = false;
    const { width, height } = element.getBoundingClientRect();
    const left = Math.min(Math.max(x + 14, 4), innerWidth - width - 4);
    const top = below + height > innerHeight ? above - height : below;
    element.style.transform = `translate(${Math.round(left)}px, ${Math.round(Math.max(top, 4))}px)`;
  }

  hide() {
    this.element.hidden = true;
  }

  #lines(lane, index, seconds) {
    const lines = [make("b", "", make("bdi", "", lane.label))];
    const score = scoreOf(lane, index);
    if (score !== null) {
      const window = `${clock(this.windows.starts[index])} – ${clock(this.windows.ends[index])}`;
      lines.push(make("span", "number", `window ${window}`));
      const threshold = lane.threshold === null ? "" : `, threshold ${shortScore(lane.threshold)}`;
      lines.push(make("span", "number", `score ${shortScore(score)}${threshold}`));
    }
    for (const [kind, word] of [["seen", "seen"], ["truth", "annotated"]]) {
      const segment = at(lane[kind], seconds);
      if (segment) lines.push(make("span", `number ${kind}`, `${word} ${clock(segment.start)} – ${clock(segment.end)}`));
    }
    return lines;
  }
}

/** Every segment as a row; its start is a button that goes there. */
class SegmentTable {
  static PAGE = 100;

  constructor(timeline, onSeek) {
    this.timeline = timeline;
    this.onSeek = onSeek;
    this.body = document.getElementById("segments");
    this.more = document.getElementById("more-segments");
    this.more.addEventListener("click", () => {
      const first = this.body.rows.length;
      this.#append();
      this.body.rows[first]?.querySelector("button").focus();
    });
  }

  /** Lists the segments of lanes that `wanted` lets through. */
  show(wanted) {
    this.found = this.timeline.segments.filter((segment) => wanted(segment.lane));
    this.body.replaceChildren();
    this.#append();
  }

  #append() {
    const first = this.body.rows.length;
    const rows = this.found.slice(first, first + SegmentTable.PAGE);
    this.body.append(...rows.map((segment) => this.#row(segment)));
    this.more.hidden = this.body.rows.length === this.found.length;
    this.#describe();
  }

  #row({ lane, kind, start, end, score }) {
    const go = make("button", "go", clock(start));
    go.type = "button";
    go.setAttribute("aria-label", `Go to ${clock(start)}, ${lane.label}`);
    go.addEventListener("click", () => this.onSeek(start));
    const source = make("small", kind, kind === "truth" ? `${lane.head}, annotated` : lane.head);
    const cells = [clock(end), kind === "truth" ? "" : shortScore(score)].map((text) => make("td", "number", text));
    return make("tr", "", make("td", "", make("bdi", "", lane.label), " ", source), make("td", "number", go), ...cells);
  }

  #describe() {
    const { omitted, segments } = this.timeline;
    const rows = this.body.rows.length;
    const words = [];
    if (!segments.length) words.push("No class was seen in any window.");
    else if (!this.found.length) words.push("No segment of these classes.");
    else words.push(`${rows === this.found.length ? rows : `${rows} of ${this.found.length}`} segments; a time under From goes there.`);
    if (omitted) words.push(`${omitted} more, of the lowest scores, are left out of this page.`);
    document.getElementById("segments-caption").textContent = words.join(" ");
  }
}
