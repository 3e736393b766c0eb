// The picture of a show: the video with its live badge, viewers, sound control and words for when there is none.
// Draws what player.js says; never speaks WebRTC itself.

import { el, fill, say, show } from "./dom.js";
import { icon } from "./icons.js";
import { Player } from "./player.js";

const WITH_PICTURE = new Set(["live", "paused"]);
const WORDS = {
  scheduled: "The show has not started yet",
  rehearsal: "The show has not started yet",
  paused: "The host has paused the show",
  ended: "The show has ended. Thank you for watching",
  connecting: "Connecting to the stream…",
  stalled: "Waiting for the picture…",
  listening: "No picture just now. You can hear the host",
  waiting: "Waiting for the host's picture…",
  blocked: "Press the sound button to play",
  refused: "The stream cannot be played here",
};

export class Stage {
  /** `compact` leaves out the sound control's words. */
  constructor(host, { showId, compact = false }) {
    this.showState = null;
    this.video = el("video", { id: "video", autoplay: true, playsinline: true, muted: true, "aria-label": "Live video" });
    this.live = el("span", { class: "badge live", id: "live", hidden: true }, "Live");
    this.viewers = el("span", { class: "numbers" }, "0");
    this.viewersBadge = el("span", { class: "badge glass", id: "viewers", hidden: true }, icon("eye"), this.viewers,
      el("span", { class: "visually-hidden" }, "watching"));
    this.words = el("p", { class: "stage-words", role: "status" });
    this.curtain = el("div", { class: "stage-curtain" }, this.words);
    this.sound = el("button", { type: "button", class: "sound", id: "sound" });
    this.sound.addEventListener("click", () => this.toggleSound());
    this.full = el("button", { type: "button", class: "icon-button glass", "aria-label": "Full screen", id: "full" }, icon("expand"));
    this.compact = compact;
    this.node = el("div", { class: `stage${compact ? " compact" : ""}` }, this.video, this.curtain,
      el("div", { class: "stage-top" }, this.live, this.viewersBadge),
      el("div", { class: "stage-bottom" }, this.sound, document.fullscreenEnabled ? this.full : null));
    this.full.addEventListener("click", () => this.toggleFull());
    fill(host, this.node);
    this.player = new Player(this.video, { endpoint: `/whep/${encodeURIComponent(showId)}` });
    this.player.addEventListener("state", () => this.redraw());
    this.video.addEventListener("volumechange", () => this.redraw());
    // A phone that is turned, or a window that is shared: the picture's own shape decides.
    this.video.addEventListener("resize", () => { this.node.dataset.shape = this.video.videoHeight > this.video.videoWidth ? "tall" : "wide"; });
    this.redraw();
  }

  start() {
    if (this.showState !== "ended") this.player.start();
  }

  /** Resolves with the first picture, or as soon as there is none to expect, or after `patience_ms`. */
  opened(patience_ms) {
    return new Promise((resolve) => {
      this.player.addEventListener("state", ({ detail }) => { if (detail.state !== "connecting") resolve(); });
      setTimeout(resolve, patience_ms);
    });
  }

  toggleSound() {
    if (this.player.state === "blocked") this.player.play();
    this.player.muted = !this.player.muted;
  }

  toggleFull() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.node.requestFullscreen();
  }

  /** A value of the room that the stage shows. */
  hear(key, value) {
    if (key === "show") this.setShow(value?.state ?? null);
    if (key === "viewers" && value) {
      say(this.viewers, String(value.n));
      show(this.viewersBadge, true);
    }
    // The stream is back: no need to wait out the player's patience.
    if (key === "stream" && value?.publishing && this.player.state === "waiting") this.player.start();
  }

  setShow(state) {
    const ended = state === "ended" && this.showState !== "ended";
    this.showState = state;
    if (ended) this.player.stop();
    this.redraw();
  }

  redraw() {
    const player = this.player.state;
    const playing = player === "playing";
    const quiet = ["paused", "ended", "scheduled", "rehearsal"].includes(this.showState) && !playing;
    say(this.words, playing && this.showState !== "ended" ? "" : (WORDS[quiet || this.showState === "ended" ? this.showState : player] ?? ""));
    this.node.dataset.player = player;
    show(this.curtain, this.words.textContent !== "");
    this.redrawBadge();
    this.redrawSound();
  }

  redrawBadge() {
    const live = this.showState === "live";
    say(this.live, live ? "Live" : "Paused");
    this.live.className = live ? "badge live" : "badge glass";
    show(this.live, live || this.showState === "paused");
  }

  redrawSound() {
    for (const control of [this.sound, this.full]) show(control, WITH_PICTURE.has(this.showState));
    const muted = this.player.muted;
    const word = muted ? "Tap for sound" : "Mute";
    if (this.sound.dataset.word !== word) {
      this.sound.dataset.word = word;
      this.sound.setAttribute("aria-label", muted ? "Turn the sound on" : "Turn the sound off");
      fill(this.sound, icon(muted ? "muted" : "sound"), muted && !this.compact ? el("span", {}, word) : null);
    }
    this.sound.classList.toggle("muted", muted);
  }
}
