/**
 * Publishes a camera or a screen by WHIP, to any WHIP server, and comes back after a failure until it is stopped.
 *
 *   const publisher = new Publisher({
 *     endpoint: "/whip/demo",            // the WHIP endpoint
 *     headers: () => ({ "X-CSRF-Token": csrf }),   // or { Authorization: `Bearer ${key}` }
 *   });
 *   publisher.addEventListener("state", (e) => e.detail);  // {state, reason}
 *   const stream = await publisher.open("camera");   // or "screen"; throws what getUserMedia throws. Preview it:
 *   video.srcObject = stream;                        //   publisher.stream is the same object
 *   await publisher.start({ takeover: true });       // goes on air; resolves when the first answer is there
 *   publisher.camera = false; publisher.microphone = false;   // no picture, silence; still on air
 *   await publisher.stats();                         // null, or {bitrate_kbps, width, height, fps, frames_encoded,
 *                                                    //           limited_by, round_trip_ms, packets_lost}
 *   await publisher.stop();                          // off air (DELETE); the preview stays
 *   publisher.close();                               // lets go of camera and microphone
 *
 * start({takeover}) throws Refused (see player.js) when the server says no; status 409: somebody else is publishing.
 * With `takeover` the server ends that session in our favour, if it is ours to end.
 *
 * state: "idle" | "connecting" | "publishing" | "waiting" (tried again in detail.retry_ms) | "refused"
 *        | "ended" (detail.reason: "video" or "audio", the device was unplugged or the browser's "stop sharing" was
 *          clicked; "taken over", somebody else publishes now)
 */

import { Refused, Trickle, iceServers } from "./player.js";

const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 5000;
const REQUEST_TIMEOUT_MS = 10000;
const GOODBYE_TIMEOUT_MS = 1500;
const CONNECT_TIMEOUT_MS = 10000;
const RELAY_AFTER_MS = 3000; // see player.js
const LOST_AFTER_MS = 2500;
const VIDEO = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } };
const AUDIO = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
const BITRATE_MAX = 2_500_000;

export { Refused };

export class Publisher extends EventTarget {
  #endpoint;
  #headers;
  #run = 0;
  #peer = null;
  #session = null;
  #stream = null;
  #state = "idle";
  #retries = 0;
  #timers = new Set();
  #iceServers = []; // see player.js
  #lastBytes = null;

  constructor({ endpoint, headers = {} }) {
    super();
    this.#endpoint = new URL(endpoint, document.baseURI).href;
    this.#headers = typeof headers === "function" ? headers : () => headers;
  }

  get state() { return this.#state; }
  get stream() { return this.#stream; }
  get camera() { return this.#enabled("video"); }
  set camera(on) { this.#enable("video", on); }
  get microphone() { return this.#enabled("audio"); }
  set microphone(on) { this.#enable("audio", on); }

  /** Asks for the device. While on air, the new picture replaces the old one in the same session. Who was silent stays
   *  so: another camera must not open the microphone.
   */
  async open(source = "camera") {
    const stream = source === "screen"
      ? await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 30 } }, audio: true })
      : await navigator.mediaDevices.getUserMedia({ video: VIDEO, audio: AUDIO });
    const old = this.#stream;
    if (source === "screen" && !stream.getAudioTracks().length) {
      // A shared screen is mostly silent: the host keeps talking.
      for (const track of old?.getAudioTracks() ?? []) { old.removeTrack(track); stream.addTrack(track); }
    }
    const silent = old?.getAudioTracks().length && !this.microphone;
    this.#stream = stream;
    if (silent) this.microphone = false;
    for (const track of stream.getTracks()) {
      track.onended = () => { if (this.#stream === stream) this.#say("ended", track.kind); };
      if (track.kind === "video") track.contentHint = source === "screen" ? "detail" : "motion";
    }
    for (const track of stream.getTracks()) await this.#sender(track.kind)?.replaceTrack(track);
    for (const track of old?.getTracks() ?? []) track.stop();
    return stream;
  }

  async start({ takeover = false } = {}) {
    if (!this.#stream) throw new Error("open a camera or a screen first");
    this.#retries = 0;
    await this.#begin(takeover);
  }

  async stop() {
    this.#run += 1;
    this.#say("idle", "stop");
    await this.#leave();
  }

  close() {
    for (const track of this.#stream?.getTracks() ?? []) { track.onended = null; track.stop(); }
    this.#stream = null;
  }

  async stats() {
    if (!this.#peer) return null;
    const figures = {};
    for (const report of (await this.#peer.getStats()).values()) {
      if (report.type === "outbound-rtp" && report.kind === "video") {
        figures.width = report.frameWidth ?? 0;
        figures.height = report.frameHeight ?? 0;
        figures.fps = report.framesPerSecond ?? 0;
        figures.frames_encoded = report.framesEncoded ?? 0;
        figures.limited_by = report.qualityLimitationReason ?? "none";
        const before = this.#lastBytes;
        this.#lastBytes = { bytes: report.bytesSent, at: report.timestamp };
        figures.bitrate_kbps = before && report.timestamp > before.at
          ? Math.round(((report.bytesSent - before.bytes) * 8) / (report.timestamp - before.at)) : 0;
      } else if (report.type === "remote-inbound-rtp" && report.kind === "video") {
        figures.packets_lost = report.packetsLost ?? 0;
        figures.round_trip_ms = Math.round((report.roundTripTime ?? 0) * 1000);
      }
    }
    return figures;
  }

  async #begin(takeover, again = false) {
    const run = ++this.#run;
    await this.#leave();
    if (run !== this.#run) return;
    this.#say("connecting", "start");
    const peer = new RTCPeerConnection({ iceServers: this.#iceServers, bundlePolicy: "max-bundle" });
    this.#peer = peer;
    for (const track of this.#stream.getTracks()) {
      const init = { direction: "sendonly", streams: [this.#stream] };
      if (track.kind === "video") init.sendEncodings = [{ maxBitrate: BITRATE_MAX }];
      const dark = track.kind === "video" && !track.enabled;
      peer.addTransceiver(dark ? "video" : track, init);
    }
    peer.onconnectionstatechange = () => this.#connectionChanged(run, peer);
    const trickled = new Trickle(peer);
    try {
      await peer.setLocalDescription(await peer.createOffer());
      const answer = await this.#post(peer.localDescription.sdp, takeover);
      if (run !== this.#run) {
        this.#delete(answer.session);
        return;
      }
      this.#session = answer.session;
      await peer.setRemoteDescription({ type: "answer", sdp: answer.sdp });
      trickled.sendTo(answer, this.#headers);
      const untried = answer.iceServers.length && !this.#iceServers.length;
      this.#iceServers = answer.iceServers;
      this.#after(untried ? RELAY_AFTER_MS : CONNECT_TIMEOUT_MS, () => {
        if (run === this.#run && peer.connectionState !== "connected") this.#again(run, "no connection");
      });
    } catch (error) {
      if (run !== this.#run) return;
      if (error instanceof Refused) {
        this.#run += 1;
        this.#leave();
        // Whoever publishes now took over from us: that is not fought for.
        if (again && error.status === 409) this.#say("ended", "taken over");
        else this.#say("refused", String(error.status));
        throw error;
      }
      this.#again(run, error.name);
    }
  }

  async #post(sdp, takeover) {
    const url = new URL(this.#endpoint);
    if (takeover) url.searchParams.set("takeover", "1");
    const response = await fetch(url, {
      method: "POST",
      headers: { ...this.#headers(), "Content-Type": "application/sdp" },
      body: sdp,
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    if (response.status >= 500) throw new Error(`the server answered ${response.status}`);
    if (response.status !== 201) throw new Refused(response);
    return {
      sdp: await response.text(),
      session: new URL(response.headers.get("Location"), response.url).href,
      etag: response.headers.get("ETag"),
      iceServers: iceServers(response),
    };
  }

  #connectionChanged(run, peer) {
    if (run !== this.#run) return;
    if (peer.connectionState === "connected") {
      this.#retries = 0;
      this.#say("publishing", "connected");
    } else if (peer.connectionState === "failed" || peer.connectionState === "closed") {
      this.#again(run, peer.connectionState);
    } else if (peer.connectionState === "disconnected") {
      this.#againIfEnded(run);
      this.#after(LOST_AFTER_MS, () => {
        if (run === this.#run && peer.connectionState === "disconnected") this.#again(run, "disconnected");
      });
    }
  }

  /** A server that was started again knows the session no more: no use in waiting for ICE to see. */
  async #againIfEnded(run) {
    try {
      const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
      const { status } = await fetch(this.#session, { headers: this.#headers(), signal });
      if (run === this.#run && (status === 404 || status === 410)) {
        this.#session = null;
        this.#again(run, "ended");
      }
    } catch {
      // Unreachable just now; the connection's own state decides.
    }
  }

  #again(run, reason) {
    if (run !== this.#run) return;
    const retry_ms = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** this.#retries);
    this.#retries += 1;
    this.#leave();
    const now = ++this.#run;
    this.#say("waiting", reason, { retry_ms });
    this.#after(retry_ms, () => {
      // A refusal has been told as a state already; nobody waits for this promise.
      if (now === this.#run) this.#begin(false, true).catch(() => {});
    });
  }

  #after(delay_ms, action) {
    const timer = setTimeout(() => { this.#timers.delete(timer); action(); }, delay_ms);
    this.#timers.add(timer);
  }

  async #leave() {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#lastBytes = null;
    const [peer, session] = [this.#peer, this.#session];
    this.#peer = null;
    this.#session = null;
    // Said to the server first: once the connection is closed it has nothing left to end, and answers 404.
    if (session) await this.#delete(session);
    peer?.close();
  }

  async #delete(session) {
    try {
      const signal = AbortSignal.timeout(GOODBYE_TIMEOUT_MS);
      await fetch(session, { method: "DELETE", headers: this.#headers(), keepalive: true, signal });
    } catch {
      // The server ends it by itself once it hears nothing more from us.
    }
  }

  #enabled(kind) {
    return this.#stream?.getTracks().some((track) => track.kind === kind && track.enabled) ?? false;
  }

  #enable(kind, on) {
    for (const track of this.#stream?.getTracks() ?? []) {
      if (track.kind !== kind) continue;
      track.enabled = on;
      // Nothing instead of black: who watches can tell that there is no picture, and nobody pays for it.
      if (kind === "video") this.#sender(kind)?.replaceTrack(on ? track : null).catch(() => {}); // the connection is gone
    }
  }

  #sender(kind) {
    return this.#peer?.getTransceivers().find(({ receiver }) => receiver.track.kind === kind)?.sender;
  }

  #say(state, reason, more = {}) {
    this.#state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, reason, ...more } }));
  }
}
