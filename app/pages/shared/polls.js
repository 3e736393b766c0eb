// The poll above the chat: its answers as buttons with bars that grow, its result when it is over, and for the staff its
// end. Draws what the room's state says; counts nothing itself.

import { get, segment } from "./api.js";
import { countdown, everyTick } from "./clock.js";
import { openDialog } from "./dialog.js";
import { busy, el, fill, say, show } from "./dom.js";
import { icon } from "./icons.js";
import { commandOrToast, toastProblem } from "./toast.js";

const sum = (counts) => counts.reduce((all, one) => all + one, 0);
const answers = (n) => (n === 1 ? "1 answer" : `${n} answers`);
const LASTS = [[60, "One minute"], [30, "30 seconds"], [120, "Two minutes"], [300, "Five minutes"], ["", "Until it is ended"]];

/** One answer with its bar. */
class Option {
  constructor(words, tag, props) {
    this.bar = el("i");
    this.share = el("span", { class: "numbers" });
    this.node = el(tag, { class: "poll-option", ...props }, this.bar, el("span", {}, words), this.share);
  }

  draw({ count, all, first, mine }) {
    const percent = all ? Math.round((100 * count) / all) : 0;
    this.bar.style.width = `${percent}%`;
    say(this.share, `${count} · ${percent} %`);
    this.node.classList.toggle("mine", mine);
    this.node.classList.toggle("first", first);
  }
}

function drawAll(options, poll, choice) {
  const all = sum(poll.counts);
  const most = Math.max(...poll.counts);
  options.forEach((option, n) => option.draw({ count: poll.counts[n], all, mine: choice === n, first: poll.state === "ended" && all > 0 && poll.counts[n] === most }));
}

export class Polls {
  /** The poll stands before `host`. `me()` is who is signed in; `staff`: with its end. */
  constructor(host, { room, show: showId, me, staff = false }) {
    this.room = room;
    this.showId = showId;
    this.me = me;
    this.staff = staff;
    this.poll = null;
    this.mine = null; // {id, choice}
    this.hidden = null; // the poll that this reader has closed
    this.box = el("section", { class: "poll", "aria-label": "Poll", hidden: true });
    host.before(this.box);
    everyTick((now) => this.tick(now));
  }

  /** The state key `poll`. */
  hear(poll) {
    const other = this.poll?.id !== poll?.id || this.poll?.state !== poll?.state;
    this.poll = poll;
    if (other) this.build();
    this.draw();
  }

  /** The person's own answer, from the join. */
  hearMe({ poll }) {
    this.mine = poll ?? null;
    this.build();
    this.draw();
  }

  build() {
    const { poll } = this;
    if (!poll) return fill(this.box);
    const open = poll.state === "open";
    this.options = poll.options.map((words, n) => new Option(words, "button", { type: "button", disabled: !open || this.me() === null, "aria-pressed": "false", data: { choice: n }, onclick: () => this.answer(n) }));
    this.status = el("p", { class: "faint numbers" });
    const tools = el("div", { class: "row" }, this.status);
    const past = el("button", { type: "button", class: "button ghost small", onclick: () => busy(past, () => this.openAll()) }, "All polls");
    if (!open) tools.append(past);
    if (open && this.staff) {
      const end = el("button", { type: "button", class: "button small", id: "end-poll" }, "End poll");
      end.addEventListener("click", () => busy(end, () => commandOrToast(this.room, "poll.end", { poll: poll.id })));
      tools.append(end);
    }
    const close = el("button", { type: "button", class: "icon-button", "aria-label": "Close the poll", onclick: () => this.close() }, icon("close"));
    return fill(this.box, el("div", { class: "row between" }, el("strong", { class: "grow" }, poll.question), open ? null : close),
      el("div", { class: "poll-options", role: "group", "aria-label": poll.question }, this.options.map((one) => one.node)), tools);
  }

  get choice() {
    return this.poll && this.mine?.id === this.poll.id ? this.mine.choice : null;
  }

  draw() {
    show(this.box, this.poll !== null && this.hidden !== this.poll.id);
    if (!this.poll) return;
    drawAll(this.options, this.poll, this.choice);
    this.options.forEach((option, n) => {
      option.node.setAttribute("aria-pressed", String(this.choice === n));
      option.node.disabled = this.poll.state !== "open" || this.me() === null || this.choice !== null;
    });
    this.tick();
  }

  tick(now = null) {
    if (!this.poll || this.box.hidden) return;
    if (now !== null) this.now = now;
    const left = this.poll.ends_at && this.now ? ` · ends in ${countdown(this.poll.ends_at - this.now)}` : "";
    const open = this.poll.state === "open";
    say(this.status, `${answers(sum(this.poll.counts))}${open ? left : " · the poll is over"}${open && this.me() === null ? " · sign in to answer" : ""}`);
  }

  close() {
    this.hidden = this.poll.id;
    this.draw();
  }

  async answer(choice) {
    const poll = this.poll.id;
    const reply = await commandOrToast(this.room, "poll.answer", { poll, choice });
    if (!reply) return;
    this.mine = { id: poll, choice: reply.choice };
    this.draw();
  }

  async openAll() {
    try {
      const { polls } = await get(`/api/shows/${segment(this.showId)}/polls`);
      openDialog({ title: "Polls of this show", body: el("ol", { class: "poll-list", id: "poll-list" }, polls.map((poll) => this.resultOf(poll))) });
    } catch (error) {
      toastProblem(error);
    }
  }

  resultOf(poll) {
    const options = poll.options.map((words) => new Option(words, "div", {}));
    drawAll(options, poll, this.mine?.id === poll.id ? this.mine.choice : null);
    return el("li", { class: "stack" }, el("h3", {}, poll.question), el("div", { class: "poll-options" }, options.map((one) => one.node)),
      el("p", { class: "faint" }, `${answers(sum(poll.counts))} · asked by ${poll.by}${poll.state === "open" ? " · still open" : ""}`));
  }
}

/** Asks a member of the staff for a poll; what was typed stays when the server refuses it. */
export function writePoll(send) {
  const question = el("input", { class: "input", id: "poll-question", maxlength: "140", autocomplete: "off", required: true, autofocus: true });
  const options = el("textarea", { class: "input", id: "poll-options", rows: "4", required: true });
  const lasts = el("select", { class: "input", id: "poll-lasts" }, LASTS.map(([s, word]) => el("option", { value: String(s) }, word)));
  const ask = el("button", { type: "submit", class: "button primary", id: "ask-poll" }, "Ask everybody");
  const form = el("form", { class: "stack" }, el("label", { class: "field" }, el("span", {}, "Question"), question),
    el("label", { class: "field" }, el("span", {}, "Answers to choose from, one a line, two to six"), options),
    el("label", { class: "field" }, el("span", {}, "It lasts"), lasts), el("div", { class: "row end" }, ask));
  const { dialog } = openDialog({ title: "A poll", body: form, className: "small" });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(ask, async () => {
      const lines = options.value.split("\n").map((line) => line.trim()).filter(Boolean);
      const body = { question: question.value, options: lines, ...(lasts.value ? { for_s: Number(lasts.value) } : {}) };
      if (await send("poll.start", body)) dialog.close("asked");
    });
  });
}
