/** The page: lanes, cursor, keyboard, pointer and filters, put together. */
class TimelinePage {
  constructor() {
    this.timeline = readTimeline();
    this.view = new View(this.timeline.duration);
    this.kinds = this.timeline.truth.length ? ["seen", "truth"] : ["seen"];
    this.onScreen = new Set();
    this.index = null; // the window at the cursor
    this.axis = document.getElementById("axis");
    this.cursors = [document.querySelector("#axis-rail .cursor")];
    this.tip = new Tip(this.timeline.windows);
    this.now = new Now(this.timeline.heads);
    this.table = new SegmentTable(this.timeline, (seconds) => this.seek(seconds));
    this.player = new Player((seconds) => this.showTime(seconds), (seconds) => this.extend(seconds));
    this.observer = new IntersectionObserver((entries) => this.#appear(entries), { rootMargin: "200px" });
    this.lanes = this.timeline.lanes.map((data) => new Lane(data, this.kinds));
    this.#build();
    this.#listen();
    this.#filter();
    this.#restyle();
    this.showTime(this.player.time);
    this.player.start();
  }

  // ------------------------------------------------------------------ time

  seek(seconds) {
    this.player.seek(Math.min(Math.max(seconds, 0), this.view.duration));
  }

  /** Moves the cursor; where a new window begins, what is said of the moment changes too. */
  showTime(seconds) {
    if (this.view.reveal(seconds)) this.#changeView();
    this.#moveCursors();
    const index = this.timeline.windows.at(seconds);
    this.now.show(index, seconds);
    setAttributes(this.axis, { "aria-valuenow": seconds.toFixed(1), "aria-valuetext": clock(seconds) });
    this.index = index;
    for (const lane of this.onScreen) lane.describe(index, seconds, this.view.duration);
  }

  /** A cursor is as wide as its rail: a share of its own width moves it, and nothing is laid out again. */
  #moveCursors() {
    const share = this.view.share(this.player.time);
    for (const cursor of this.cursors) cursor.style.transform = `translateX(${(share * 100).toFixed(3)}%)`;
  }

  extend(seconds) {
    if (this.view.extend(seconds)) this.#changeView();
  }

  /** To the window before or after; to its middle, which no rounding of the player puts into another. */
  #step(by) {
    const { windows } = this.timeline;
    if (!windows.length) return this.seek(this.player.time + by);
    const index = Math.min(Math.max(windows.at(this.player.time) + by, 0), windows.length - 1);
    this.seek(windows.middles[index]);
  }

  /** To the start of the segment before or after. */
  #jump(lane, by) {
    const starts = lane ? [...lane.data.seen, ...lane.data.truth] : this.timeline.segments;
    const margin = 0.05; // players round to a frame
    const times = starts.map(({ start }) => start).sort((one, other) => one - other);
    const { time } = this.player;
    const found = by > 0 ? times.find((start) => start > time + margin) : times.findLast((start) => start < time - margin);
    if (found !== undefined) this.seek(found);
  }

  // ------------------------------------------------------------------ lanes

  #build() {
    const box = document.getElementById("lanes");
    for (const head of this.timeline.heads) {
      head.title = make("small");
      const cursor = make("div", "cursor");
      this.cursors.push(cursor);
      const lanes = head.lanes.map((data) => this.lanes[data.number].element);
      const title = make("h2", "", make("bdi", "", head.name), " ", head.title);
      head.section = make("section", "head", title, make("div", "railed", ...lanes, make("div", "rail", cursor)));
      box.append(head.section);
    }
    if (!this.lanes.length) box.append(make("p", "muted", "No window was scored."));
    for (const lane of this.lanes) {
      lane.element.dataset.lane = lane.data.number;
      this.observer.observe(lane.element);
      this.#listenTo(lane.track, lane);
    }
    this.#listenTo(this.axis, null);
  }

  /** Draws lanes that come into view, and forgets the pictures of those that leave it. */
  #appear(entries) {
    for (const { target, isIntersecting } of entries) {
      const lane = this.lanes[target.dataset.lane];
      if (isIntersecting) {
        this.onScreen.add(lane);
        lane.draw(this.timeline.windows, this.view, this.look);
        lane.describe(this.index, this.player.time, this.view.duration);
      } else if (this.onScreen.delete(lane)) lane.clear();
    }
  }

  #draw() {
    this.drawing ??= requestAnimationFrame(() => {
      this.drawing = null;
      drawAxis(this.axis, this.view);
      for (const lane of this.onScreen) lane.draw(this.timeline.windows, this.view, this.look);
    });
  }

  #restyle() {
    this.look = readLook(this.timeline.ramps, document.getElementById("stretch").checked);
    const canvas = document.getElementById("legend-ramp");
    const context = canvas.getContext("2d");
    for (let x = 0; x < canvas.width; x++) {
      context.fillStyle = this.look.ramp[Math.floor((x / canvas.width) * this.look.ramp.length)];
      context.fillRect(x, 0, 1, canvas.height);
    }
    document.getElementById("legend-scale").textContent = this.look.stretch ? "score 0 to the lane's peak" : "score 0 to 1";
    this.#draw();
  }

  /** What gets the focus scrolls to a place beneath the deck, not behind it. */
  #clearDeck() {
    const deck = document.getElementById("deck");
    const height = getComputedStyle(deck).position === "sticky" ? deck.offsetHeight : 0;
    document.documentElement.style.setProperty("--deck", `${height + 8}px`);
  }

  #filter() {
    const show = document.getElementById("show").value;
    const words = document.getElementById("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = (lane) => words.every((word) => lane.label.toLowerCase().includes(word));
    let count = 0;
    for (const head of this.timeline.heads) {
      const shown = head.lanes.filter((lane, rank) => {
        // What was annotated is always of interest, and who looks for a class wants it whatever its rank.
        const wanted = words.length ? found(lane) : show === "all" || rank < Number(show) || lane.truth.length > 0;
        this.lanes[lane.number].element.hidden = !wanted;
        return wanted;
      });
      count += shown.length;
      head.section.hidden = !shown.length;
      head.title.textContent = this.#describeHead(head, shown.length);
    }
    document.getElementById("shown").textContent = `${count} of ${this.lanes.length} lanes`;
    this.table.show(found);
    this.#enter(this.visible.includes(this.active) ? this.active : this.visible[0]);
  }

  #describeHead({ lanes, leftOut, leftOutPeak }, shown) {
    const rest = leftOut ? `; ${leftOut} more never score above ${shortScore(leftOutPeak)} and are left out` : "";
    return `${shown} of ${lanes.length} classes${rest}`;
  }

  get visible() {
    return this.lanes.filter((lane) => !lane.element.hidden);
  }

  /** Makes a lane the one that Tab reaches. */
  #enter(lane) {
    if (this.active) this.active.track.tabIndex = -1;
    this.active = lane;
    if (lane) lane.track.tabIndex = 0;
  }

  // ------------------------------------------------------------------ view

  #changeView() {
    const pan = document.getElementById("pan");
    const room = this.view.duration - this.view.span;
    pan.hidden = room <= 0;
    pan.value = room > 0 ? (this.view.start / room) * 1000 : 0;
    pan.setAttribute("aria-valuetext", `${clock(this.view.start)} to ${clock(this.view.end)}`);
    document.getElementById("zoom-out").disabled = document.getElementById("zoom-all").disabled = this.view.whole;
    document.getElementById("zoom-in").disabled = this.view.span <= 1;
    this.axis.setAttribute("aria-valuemax", this.view.duration.toFixed(1));
    this.#moveCursors();
    this.#draw();
  }

  #zoom(factor, around = this.player.time) {
    this.view.zoom(factor, around);
    this.#changeView();
  }

  // ------------------------------------------------------------------ events

  #listen() {
    const on = (id, event, action) => document.getElementById(id).addEventListener(event, action);
    on("show", "change", () => this.#filter());
    on("find", "input", () => this.#filter());
    on("stretch", "change", () => this.#restyle());
    on("zoom-in", "click", () => this.#zoom(1 / 2));
    on("zoom-out", "click", () => this.#zoom(2));
    on("zoom-all", "click", () => this.#zoom(Infinity));
    on("pan", "input", (event) => {
      const { duration, span } = this.view;
      this.view.show((event.target.value / 1000) * (duration - span), span);
      this.#changeView();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#restyle());
    new ResizeObserver(() => this.#draw()).observe(document.getElementById("lanes"));
    new ResizeObserver(() => this.#clearDeck()).observe(document.getElementById("deck"));
    addEventListener("beforeprint", () => {
      for (const lane of this.visible) lane.draw(this.timeline.windows, this.view, this.look);
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.tip.hide();
      if (event.target === document.body) this.#press(event, null);
    });
    this.#changeView();
  }

  #listenTo(track, lane) {
    const data = lane?.data;
    const timeAt = (event) => {
      const box = track.getBoundingClientRect();
      // A finger that leaves the lane stays at its end.
      return this.view.seconds(Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1));
    };
    track.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      track.setPointerCapture(event.pointerId);
      if (lane) this.#enter(lane);
      this.seek(timeAt(event));
    });
    track.addEventListener("pointermove", (event) => {
      if (track.hasPointerCapture(event.pointerId)) this.seek(timeAt(event));
      this.tip.show(data, timeAt(event), event.clientX, event.clientY + 20, event.clientY - 14);
    });
    track.addEventListener("pointerleave", () => this.tip.hide());
    track.addEventListener("blur", () => this.tip.hide());
    track.addEventListener("focus", () => {
      if (lane) this.#enter(lane);
      if (track.matches(":focus-visible")) this.#tipAtCursor(track, data);
    });
    track.addEventListener("keydown", (event) => {
      if (this.#press(event, lane)) this.#tipAtCursor(track, data);
    });
    track.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return; // the page scrolls
      event.preventDefault();
      this.#zoom(event.deltaY < 0 ? 1 / 1.25 : 1.25, timeAt(event));
    }, { passive: false });
  }

  #tipAtCursor(track, data) {
    const box = track.getBoundingClientRect();
    const x = box.left + this.view.share(this.player.time) * box.width;
    this.tip.show(data, this.player.time, x, box.bottom + 6, box.top - 6);
  }

  /** Does what a key says; whether the cursor moved. */
  #press(event, lane) {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const beside = (by) => {
      const tracks = [this.axis, ...this.visible.map(({ track }) => track)];
      tracks[(lane ? tracks.indexOf(lane.track) : 0) + by]?.focus();
    };
    const moves = {
      ArrowRight: () => this.#step(1), ArrowLeft: () => this.#step(-1),
      PageUp: () => this.#jump(lane, 1), PageDown: () => this.#jump(lane, -1),
      Home: () => this.seek(0), End: () => this.seek(this.view.duration),
    };
    const others = {
      " ": () => this.player.toggle(),
      "+": () => this.#zoom(1 / 2), "=": () => this.#zoom(1 / 2), "-": () => this.#zoom(2), 0: () => this.#zoom(Infinity),
      ArrowDown: () => beside(1), ArrowUp: () => beside(-1),
    };
    // Of the page itself only what does not scroll it.
    const onPage = event.target === document.body;
    const action = (onPage ? null : moves[event.key]) ?? (onPage && event.key.startsWith("Arrow") ? null : others[event.key]);
    if (!action) return false;
    event.preventDefault();
    action();
    return event.key in moves;
  }
}

new TimelinePage();
