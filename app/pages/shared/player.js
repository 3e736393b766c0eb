/**
 * Plays a live stream by WHEP into a <video>, from any WHEP server, and stays at it until it is stopped.
 *
 *   const player = new Player(video, {
 *     endpoint: "/whep/demo",            // the WHEP endpoint
 *     headers: () => ({...}),            // optional: extra request headers (a function, or an object)
 *   });
 *   player.addEventListener("state", (e) => e.detail);  // {state, reason}
 *   player.start();                      // begins, and begins again by itself after every failure
 *   player.muted = false;                // the unmute control: call it from a click
 *   await player.stats();                // null, or {frames_decoded, frames_dropped, width, height, fps,
 *                                        //           bitrate_kbps, packets_lost, jitter_ms, round_trip_ms, audio_concealed}
 *   await player.stop();                 // ends the session (DELETE) and keeps quiet
 *
 * state: "connecting"   the session is being set up
 *        "playing"      the first frame is on the screen, or the stream came back after "stalled"
 *        "stalled"      connected, but no new frame for STALLED_MS (the host paused or lost its network)
 *        "listening"    connected, and sound arrives without a picture: the host has switched it off, or has none
 *        "waiting"      there is nothing to see now (409, network gone); tried again by itself in detail.retry_ms
 *        "blocked"      the browser wants a click before it plays: call player.play() from one
 *        "refused"      the server will not have us (401, 403, 404): stays so until start() is called again
 *        "stopped"      stop() was called
 *
 * The element starts muted, as browsers demand of a video that plays by itself. This module draws nothing and
 * knows nothing of Hawker's pages.
 */

const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 8000;
const REQUEST_TIMEOUT_MS = 10000;
const CONNECT_TIMEOUT_MS = 10000;
const GOODBYE_TIMEOUT_MS = 1500;
const RELAY_AFTER_MS = 3000; // a server named TURN servers, and nothing else got through so far
const LOST_AFTER_MS = 2500; // "disconnected" may heal by itself; after this long a new session is quicker
const STALLED_MS = 2000;
const LOOK_EVERY_MS = 500;
const FINAL = new Set([400, 401, 403, 404, 405, 406, 413, 415, 422]);

export class Player extends EventTarget {
  #video;
  #endpoint;
  #headers;
  #run = 0; // counts sessions: whatever belongs to an older one has nothing to say any more
  #peer = null;
  #session = null; // the session's URL
  #state = "stopped";
  #retries = 0;
  #timers = new Set();
  #iceServers = []; // what the last answer named: for the next try, as its own gathering was over by then
  #lastBytes = null;
  #soundPackets = null; // how many had come when #hears() was asked last
  #onOnline = () => { if (this.#state === "waiting") this.#begin(); };

  constructor(video, { endpoint, headers = {} }) {
    super();
    this.#video = video;
    this.#endpoint = new URL(endpoint, document.baseURI).href;
    this.#headers = typeof headers === "function" ? headers : () => headers;
    video.muted = true;
    video.playsInline = true;
    video.autoplay = true;
  }

  get state() { return this.#state; }
  get muted() { return this.#video.muted; }
  set muted(value) {
    this.#video.muted = value;
    if (!value) this.play();
  }

  start() {
    globalThis.addEventListener("online", this.#onOnline);
    this.#retries = 0;
    this.#begin();
  }

  /** Plays the element; a browser that wants a click first makes the state "blocked". */
  async play() {
    try {
      await this.#video.play();
    } catch (error) {
      if (error.name === "NotAllowedError") this.#say("blocked", "click");
    }
  }

  async stop() {
    globalThis.removeEventListener("online", this.#onOnline);
    this.#run += 1;
    this.#say("stopped", "stop");
    this.#video.srcObject = null;
    await this.#leave();
  }

  /** Figures of the last second or so; null while there is no connection. */
  async stats() {
    if (!this.#peer) return null;
    const figures = {};
    for (const report of (await this.#peer.getStats()).values()) {
      if (report.type === "inbound-rtp" && report.kind === "video") {
        figures.frames_decoded = report.framesDecoded ?? 0;
        figures.frames_dropped = report.framesDropped ?? 0;
        figures.width = report.frameWidth ?? 0;
        figures.height = report.frameHeight ?? 0;
        figures.fps = report.framesPerSecond ?? 0;
        figures.packets_lost = report.packetsLost ?? 0;
        figures.jitter_ms = Math.round((report.jitter ?? 0) * 1000);
        figures.bitrate_kbps = this.#bitrate(report.bytesReceived, report.timestamp);
      } else if (report.type === "inbound-rtp" && report.kind === "audio") {
        figures.audio_concealed = report.totalSamplesReceived
          ? (report.concealedSamples ?? 0) / report.totalSamplesReceived : 0;
      } else if (report.type === "candidate-pair" && report.nominated && report.currentRoundTripTime !== undefined) {
        figures.round_trip_ms = Math.round(report.currentRoundTripTime * 1000);
      }
    }
    return figures;
  }

  #bitrate(bytes, at) {
    const before = this.#lastBytes;
    this.#lastBytes = { bytes, at };
    return before && at > before.at ? Math.round(((bytes - before.bytes) * 8) / (at - before.at)) : 0;
  }

  async #begin() {
    const run = ++this.#run;
    await this.#leave();
    if (run !== this.#run) return;
    this.#say("connecting", "start");
    const peer = new RTCPeerConnection({ iceServers: this.#iceServers, bundlePolicy: "max-bundle" });
    this.#peer = peer;
    const stream = new MediaStream();
    for (const kind of ["video", "audio"]) peer.addTransceiver(kind, { direction: "recvonly" });
    peer.ontrack = ({ track }) => stream.addTrack(track);
    peer.onconnectionstatechange = () => this.#connectionChanged(run, peer);
    const trickled = new Trickle(peer);
    try {
      await peer.setLocalDescription(await peer.createOffer());
      const answer = await this.#post(peer.localDescription.sdp);
      if (run !== this.#run) {
        this.#delete(answer.session);
        return;
      }
      this.#session = answer.session;
      this.#video.srcObject = stream;
      await peer.setRemoteDescription({ type: "answer", sdp: answer.sdp });
      trickled.sendTo(answer, this.#headers);
      this.#watch(run);
      const untried = answer.iceServers.length && !this.#iceServers.length;
      this.#iceServers = answer.iceServers;
      this.#after(untried ? RELAY_AFTER_MS : CONNECT_TIMEOUT_MS, () => {
        if (run === this.#run && this.#state === "connecting" && peer.connectionState !== "connected") {
          this.#again(run, "no connection");
        }
      });
      await this.play();
    } catch (error) {
      if (run === this.#run) this.#failed(run, error);
    }
  }

  async #post(sdp) {
    const response = await fetch(this.#endpoint, {
      method: "POST",
      headers: { ...this.#headers(), "Content-Type": "application/sdp" },
      body: sdp,
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    if (response.status !== 201) throw new Refused(response);
    return {
      sdp: await response.text(),
      session: new URL(response.headers.get("Location"), response.url).href,
      etag: response.headers.get("ETag"),
      iceServers: iceServers(response),
    };
  }

  #failed(run, error) {
    if (error instanceof Refused && FINAL.has(error.status)) {
      this.#run += 1;
      this.#leave();
      this.#say("refused", String(error.status));
      return;
    }
    this.#again(run, error instanceof Refused ? String(error.status) : error.name, error.retry_ms);
  }

  #again(run, reason, asked_ms) {
    if (run !== this.#run) return;
    const backoff_ms = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** this.#retries);
    this.#retries += 1;
    // Half of it at random: the viewers of a stream that broke do not all come back in one instant.
    const retry_ms = asked_ms ?? Math.round(backoff_ms * (0.5 + Math.random() / 2));
    this.#leave();
    const now = ++this.#run;
    this.#say("waiting", reason, { retry_ms });
    this.#after(retry_ms, () => { if (now === this.#run) this.#begin(); });
  }

  #connectionChanged(run, peer) {
    if (run !== this.#run) return;
    if (peer.connectionState === "failed" || peer.connectionState === "closed") {
      this.#again(run, peer.connectionState);
    } else if (peer.connectionState === "disconnected") {
      this.#againIfEnded(run);
      this.#after(LOST_AFTER_MS, () => {
        if (run === this.#run && peer.connectionState === "disconnected") this.#again(run, "disconnected");
      });
    }
  }

  /** Follows the frames on the screen: the first one is "playing", none for a while is "stalled". */
  #watch(run) {
    let frames = 0;
    let seen = 0;
    const onFrame = () => {
      if (run !== this.#run) return;
      frames += 1;
      this.#retries = 0;
      if (this.#state !== "playing") this.#say("playing", "frame");
      this.#video.requestVideoFrameCallback(onFrame);
    };
    if (this.#video.requestVideoFrameCallback) this.#video.requestVideoFrameCallback(onFrame);
    else this.#video.addEventListener("playing", () => { if (run === this.#run) this.#say("playing", "event"); }, { once: true });
    let lastSeen = performance.now();
    let patience_ms = STALLED_MS;
    const look = async () => {
      if (run !== this.#run) return;
      const now = performance.now();
      // A page in the background paints nothing, and that is not the stream's fault.
      if (frames !== seen || document.visibilityState === "hidden" || this.#video.paused) {
        lastSeen = now;
        patience_ms = STALLED_MS;
      }
      seen = frames;
      const sound = now - lastSeen > STALLED_MS / 2 && (await this.#hears());
      if (run !== this.#run) return;
      if (now - lastSeen > STALLED_MS && frames === seen) {
        if (sound) this.#sayOnce("listening", "no picture");
        else if (now - lastSeen > patience_ms && (frames || this.#state === "listening")) {
          patience_ms *= 1.5; // asked ever more seldom: a host's long pause is not a thousand viewers' busy loop
          if (this.#state === "playing" || this.#state === "listening") this.#say("stalled", "no frame");
          this.#againIfEnded(run);
        }
      }
      if (run === this.#run) this.#after(LOOK_EVERY_MS, look);
    };
    this.#after(LOOK_EVERY_MS, look);
  }

  /** Whether sound has come since this was asked last. */
  async #hears() {
    const reports = (await this.#peer?.getStats()) ?? new Map();
    const packets = [...reports.values()].find(({ type, kind }) => type === "inbound-rtp" && kind === "audio")?.packetsReceived ?? 0;
    const before = this.#soundPackets;
    this.#soundPackets = packets;
    return before !== null && packets > before;
  }

  /** A server that was started again, or that ended us, knows the session no more: no use in waiting for ICE to see. */
  async #againIfEnded(run) {
    try {
      const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
      const { status } = await fetch(this.#session, { headers: this.#headers(), signal });
      if (run === this.#run && (status === 404 || status === 410)) {
        this.#session = null;
        this.#again(run, "ended", 0);
      }
    } catch {
      // Unreachable just now; the connection's own state decides.
    }
  }

  #after(delay_ms, action) {
    const timer = setTimeout(() => { this.#timers.delete(timer); action(); }, delay_ms);
    this.#timers.add(timer);
  }

  async #leave() {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#lastBytes = this.#soundPackets = null;
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

  #sayOnce(state, reason) {
    if (this.#state !== state) this.#say(state, reason);
  }

  #say(state, reason, more = {}) {
    this.#state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, reason, ...more } }));
  }
}

/** An answer that is not 201. `retry_ms` is what Retry-After asks for, or undefined. */
export class Refused extends Error {
  constructor(response) {
    super(`the server answered ${response.status}`);
    this.name = "Refused";
    this.status = response.status;
    const after_s = Number.parseFloat(response.headers.get("Retry-After"));
    if (Number.isFinite(after_s)) this.retry_ms = Math.max(200, after_s * 1000);
    this.response = response;
  }
}

/** The servers of an answer's Link header (RFC 9725, 4.6), as RTCPeerConnection takes them. */
export function iceServers(response) {
  const servers = [];
  for (const [, url, rest] of (response.headers.get("Link") ?? "").matchAll(/<([^>]+)>([^<]*)/g)) {
    const value = (name) => rest.match(new RegExp(`;\\s*${name}="([^"]*)"`))?.[1];
    if (value("rel") !== "ice-server") continue;
    servers.push({ urls: url, username: value("username"), credential: value("credential") });
  }
  return servers;
}

/**
 * Collects a peer's candidates and PATCHes them to the session (RFC 9725, 4.3.1). A server that answers
 * "a=ice-lite" learns our address from our own checks, so it gets none and the first picture waits for nothing.
 */
export class Trickle {
  #peer;
  #lines = [];
  #answer = null;
  #headers = null;

  constructor(peer) {
    this.#peer = peer;
    peer.onicecandidate = ({ candidate }) => {
      this.#lines.push(candidate?.candidate ? `a=${candidate.candidate}` : "a=end-of-candidates");
      if (this.#answer) this.#flush();
    };
  }

  sendTo(answer, headers) {
    if (/^a=ice-lite\r?$/m.test(answer.sdp)) return;
    this.#answer = answer;
    this.#headers = headers;
    this.#flush();
  }

  async #flush() {
    if (!this.#lines.length) return;
    const sdp = this.#peer.localDescription.sdp;
    const line = (name) => sdp.match(new RegExp(`^a=${name}:.*$`, "m"))[0].trim();
    const body = [line("ice-ufrag"), line("ice-pwd"), sdp.match(/^m=.*$/m)[0].trim(), line("mid"), ...this.#lines.splice(0)];
    try {
      await fetch(this.#answer.session, {
        method: "PATCH",
        headers: {
          ...this.#headers(),
          "Content-Type": "application/trickle-ice-sdpfrag",
          "If-Match": this.#answer.etag ?? "*",
        },
        body: body.join("\r\n") + "\r\n",
      });
    } catch {
      // A lost candidate costs a path, not the session; the connection's own state decides.
    }
  }
}
