/** The values of the page as the other scripts use them. */

/** Reads the JSON of the page; see `page_data` in page_data.py for what it holds. */
function readTimeline() {
  const data = JSON.parse(document.getElementById("page-data").textContent);
  const scores = rowsOf(data.scores, data.starts.length);
  const decisions = rowsOf(data.decisions, Math.ceil(data.starts.length / 8));
  let row = 0;
  const lanes = data.lanes.map((lane, number) => {
    const [values, bits] = lane.scored ? [scores(row), decisions(row++)] : [null, null];
    return { ...lane, number, values, bits, seen: [], truth: [] };
  });
  const segments = [];
  for (const kind of ["seen", "truth"]) {
    for (const [number, start, end, score] of data[kind]) {
      const segment = { lane: lanes[number], kind, start, end, score };
      segment.lane[kind].push(segment);
      segments.push(segment);
    }
  }
  segments.sort((one, other) => one.start - other.start);
  const windows = new Windows(data.starts, data.ends);
  return { ...data, lanes, segments, windows, heads: headsOf(data, lanes) };
}

/** The scored windows. Where they overlap, each stands for the time to which its middle is the nearest. */
class Windows {
  constructor(starts, ends) {
    this.starts = starts;
    this.ends = ends;
    this.middles = starts.map((start, index) => (start + ends[index]) / 2);
    // Within the overlap: the last window may be shorter, and half-way between the middles before it begins.
    const between = this.middles.map((middle, index) => {
      const bounds = [starts[index], ends[index - 1]];
      return Math.min(Math.max((middle + this.middles[index - 1]) / 2, Math.min(...bounds)), Math.max(...bounds));
    });
    // Never outside of the window itself: where a camera dropped frames, nothing was seen.
    this.from = starts.map((start, index) => (index ? Math.max(start, between[index]) : start));
    this.to = ends.map((end, index) => (index + 1 < ends.length ? Math.min(end, between[index + 1]) : end));
  }

  get length() {
    return this.starts.length;
  }

  /** The window that stands for a time, in a gap the one after it; -1 without windows. */
  at(seconds) {
    let low = 0;
    let high = this.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.to[middle] <= seconds) low = middle + 1;
      else high = middle;
    }
    return high;
  }
}

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
  return bytes;
}

/** A function that gives the rows of bytes of this length. */
function rowsOf(base64, length) {
  const bytes = bytesOf(base64);
  return (row) => bytes.subarray(row * length, (row + 1) * length);
}

/** Heads with their lanes, those that only the annotations know among them. */
function headsOf(data, lanes) {
  const names = [...new Set(lanes.map((lane) => lane.head))];
  const known = new Map(data.heads.map((head) => [head.name, head]));
  return names.map((name) => ({ leftOut: 0, ...known.get(name), name, lanes: lanes.filter((lane) => lane.head === name) }));
}

/** Score of a lane in a window, null where it has none. */
function scoreOf(lane, index) {
  return lane.values && index >= 0 ? (lane.values[index] / 255) * lane.peak : null;
}

/** Whether the class is in the answer of a window. */
function isSeen(lane, index) {
  return lane.bits !== null && Boolean((lane.bits[index >> 3] >> (index & 7)) & 1);
}

/** Seconds as people read them: 0:04.2, 12:30.0, 1:05:00.0. */
function clock(seconds, digits = 1) {
  const unit = 10 ** digits;
  const whole = Math.round(Math.max(seconds, 0) * unit);
  const rest = ((whole % (60 * unit)) / unit).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  const minutes = Math.floor(whole / (60 * unit));
  const hours = Math.floor(minutes / 60);
  return hours ? `${hours}:${String(minutes % 60).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** Scores with as many digits as tell them apart. */
function shortScore(score) {
  return score === null ? "" : score < 0.0995 && score > 0 ? score.toFixed(3) : score.toFixed(2);
}

/** An element with a class and what is in it. Text stays text, whatever it says. */
function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}
