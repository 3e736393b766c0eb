// Reactions: five buttons and how often each was pressed by everybody since this page came. The numbers have a place of a
// fixed width, so nothing moves when they grow.

import { el, fill, say } from "../shared/dom.js";
import { icon } from "../shared/icons.js";
import { toast } from "../shared/toast.js";

const KINDS = [["heart", "Heart"], ["clap", "Applause"], ["laugh", "Laughter"], ["wow", "Wonder"], ["fire", "Fire"]];

/** At most four signs: 999, 1.2k, 12k, 3.4M. */
function short(n) {
  if (n < 1000) return String(n);
  const [size, word] = n < 1e6 ? [1e3, "k"] : [1e6, "M"];
  return `${n < 10 * size ? Math.floor(n / (size / 10)) / 10 : Math.min(999, Math.floor(n / size))}${word}`;
}

export class Reactions {
  constructor(host, { room, signedIn }) {
    this.room = room;
    this.sums = {};
    this.counts = new Map();
    this.buttons = KINDS.map(([kind, word]) => this.button(kind, word));
    fill(host, this.buttons);
    this.allow(signedIn);
  }

  button(kind, word) {
    const count = el("span", { class: "reaction-count numbers" });
    this.counts.set(kind, count);
    return el("button", { type: "button", class: "reaction", data: { kind }, "aria-label": word, onclick: () => this.press(kind) },
      icon(kind), count);
  }

  /** Whether the person may press. */
  allow(signedIn) {
    for (const button of this.buttons) button.disabled = !signedIn;
  }

  async press(kind) {
    try {
      await this.room.command("reaction.add", { kind });
    } catch (error) {
      if (!error.code) throw error;
      if (error.code !== "too_fast") toast(error.message, "bad"); // one heart less is no loss
    }
  }

  /** So many more of each kind since the last time. */
  hear(sums) {
    for (const [kind, more] of Object.entries(sums)) {
      const count = this.counts.get(kind);
      if (!count) continue; // of a newer server
      this.sums[kind] = (this.sums[kind] ?? 0) + more;
      say(count, short(this.sums[kind]));
      const button = count.parentElement;
      button.setAttribute("aria-label", `${KINDS.find(([one]) => one === kind)[1]}: ${this.sums[kind]}`);
      button.getAnimations().forEach((one) => one.cancel());
      if (!matchMedia("(prefers-reduced-motion: reduce)").matches) {
        button.firstChild.animate([{ transform: "scale(1.35)" }, { transform: "none" }], { duration: 260, easing: "ease-out" });
      }
    }
  }
}
