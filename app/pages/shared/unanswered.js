// The questions that a show has left unanswered, with their clocks: by when the first answer is due, by when all is closed.
// The server says both; this draws them, and loads the list anew when a question has changed.

import { get, segment } from "./api.js";
import { countdown, everyTick } from "./clock.js";
import { busy, el, fill, say, show } from "./dom.js";
import { Reading } from "./reading.js";
import { toastProblem } from "./toast.js";

const AGAIN_MS = 300;

/** What the clocks of a question say at this moment, and whether something is overdue. */
export function clockWords({ answer_by: answerBy, close_by: closeBy }, now) {
  if (closeBy !== null && now >= closeBy) return ["To be closed since yesterday or longer", true];
  if (answerBy !== null && now >= answerBy) return [`The first answer is late; to be closed in ${countdown(closeBy - now)}`, true];
  if (answerBy !== null) return [`First answer in ${countdown(answerBy - now)}`, false];
  return closeBy === null ? ["", false] : [`To be closed in ${countdown(closeBy - now)}`, false];
}

export class Unanswered {
  /** `answer(question)` opens the box for words; `send(op, body)` sends a command. */
  constructor(host, { show: showId, answer, send }) {
    const path = `/api/shows/${segment(showId)}/questions/unanswered`;
    this.reading = new Reading({ read: () => get(path), load: ({ questions }) => this.load(questions) });
    this.answer = answer;
    this.send = send;
    this.over = false;
    this.questions = [];
    this.list = el("ol", { class: "unanswered-rows", "aria-label": "Left unanswered" });
    this.box = el("div", { class: "unanswered", hidden: true }, el("h3", {}, "Left unanswered"), this.list);
    host.before(this.box);
    everyTick((now) => this.tick(now));
  }

  /** A state key of the public room. */
  hearState(key, value) {
    if (key === "show" && value) this.over = value.state === "ended";
    if (this.over && (key === "show" || key.startsWith("q:"))) this.loadSoon();
  }

  /** Events of the staff room. */
  hearStaff(events) {
    if (this.over && events.some((event) => event.t.startsWith("question."))) this.loadSoon();
  }

  loadSoon() {
    this.loading ??= setTimeout(() => {
      this.loading = null;
      this.reading.refresh().catch(toastProblem);
    }, AGAIN_MS);
  }

  load(questions) {
    this.questions = questions;
    this.clocks = this.questions.map(() => el("span", { class: "numbers" }));
    fill(this.list, this.questions.map((one, n) => this.row(one, this.clocks[n])));
    show(this.box, this.questions.length > 0);
    this.tick(this.now);
  }

  row(one, clock) {
    const close = el("button", { type: "button", class: "button small", "aria-label": `Close without an answer: ${one.text}` }, "Close");
    close.addEventListener("click", () => busy(close, () => this.send("question.close", { question: one.id })));
    const words = one.state === "held" ? null : el("button", { type: "button", class: "button small", onclick: () => this.answer({ ...one, answer: "" }) }, "In words…");
    return el("li", { class: "question-row unanswered-row", data: { question: one.id } },
      el("div", { class: "question-text" }, el("p", { class: "question-words" }, one.text), el("p", { class: "faint" }, one.by.name, one.state === "held" ? " · held · " : " · ", clock)),
      el("div", { class: "row question-actions" }, words, close));
  }

  tick(now) {
    this.now = now;
    this.questions.forEach((one, n) => {
      const [words, late] = clockWords(one, now);
      say(this.clocks[n], words);
      this.clocks[n].classList.toggle("late", late);
    });
  }
}
