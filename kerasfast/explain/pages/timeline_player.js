/** The video and its time; where there is none to play, a time that is only set. */
class Player {
  /**
   * @param {(seconds: number) => void} onTime Told whenever the time has changed.
   * @param {(seconds: number) => void} onLength Told how long the video is.
   */
  constructor(onTime, onLength) {
    this.video = document.getElementById("video");
    this.notice = document.getElementById("no-video");
    this.time = 0;
    this.onTime = onTime;
    this.onLength = onLength;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
  }

  /** Begins to listen; the video may have been loaded, or have failed, before. */
  start() {
    const { video } = this;
    video.addEventListener("loadedmetadata", () => {
      // Sound alone: the browser knows the container, not the pictures.
      if (!video.videoWidth) return this.#fail();
      if (Number.isFinite(video.duration)) this.onLength(video.duration);
      if (this.time) video.currentTime = this.time;
    });
    video.addEventListener("error", () => this.#fail());
    video.addEventListener("timeupdate", () => this.#report());
    video.addEventListener("seeked", () => this.#report());
    video.addEventListener("play", () => this.#follow());
    document.getElementById("open-video").addEventListener("change", (event) => this.#open(event.target.files[0]));
    if (video.error) this.#fail();
    else if (video.readyState >= HTMLMediaElement.HAVE_METADATA) video.dispatchEvent(new Event("loadedmetadata"));
  }

  get playable() {
    return !this.video.hidden;
  }

  /** Goes to a time, which a video takes once it is loaded. */
  seek(seconds) {
    this.time = seconds;
    if (this.playable) this.video.currentTime = seconds;
    this.onTime(seconds);
  }

  /** Plays or pauses. */
  toggle() {
    if (!this.playable) return;
    // A video that cannot be played says so with an event.
    if (this.video.paused) this.video.play().catch(() => {});
    else this.video.pause();
  }

  #report() {
    if (this.video.seeking || !this.playable) return; // it still shows the time it comes from
    this.time = this.video.currentTime;
    this.onTime(this.time);
  }

  /** Moves the cursor with every picture; for those who asked for less motion, four times a second. */
  #follow() {
    if (this.video.paused || this.video.ended || this.calm.matches) return;
    this.#report();
    requestAnimationFrame(() => this.#follow());
  }

  #open(file) {
    if (!file) return;
    URL.revokeObjectURL(this.video.src);
    this.video.src = URL.createObjectURL(file);
    this.video.hidden = false;
    this.notice.hidden = true;
    const name = make("b", "", make("bdi", "", file.name));
    document.getElementById("no-video-text").replaceChildren(
      name, " cannot be played here: this browser does not know its format. The lanes work all the same.");
  }

  #fail() {
    this.video.hidden = true;
    this.notice.hidden = false;
  }
}
