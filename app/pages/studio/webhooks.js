// A shop's webhooks: which servers are told of what, whether it arrives, and how to send it again.

import { get, post, remove, segment } from "../shared/api.js";
import { busy, el, fill } from "../shared/dom.js";
import { confirmDialog, openDialog } from "../shared/dialog.js";
import { icon } from "../shared/icons.js";
import { Reading } from "../shared/reading.js";
import { toast, toastProblem } from "../shared/toast.js";

const BADGE = { active: "good", delivered: "good", suspended: "bad", failed: "bad" };
const LOOK_AGAIN_MS = 1500;
const THINGS = { order: "Orders", show: "Shows", flash_sale: "Flash sales" };

const badge = (state) => el("span", { class: `badge ${BADGE[state] ?? ""}`, data: { state } }, state);

function press(words, work, { danger = false } = {}) {
  const button = el("button", { type: "button", class: `button small${danger ? " danger" : ""}` }, words);
  button.addEventListener("click", () => busy(button, async () => {
    try {
      await work();
    } catch (error) {
      toastProblem(error);
    }
  }));
  return button;
}

/** The panel of one shop. */
export class Webhooks {
  constructor(shop) {
    this.path = `/api/shops/${segment(shop.id)}/webhooks`;
    this.reading = new Reading({ read: () => get(this.path), load: (found) => this.draw(found) });
    this.list = el("ul", { class: "webhooks", id: "webhook-rows" });
    // What there is to be told of is known with the list.
    this.add = el("button", { type: "button", class: "button small", id: "add-webhook", disabled: true }, icon("plus"), "Add");
    this.add.addEventListener("click", () => this.openForm());
    this.panel = el("section", { class: "panel stack webhook-panel", "aria-label": "Webhooks" },
      el("header", { class: "panel-head" }, el("h2", {}, "Webhooks"), this.add), this.list);
  }

  load() {
    return this.reading.refresh();
  }

  draw({ webhooks, event_types: eventTypes }) {
    this.eventTypes = eventTypes;
    this.add.disabled = false;
    fill(this.list, webhooks.length ? webhooks.map((one) => this.row(one))
      : el("li", { class: "faint" }, "Your own servers can be told of orders, shows and sales."));
  }

  row(one) {
    const path = `${this.path}/${segment(one.id)}`;
    return el("li", { class: "webhook", data: { webhook: one.id } },
      el("div", { class: "row" }, el("strong", { class: "grow webhook-url" }, one.url), badge(one.state)),
      el("p", { class: "faint" }, one.events.join(", ")),
      one.failing_since ? el("p", { class: "soft" }, `Has failed since ${new Date(one.failing_since).toLocaleString()}.`) : null,
      el("div", { class: "row wrap" },
        press("Deliveries", () => this.openDeliveries(one, path)),
        press("Send a test", async () => {
          await post(`${path}/ping`);
          toast("A test is on its way.", "good");
        }),
        press("New secret", async () => {
          if (!(await confirmDialog({ title: "New secret", text: "For a day the old one signs too.", yes: "Make a new one" }))) return;
          showSecret((await post(`${path}/secret`)).secret);
        }),
        one.state === "suspended" ? press("Resume", async () => {
          await post(`${path}/resume`);
          await this.load();
        }) : null,
        press("Remove", async () => {
          if (!(await confirmDialog({ title: "Remove the webhook", text: `${one.url} is told nothing more.`, yes: "Remove", danger: true }))) return;
          await remove(path);
          await this.load();
        }, { danger: true })));
  }

  openForm() {
    const url = el("input", { class: "input", id: "webhook-url", type: "url", required: true, maxlength: 2048 });
    const boxes = Object.entries(THINGS).map(([thing, label]) => el("fieldset", { class: "webhook-events" }, el("legend", {}, label),
      this.eventTypes.filter((type) => type.startsWith(`${thing}.`)).map((type) => el("label", {},
        el("input", { type: "checkbox", name: "event", value: type, checked: thing === "order" }), type.split(".")[1]))));
    const button = el("button", { class: "button primary", id: "save-webhook" }, "Add webhook");
    const form = el("form", { class: "stack" }, el("label", { class: "field" }, el("span", {}, "Address of your server (https)"), url), boxes,
      el("div", { class: "row end" }, button));
    const { dialog } = openDialog({ title: "Add a webhook", body: form });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const events = [...form.querySelectorAll("input[name=event]:checked")].map((box) => box.value);
      busy(button, async () => {
        try {
          const made = await post(this.path, { url: url.value.trim(), events });
          dialog.close("");
          showSecret(made.secret);
          await this.load();
        } catch (error) {
          toastProblem(error);
        }
      });
    });
  }

  openDeliveries(one, path) {
    const list = el("ol", { class: "deliveries", id: "deliveries" });
    const more = el("div", { class: "row end" });
    let older = false;
    let asked = 0;
    const draw = async (before) => {
      const turn = ++asked;
      older ||= Boolean(before);
      const page = await get(`${path}/deliveries${before ? `?before=${before}` : ""}`);
      if (turn !== asked) return; // what was asked for later is there, or comes
      if (!before) list.replaceChildren();
      list.append(...page.deliveries.map((delivery) => deliveryRow(delivery, path, draw)));
      if (!list.children.length) fill(list, el("li", { class: "faint" }, "Nothing yet."));
      fill(more, page.before ? press("Older", () => draw(page.before)) : null);
    };
    // What is on its way is looked at again, unless the person reads older pages.
    const timer = setInterval(() => {
      if (!older && list.querySelector("[data-state=pending]")) draw().catch(toastProblem);
    }, LOOK_AGAIN_MS);
    const { closed } = openDialog({ title: "Deliveries", className: "wide", body: el("div", { class: "stack" }, el("p", { class: "faint webhook-url" }, one.url), list, more) });
    closed.then(() => clearInterval(timer));
    return draw();
  }
}

function deliveryRow(one, path, draw) {
  const answer = one.error ?? (one.status ? `answered ${one.status}` : "not tried yet");
  return el("li", { class: "row", data: { event: one.event } },
    el("div", { class: "grow" }, el("strong", {}, one.type), el("p", { class: "faint" },
      [new Date(one.at).toLocaleString(), `${one.tries} ${one.tries === 1 ? "try" : "tries"}`, answer].join(" · "))),
    badge(one.state),
    one.state === "pending" ? null : press("Again", async () => {
      await post(`${path}/deliveries/${segment(one.event)}/replay`);
      await draw();
    }));
}

function showSecret(secret) {
  const field = el("input", { class: "input", id: "webhook-secret", readonly: true, value: secret, "aria-label": "Secret" });
  field.addEventListener("focus", () => field.select());
  openDialog({ title: "The signing secret", body: el("div", { class: "stack" },
    el("p", {}, "Your server checks the signature with it (Standard Webhooks). It is shown this once."), field) });
}
