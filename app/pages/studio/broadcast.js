// Going live: camera or screen by publisher.js with a preview, or another encoder by the WHIP address and its key.

import { get, post, segment, writeHeaders } from "../shared/api.js";
import { confirmDialog } from "../shared/dialog.js";
import { busy, el, fill, say, show } from "../shared/dom.js";
import { icon } from "../shared/icons.js";
import { Publisher, Refused } from "../shared/publisher.js";
import { isAnothers, secureEnough } from "../shared/session.js";
import { Stage } from "../shared/stage.js";
import { toast, toastProblem } from "../shared/toast.js";

const WORDS = {
  idle: "Preview: nobody sees you yet",
  connecting: "Going on air…",
  publishing: "On air",
  waiting: "Connection lost, trying again…",
  refused: "Not on air",
  ended: "Off air",
};
const STATS_MS = 2000;

export class Broadcast {
  constructor(host, loaded) {
    this.show = loaded;
    const url = `/whip/${segment(loaded.id)}`;
    this.publisher = new Publisher({ endpoint: url, headers: writeHeaders });
    this.publisher.addEventListener("state", (event) => this.hearPublisher(event.detail));
    this.preview = el("video", { id: "preview", muted: true, autoplay: true, playsinline: true, hidden: true, "aria-label": "Your preview" });
    this.preview.muted = true;
    this.dark = el("p", { class: "preview-dark", id: "preview-dark", hidden: true }, "Your picture is off: viewers hear you and see none");
    this.monitor = el("div", { class: "monitor" });
    this.word = el("span", { class: "badge", id: "broadcast-state", role: "status" });
    this.figures = el("span", { class: "faint numbers", id: "stream-figures" });
    this.arrives = false; // somebody publishes: this page or an encoder
    this.camera = this.button("camera", "Camera", () => this.open("camera"));
    this.screen = this.button("screen", "Screen", () => this.open("screen"));
    this.go = el("button", { type: "button", class: "button primary", id: "go-live", hidden: true }, "Go live");
    this.stop = el("button", { type: "button", class: "button danger", id: "stop-live", hidden: true }, "Stop");
    this.voice = this.toggle("microphone", "Microphone");
    this.picture = this.toggle("camera", "Picture");
    this.go.addEventListener("click", () => busy(this.go, () => this.start()));
    this.stop.addEventListener("click", () => busy(this.stop, () => this.leave()));
    this.stage = new Stage(this.monitor, { showId: loaded.id, compact: true });
    this.key = el("div", { class: "stream-key" });
    fill(host, el("header", { class: "panel-head" }, el("h2", {}, "On air"), this.word),
      el("div", { class: "preview-host" }, this.preview, this.dark, this.monitor), this.figures,
      secureEnough() ? null : el("p", { class: "error" }, "Browsers give the camera only to https pages: run make run-lan."),
      this.tools = el("div", { class: "row" }, this.camera, this.screen, this.voice, this.picture, this.go, this.stop),
      this.encoder = el("details", { class: "encoder" }, el("summary", {}, "Stream with OBS or another encoder"), this.key));
    this.say("What viewers see");
    setInterval(() => this.measure(), STATS_MS);
  }

  button(symbol, word, work) {
    const button = el("button", { type: "button", class: "button", id: `open-${symbol}`, disabled: !secureEnough() }, icon(symbol), word);
    button.addEventListener("click", () => busy(button, work));
    return button;
  }

  /** Switches a track off and on: viewers get silence or no picture, and stay. */
  toggle(track, word) {
    const toggle = el("button", { type: "button", class: "button", id: `toggle-${track}`, "aria-pressed": "true", hidden: true }, `${word} on`);
    toggle.addEventListener("click", () => {
      this.publisher[track] = !this.publisher[track];
      this.drawToggles();
    });
    return toggle;
  }

  drawToggle(toggle, track, word) {
    const on = this.publisher[track];
    toggle.setAttribute("aria-pressed", String(on));
    toggle.textContent = `${word} ${on ? "on" : "off"}`;
  }

  drawToggles() {
    for (const [toggle, track, word] of [[this.voice, "microphone", "Microphone"], [this.picture, "camera", "Picture"]]) {
      this.drawToggle(toggle, track, word);
      show(toggle, this.publisher.stream !== null);
    }
    show(this.dark, this.publisher.stream !== null && !this.publisher.camera);
  }

  async load() {
    this.stage.start();
    this.drawKey(await get(`/api/shows/${segment(this.show.id)}/stream-key`), null);
  }

  say(text, tone = "") {
    say(this.word, text);
    this.word.className = `badge ${tone}`;
  }

  async open(source) {
    try {
      this.preview.srcObject = await this.publisher.open(source);
    } catch (error) {
      if (error.name === "NotAllowedError") toast("The browser did not give permission.", "bad");
      else if (error.name === "NotFoundError") toast("No camera was found.", "bad");
      else toast(`The device could not be opened: ${error.message}`, "bad");
      return;
    }
    show(this.preview, true);
    show(this.monitor, false);
    this.drawToggles();
    this.stage.player.stop();
    const onAir = this.publisher.state === "publishing";
    show(this.go, !onAir);
    if (!onAir) this.say(WORDS.idle);
  }

  async start() {
    try {
      await this.publisher.start({ takeover: false });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.status === 409) await this.takeOver();
      else toast(`The stream was refused (${error.status}).`, "bad");
    }
  }

  async takeOver() {
    const sure = await confirmDialog({
      title: "Someone is on air", text: "This show is being streamed from another window or encoder. Take over, and viewers see you instead?", yes: "Take over",
    });
    if (!sure) return;
    try {
      await this.publisher.start({ takeover: true });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      toast(error.status === 409 ? "The other stream is not yours to end." : `The stream was refused (${error.status}).`, "bad");
    }
  }

  async leave() {
    await this.publisher.stop();
    this.publisher.close();
    this.preview.srcObject = null;
    show(this.preview, false);
    show(this.monitor, true);
    show(this.go, false);
    this.drawToggles();
    this.stage.start();
    this.say("What viewers see");
  }

  hearPublisher({ state, reason }) {
    const onAir = state === "publishing";
    show(this.stop, onAir || state === "connecting" || state === "waiting");
    show(this.go, !onAir && this.publisher.stream !== null && state !== "connecting" && state !== "waiting");
    this.say(WORDS[state] ?? state, onAir ? "live" : "");
    if (state === "ended" && reason === "taken over") toast("Somebody else is on air for this show now.", "bad");
    else if (state === "ended") toast("The device was unplugged or the sharing was stopped.", "bad");
  }

  /** How the stream arrives, whoever sends it. */
  async measure() {
    if (document.hidden || isAnothers()) return;
    const on = this.arrives || this.publisher.state === "publishing";
    const arrived = on ? await get(`/api/shows/${segment(this.show.id)}/stream`).catch(() => null) : null;
    say(this.figures, arrived?.publishing ? inWords(arrived) : "");
  }

  hear(key, value) {
    this.stage.hear(key, value);
    if (key === "stream") this.arrives = Boolean(value?.publishing);
    if (key === "show" && value?.state === "ended" && !this.tools.hidden) this.close();
  }

  /** The show is over: nobody can go on air any more. */
  async close() {
    for (const part of [this.tools, this.encoder]) show(part, false);
    await this.leave();
    this.say("The show is over");
  }

  drawKey(address, key) {
    const rotate = el("button", { type: "button", class: "button small", id: "rotate-key" }, icon("key"), address.hint ? "Make a new key" : "Make a key");
    rotate.addEventListener("click", () => busy(rotate, () => this.rotate(Boolean(address.hint))));
    fill(this.key,
      copyField("Server (WHIP)", address.whip_url, "whip-url"),
      key ? [copyField("Bearer token", key, "stream-key"), el("p", { class: "faint" }, "Copy it now: it is shown only once.")]
        : el("p", { class: "faint" }, address.hint ? `The present key ends in ${address.hint}.` : "There is no key yet."),
      el("div", { class: "row" }, rotate));
  }

  async rotate(replaces) {
    if (replaces && !(await confirmDialog({
      title: "Make a new key?", text: "The present key stops working at once; an encoder that uses it needs the new one.", yes: "Make a new key",
    }))) return;
    try {
      const fresh = await post(`/api/shows/${segment(this.show.id)}/stream-key`);
      this.drawKey(fresh, fresh.key);
    } catch (error) {
      toastProblem(error);
    }
  }
}

function inWords({ width, height, fps, bitrate_kbps, loss_percent, key_frame_interval_ms, codec, viewers_loss_percent }) {
  const picture = codec && fps;
  return [
    picture ? codec : "sound alone",
    picture && width ? `${width} × ${height}` : "",
    picture ? `${fps} fps` : "",
    `${bitrate_kbps} kbit/s`,
    `${loss_percent} % lost`,
    picture && key_frame_interval_ms >= 1000 ? `a key frame every ${(key_frame_interval_ms / 1000).toFixed(1)} s` : "",
    viewers_loss_percent ? `viewers lose ${viewers_loss_percent} %` : "",
  ].filter(Boolean).join(" · ");
}

function copyField(label, value, id) {
  const input = el("input", { class: "input code", readonly: true, id, value });
  const copy = el("button", { type: "button", class: "icon-button", "aria-label": `Copy ${label}` }, icon("copy"));
  copy.addEventListener("click", async () => {
    input.select();
    try {
      await navigator.clipboard.writeText(value);
      toast("Copied.", "good");
    } catch {
      toast("Press Ctrl+C to copy; this browser does not let the button do it."); // plain http, or no permission
    }
  });
  return el("div", { class: "field" }, el("span", {}, label), el("div", { class: "copy-row" }, input, copy));
}
