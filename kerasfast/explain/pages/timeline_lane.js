/** A class over time: bars as high and as dark as its scores, its threshold, and beneath them its segments. */
class Lane {
  static BARS = 26;
  static MARK = 5;
  static GAP = 2;

  constructor(data, kinds) {
    this.data = data;
    this.kinds = kinds; // which rows of segments: "seen", "truth"
    this.height = Lane.BARS + kinds.length * (Lane.MARK + Lane.GAP);
    this.canvas = make("canvas");
    this.canvas.style.height = `${this.height}px`;
    this.track = make("div", "track", this.canvas);
    setAttributes(this.track, { role: "slider", tabindex: -1, "aria-valuemin": 0, "aria-label": this.#name() });
    const peak = data.scored ? shortScore(data.peak) : "–";
    const name = make("div", "lane-name", make("bdi", "", data.label), make("span", "number", peak));
    name.firstChild.title = data.label;
    name.lastChild.title = data.scored ? "highest score" : "the model does not know this class";
    this.element = make("div", "lane", name, this.track);
  }

  #name() {
    return `${this.data.label}, ${this.data.head}`;
  }

  /** Draws what the view shows, one column a pixel of the screen: the highest of the scores that fall into it. */
  draw(windows, view, look) {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.max(Math.round(this.track.clientWidth * ratio), 1);
    this.canvas.width = width; // which clears it too
    this.canvas.height = Math.round(this.height * ratio);
    const context = this.canvas.getContext("2d");
    const bars = Math.round(Lane.BARS * ratio);
    context.fillStyle = look.track;
    context.fillRect(0, 0, width, bars);
    if (this.data.values) this.#drawScores(context, windows, view, look, width, bars);
    this.kinds.forEach((kind, row) => {
      const top = (Lane.BARS + Lane.GAP + row * (Lane.MARK + Lane.GAP)) * ratio;
      this.#drawSegments(context, view, look, kind, width, top, Lane.MARK * ratio);
    });
  }

  /** Gives the memory of the picture back. */
  clear() {
    this.canvas.width = this.canvas.height = 0;
  }

  #drawScores(context, windows, view, look, width, bars) {
    const { data } = this;
    const columns = columnsOf(data.values, windows, view, width);
    const top = look.stretch ? data.peak || 1 : 1; // the score that fills the lane
    for (let from = 0, to; from < width; from = to) {
      const value = columns[from];
      for (to = from + 1; to < width && columns[to] === value; ) to++;
      if (value < 0) continue;
      const share = ((value / 255) * data.peak) / top;
      const height = Math.max(Math.round(share * bars), 1);
      context.fillStyle = look.ramp[Math.round(share * (look.ramp.length - 1))];
      context.fillRect(from, bars - height, to - from, height);
    }
    if (data.threshold === null || data.threshold > top) return;
    const y = Math.min(Math.max(Math.round((1 - data.threshold / top) * bars), 0), bars - 1);
    const dash = Math.max(Math.round(bars / 6), 1);
    // Dashes of two colours are seen on every bar.
    for (let x = 0; x < width; x += dash) {
      context.fillStyle = (x / dash) % 2 ? look.track : look.threshold;
      context.fillRect(x, y, dash, Math.max(Math.round(bars / Lane.BARS), 1));
    }
  }

  #drawSegments(context, view, look, kind, width, top, height) {
    context.fillStyle = look[kind];
    for (const { start, end } of this.data[kind]) {
      if (end < view.start || start > view.end) continue;
      const left = Math.max(view.share(start) * width, 0);
      const right = Math.min(view.share(end) * width, width);
      context.fillRect(left, top, Math.max(right - left, 2), height);
    }
  }

  /** Tells those who do not see the lane where it stands. */
  describe(index, seconds, duration) {
    const score = scoreOf(this.data, index);
    const words = [clock(seconds)];
    if (score !== null) words.push(`score ${shortScore(score)}`, isSeen(this.data, index) ? "seen" : "not seen");
    if (at(this.data.truth, seconds)) words.push("annotated");
    setAttributes(this.track, {
      "aria-valuemax": duration.toFixed(1), "aria-valuenow": seconds.toFixed(1), "aria-valuetext": words.join(", "),
    });
  }
}

/** For each pixel the highest value of its windows, -1 where there is none. */
function columnsOf(values, windows, view, width) {
  const columns = new Int16Array(width).fill(-1);
  const scale = width / view.span;
  const last = windows.at(view.end);
  for (let index = Math.max(windows.at(view.start), 0); index <= last; index++) {
    const from = Math.max(Math.floor((windows.from[index] - view.start) * scale), 0);
    const to = Math.min(Math.max(Math.ceil((windows.to[index] - view.start) * scale), from + 1), width);
    for (let column = from; column < to; column++) {
      if (values[index] > columns[column]) columns[column] = values[index];
    }
  }
  return columns;
}

/** The segment of a list in which a time lies. */
function at(segments, seconds) {
  return segments.find(({ start, end }) => start <= seconds && seconds <= end);
}

function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

/** Colours of the scheme that the system asks for. */
function readLook(ramps, stretch) {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  return {
    ramp: dark ? ramps.dark : ramps.light,
    track: colour("--sunken"), threshold: colour("--threshold"), seen: colour("--accent"), truth: colour("--truth"),
    stretch,
  };
}
