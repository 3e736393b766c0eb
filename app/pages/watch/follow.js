// Following the shop of the show: one button beside its name, for who is signed in. Owns the button.

import { get, put, remove, segment } from "../shared/api.js";
import { busy, say, show } from "../shared/dom.js";
import { toast, toastProblem } from "../shared/toast.js";

export class Follow {
  constructor(button) {
    this.button = button;
    button.addEventListener("click", () => busy(button, () => this.turn()));
  }

  /** `shop`: {id, name}. */
  async load(shop) {
    this.shop = shop;
    this.take(await get("/api/follows"));
  }

  take({ shops }) {
    this.following = shops.some((one) => one.id === this.shop.id);
    this.button.setAttribute("aria-pressed", String(this.following));
    say(this.button, this.following ? "Following" : "Follow");
    show(this.button, true);
  }

  async turn() {
    const path = `/api/follows/${segment(this.shop.id)}`;
    try {
      this.take(await (this.following ? remove(path) : put(path, {})));
      if (this.following) toast(`You follow ${this.shop.name}.`, "good");
    } catch (error) {
      toastProblem(error);
    }
  }
}
