/** Which part of the video the lanes show, and how time and pixels belong together. */
class View {
  constructor(duration) {
    this.duration = duration;
    this.start = 0;
    this.end = duration;
  }

  get span() {
    return this.end - this.start;
  }

  get whole() {
    return this.span >= this.duration;
  }

  /** Where a time lies, 0 at the left end and 1 at the right one. */
  share(seconds) {
    return this.span > 0 ? (seconds - this.start) / this.span : 0;
  }

  /** The time at a share of the width, within the video. */
  seconds(share) {
    return Math.min(Math.max(this.start + share * this.span, 0), this.duration);
  }

  /** Shows `span` seconds from `start` on, as far as the video reaches; a second at least. */
  show(start, span) {
    const length = Math.min(Math.max(span, 1), this.duration);
    this.start = Math.min(Math.max(start, 0), this.duration - length);
    this.end = this.start + length;
  }

  /** Changes the length of what is shown by a factor; `around` stays where it is. */
  zoom(factor, around) {
    const share = Math.min(Math.max(this.share(around), 0), 1);
    const span = Math.min(Math.max(this.span * factor, 1), this.duration);
    this.show(around - share * span, span);
  }

  /** Turns the page to a time that is out of view; whether it had to. */
  reveal(seconds) {
    if (seconds >= this.start && seconds <= this.end) return false;
    this.show(seconds - this.span * 0.1, this.span);
    return true;
  }

  /** A longer video than its windows: its end is blank. */
  extend(duration) {
    if (duration <= this.duration) return false;
    const whole = this.whole;
    this.duration = duration;
    if (whole) this.end = duration;
    return true;
  }
}

const TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];

/** Times for the axis, at round distances and at most one in `pixels` of `width`. */
function ticksOf(view, width, pixels = 76) {
  const least = (view.span * pixels) / Math.max(width, 1);
  const step = TICKS.find((tick) => tick >= least) ?? Math.ceil(least / 14400) * 14400;
  const ticks = [];
  for (let count = Math.ceil(view.start / step - 1e-6); count * step <= view.end + 1e-6; count++) {
    ticks.push({ seconds: count * step, text: clock(count * step, step < 1 ? 1 : 0) });
  }
  return ticks;
}

/** Draws the axis; labels that would leave it are left out. */
function drawAxis(axis, view) {
  const width = axis.clientWidth;
  const marks = ticksOf(view, width).map(({ seconds, text }) => {
    const left = view.share(seconds) * width;
    const mark = make("span", "tick", make("span", "", left + text.length * 8 < width ? text : ""));
    mark.style.left = `${left}px`;
    return mark;
  });
  axis.replaceChildren(...marks);
}
