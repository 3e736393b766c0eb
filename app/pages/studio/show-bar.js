// The bar over the desk: title, state, viewers, how long it has been going, and the buttons that change the state.

import { post, segment } from "../shared/api.js";
import { countdown } from "../shared/clock.js";
import { confirmDialog } from "../shared/dialog.js";
import { busy, el, fill, say, show } from "../shared/dom.js";
import { icon } from "../shared/icons.js";
import { toast, toastProblem } from "../shared/toast.js";
import { stateBadge } from "./show-list.js";

const MOVES = {
  scheduled: [["start", "Start the show", "primary"]],
  rehearsal: [["start", "Start the show", "primary"]],
  live: [["pause", "Pause", ""], ["end", "End the show", "danger"]],
  paused: [["resume", "Resume", "primary"], ["end", "End the show", "danger"]],
  ended: [],
};

export class ShowBar {
  /** `change(act)` takes an act that is answered with the show. */
  constructor(host, loaded, change) {
    this.change = change;
    this.title = el("h1", {});
    this.badge = el("span", { id: "state" });
    this.viewers = el("span", { class: "numbers", id: "watching" }, "0");
    this.elapsed = el("span", { class: "numbers" });
    this.buttons = el("div", { class: "row" });
    fill(host, el("div", { class: "grow row" }, this.badge, this.title),
      el("span", { class: "badge" }, icon("eye"), this.viewers, " watching"),
      this.elapsedBadge = el("span", { class: "badge", hidden: true }, icon("clock"), this.elapsed),
      el("a", { class: "button small", href: `/watch/${segment(loaded.id)}`, target: "_blank" }, "Open watch page"),
      this.buttons);
    this.take(loaded);
  }

  take(loaded) {
    this.loaded = loaded;
    say(this.title, loaded.title);
    this.setState(loaded.state);
  }

  setState(state) {
    if (this.state === state) return;
    this.state = state;
    fill(this.badge, stateBadge(state));
    fill(this.buttons, (MOVES[state] ?? []).map(([move, word, look]) => {
      const button = el("button", { type: "button", class: `button small ${look}`, data: { move } }, word);
      button.addEventListener("click", () => this.move(button, move));
      return button;
    }));
  }

  async move(button, move) {
    if (move === "end" && !(await confirmDialog({
      title: "End the show?", text: "Viewers see the end at once, running sales end, and the show cannot be started again.", yes: "End the show", danger: true,
    }))) return;
    await busy(button, async () => {
      try {
        await this.change(() => post(`/api/shows/${segment(this.loaded.id)}/${move}`));
        if (move === "start") toast("You are on. Viewers see the show now.", "good");
      } catch (error) {
        toastProblem(error);
      }
    });
  }

  hear(key, value) {
    if (key === "viewers" && value) say(this.viewers, String(value.n));
    if (key === "show" && value) {
      say(this.title, value.title);
      this.setState(value.state);
      this.startedMs = value.started_at_ms ?? null;
    }
  }

  update(now) {
    const running = Boolean(this.startedMs) && (this.state === "live" || this.state === "paused");
    show(this.elapsedBadge, running);
    if (running) say(this.elapsed, countdown(now - this.startedMs));
  }
}
