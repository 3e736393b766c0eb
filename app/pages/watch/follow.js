// Following the shop of the show: one button beside its name, for who is signed in. Owns the button.

import { get, put, remove, segment } from "../shared/api.js";
import { busy, say, show } from "../shared/dom.js";
import { Reading } from "../shared/reading.js";
import { toast, toastProblem } from "../shared/toast.js";

export class Follow {
  constructor(button) {
    this.button = button;
    this.reading = new Reading({ read: () => get("/api/follows"), load: (follows) => this.take(follows) });
    button.addEventListener("click", () => busy(button, () => this.turn()));
  }

  /** `shop`: {id, name}. */
  load(shop) {
    this.shop = shop;
    return this.reading.refresh();
  }

  /** The person is signed out: what still comes of theirs is not shown. */
  leave() {
    this.left = true;
    show(this.button, false);
  }

  take({ shops }) {
    if (this.left) return;
    this.following = shops.some((one) => one.id === this.shop.id);
    this.button.setAttribute("aria-pressed", String(this.following));
    say(this.button, this.following ? "Following" : "Follow");
    show(this.button, true);
  }

  async turn() {
    const path = `/api/follows/${segment(this.shop.id)}`;
    const { following } = this;
    try {
      await this.reading.change(() => (following ? remove(path) : put(path, {})));
      if (this.following) toast(`You follow ${this.shop.name}.`, "good");
    } catch (error) {
      toastProblem(error);
    }
  }
}
