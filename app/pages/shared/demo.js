// The three ready sign-ins of a demo, as buttons that lead to the page of that person.

import { busy, el } from "./dom.js";
import { icon } from "./icons.js";
import { secureEnough, signIn } from "./session.js";
import { toastProblem } from "./toast.js";

const DEMO_SHOW = "demo";
const PEOPLE = [
  ["viewer", "bag", "A viewer", "Watch, chat and buy", `/watch/${DEMO_SHOW}`],
  ["host", "camera", "The host", "Run the show in the studio", `/studio/${DEMO_SHOW}`],
  ["moderator", "shield", "The moderator", "Keep the chat decent", `/moderate/${DEMO_SHOW}`],
];

/** The buttons; `next` replaces the page that follows. */
export function demoButtons(next = null) {
  return el("div", { class: "demo-people" }, PEOPLE.map(([role, symbol, name, what, page]) => {
    const button = el("button", { type: "button", class: "demo-person", data: { demo: role }, disabled: !secureEnough() },
      icon(symbol), el("span", {}, el("strong", {}, name), el("small", {}, what)));
    button.addEventListener("click", () => busy(button, async () => {
      try {
        await signIn({ demo: role });
        location.assign(role === "viewer" && next ? next : page);
      } catch (error) {
        toastProblem(error);
      }
    }));
    return button;
  }));
}
