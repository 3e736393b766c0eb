// What a viewer can do about a message of somebody else: answer it, report it, mute its author; and what a moderator's warning asks of
// them. Owns these buttons and dialogs.

import { get, put, remove, segment } from "../shared/api.js";
import { openDialog } from "../shared/dialog.js";
import { busy, el, fill, say, show } from "../shared/dom.js";
import { icon } from "../shared/icons.js";
import { Reading } from "../shared/reading.js";
import { toast, toastProblem } from "../shared/toast.js";

const MUTED_WORDS = "You do not read them any more. They do not learn of it.";
const REASONS = ["Rude or hateful", "Spam or a scam", "Sexual", "About somebody's private life", "Something else"];

export class Talk {
  /** `me()` is who is signed in; `answer(event)` has the composer answer a message. */
  constructor(room, { me, answer }) {
    this.room = room;
    this.me = me;
    this.answer = answer;
    this.blocks = new Reading({ read: () => get("/api/blocks"), load: (blocks) => this.takeBlocks(blocks) });
  }

  actionsOf(event) {
    const me = this.me();
    if (!me || me.id === event.by.id) return null;
    return [
      el("button", { type: "button", class: "icon-button reply", "aria-label": `Answer ${event.by.name}`, onclick: () => this.answer(event) }, icon("reply")),
      el("button", { type: "button", class: "icon-button mute", "aria-label": `Mute ${event.by.name} for yourself`, onclick: () => this.mute(event.by) }, icon("muted")),
      el("button", { type: "button", class: "icon-button report", "aria-label": `Report the message of ${event.by.name}`, onclick: () => this.report(event) }, icon("flag")),
    ];
  }

  /** Loads the own block list; `hide(accounts)` is told whom to leave out, now and whenever that changes. */
  loadBlocks(button, hide) {
    this.blocksButton = button;
    this.hide = hide;
    button.addEventListener("click", () => this.editBlocks());
    return this.blocks.refresh();
  }

  takeBlocks({ people }) {
    this.blocked = people;
    this.hide(people.map((one) => one.id));
    say(this.blocksButton, `Muted: ${people.length}`);
    show(this.blocksButton, people.length > 0);
  }

  async mute(person) {
    try {
      await this.blocks.change(() => put(`/api/blocks/${segment(person.id)}`, {}));
      toast(`${person.name} is muted. ${MUTED_WORDS}`);
    } catch (error) {
      toastProblem(error);
    }
  }

  editBlocks() {
    const list = el("ul", { class: "stack", id: "block-rows" });
    const draw = () => fill(list, this.blocked.length ? this.blocked.map((one) => el("li", { class: "row between" }, one.name, el("button", { type: "button", class: "button small", onclick: () => unmute(one) }, "Read again")))
      : el("li", { class: "faint" }, "Nobody."));
    const unmute = async (one) => {
      try {
        await this.blocks.change(async () => {
          await remove(`/api/blocks/${segment(one.id)}`);
          return { people: this.blocked.filter((other) => other.id !== one.id) };
        });
        draw();
      } catch (error) {
        toastProblem(error);
      }
    };
    draw();
    openDialog({ title: "People you do not read", body: list, className: "small" });
  }

  /** Shows a moderator's warning until it is acknowledged. */
  warn({ id, reason }) {
    if (this.warning === id) return;
    this.warning = id;
    const accept = el("button", { type: "button", class: "button primary", id: "accept-warning", autofocus: true }, "I have read this");
    const { dialog, closed } = openDialog({ title: "A moderator warns you", className: "small",
      body: el("div", { class: "stack" }, el("p", {}, reason), el("p", { class: "soft" }, "You can write again once you have read this."), el("div", { class: "row end" }, accept)) });
    closed.then(() => (this.warning = null));
    accept.addEventListener("click", () => busy(accept, async () => {
      try {
        const { next } = await this.room.command("warning.accept", { warning: id });
        dialog.close("read");
        if (next) closed.then(() => this.warn(next));
      } catch (error) {
        toast(error.message, "bad");
        if (!error.code) throw error;
      }
    }));
  }

  report(event) {
    const choices = REASONS.map((reason, n) => el("label", { class: "row" }, el("input", { type: "radio", name: "reason", value: reason, required: true, ...(n ? {} : { autofocus: true }) }), reason));
    const problem = el("p", { class: "error", role: "alert", hidden: true });
    const send = el("button", { type: "submit", class: "button primary" }, "Report");
    const form = el("form", { class: "stack" }, el("blockquote", { class: "soft" }, event.text), el("fieldset", { class: "choices" }, el("legend", {}, "What is wrong with it?"), choices), problem, el("div", { class: "row end" }, send));
    const { dialog } = openDialog({ title: `Report ${event.by.name}'s message`, body: form, className: "small" });
    form.addEventListener("submit", (submit) => {
      submit.preventDefault();
      busy(send, async () => {
        try {
          await this.room.command("chat.report", { message: event.id, reason: new FormData(form).get("reason") });
          dialog.close("sent");
          toast("Thank you. The moderators will look at it.", "good");
        } catch (error) {
          say(problem, error.message);
          show(problem, true);
          if (!error.code) throw error;
        }
      });
    });
  }
}
