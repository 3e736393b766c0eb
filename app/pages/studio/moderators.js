// Who moderates the show: appointed and removed by the host.

import { get, put, remove, segment } from "../shared/api.js";
import { busy, el, fill } from "../shared/dom.js";
import { icon } from "../shared/icons.js";
import { Reading } from "../shared/reading.js";
import { toast, toastProblem } from "../shared/toast.js";

const officeOf = ({ lead, everywhere }) => [lead ? " · lead" : "", everywhere ? " · all shows" : ""].join("");

export class Moderators {
  constructor(host, show) {
    this.path = `/api/shows/${segment(show.id)}/moderators`;
    this.reading = new Reading({ read: () => get(this.path), load: ({ moderators }) => this.draw(moderators) });
    this.list = el("ul", { class: "people", id: "moderator-rows" });
    const name = el("input", { class: "input", id: "appoint-name", required: true, maxlength: 254, placeholder: "Name or email", "aria-label": "Name or email" });
    this.lead = el("input", { type: "checkbox", id: "appoint-lead" });
    this.everywhere = el("input", { type: "checkbox", id: "appoint-everywhere" });
    const appoint = el("button", { class: "button small", id: "appoint" }, icon("shield"), "Appoint");
    const form = el("form", { class: "stack" }, el("div", { class: "appoint" }, name, appoint),
      el("div", { class: "row" }, el("label", { class: "row" }, this.lead, "Lead moderator"), el("label", { class: "row" }, this.everywhere, "For all shows of the shop")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      busy(appoint, () => this.appoint(name));
    });
    fill(host, el("header", { class: "panel-head" }, el("h2", {}, "Moderators")), this.list, form,
      el("p", { class: "faint" }, "They find the chat at ", el("a", { href: `/moderate/${segment(show.id)}` }, `/moderate/${show.id}`), "."));
  }

  load() {
    return this.reading.refresh();
  }

  draw(people) {
    fill(this.list, people.length ? people.map((person) => {
      const dismiss = el("button", { type: "button", class: "icon-button", "aria-label": `Remove ${person.name}` }, icon("close"));
      dismiss.addEventListener("click", () => busy(dismiss, () => this.dismiss(person)));
      return el("li", { class: "person", data: { account: person.id } }, icon("shield"),
        el("span", { class: "grow" }, person.name, el("span", { class: "faint" }, officeOf(person))), dismiss);
    }) : el("li", { class: "faint" }, "Nobody but you."));
  }

  async appoint(input) {
    const word = input.value.trim();
    if (!word) return;
    try {
      const how = { lead: this.lead.checked, everywhere: this.everywhere.checked };
      await this.reading.change(() => put(this.path, { ...(word.includes("@") ? { email: word } : { name: word }), ...how }));
      input.value = "";
      this.lead.checked = this.everywhere.checked = false;
      toast(`${word} may moderate now.`, "good");
    } catch (error) {
      toastProblem(error);
    }
  }

  async dismiss(person) {
    try {
      await remove(`${this.path}/${segment(person.id)}${person.everywhere ? "?everywhere=1" : ""}`);
      await this.load();
    } catch (error) {
      toastProblem(error);
    }
  }
}
