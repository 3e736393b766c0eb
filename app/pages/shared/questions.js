// The questions to the host: the list by votes, the box to ask in, and for the staff what they can do about each.
// Draws what the room's state says; counts nothing itself.

import { duration } from "./clock.js";
import { openDialog } from "./dialog.js";
import { busy, el, fill, refill, say, show } from "./dom.js";
import { Draft } from "./draft.js";
import { icon } from "./icons.js";
import { signInUrl } from "./session.js";
import { toast } from "./toast.js";

const ORDER = { answering: 0, open: 1, answered: 2 };
const STATES = { answering: "Being answered now", answered: "Answered" };

/** A moment of the show, as a player counts it. */
function moment(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  const two = (n) => String(n).padStart(2, "0");
  return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}

const byRank = (a, b) => ORDER[a.state] - ORDER[b.state]
  || (a.state === "answered" ? (b.taken_ms ?? 0) - (a.taken_ms ?? 0) : b.votes - a.votes) || a.at - b.at;

export class Questions {
  /** `me()` is who is signed in, null for nobody; `staff`: with the host's and the moderators' buttons; `count(n)` hears how many wait. */
  constructor(host, { room, me, staff = false, count = () => {} }) {
    this.room = room;
    this.me = me;
    this.staff = staff;
    this.count = count;
    this.voted = new Set();
    this.answers = {};
    this.held = new Map();
    this.list = el("ol", { class: "question-rows", "data-rows": "", "aria-label": "Questions", tabindex: "0" });
    this.box = el("div", { class: "composer-host" });
    fill(host, this.list, staff ? null : this.box);
    this.drawBox();
    this.draw();
  }

  /** The own votes and answers, from the join. */
  hearMe({ questions }) {
    this.voted = new Set(questions?.voted ?? []);
    this.answers = questions?.answers ?? {};
    this.drawBox();
    this.draw();
  }

  hearState(key) {
    if (key.startsWith("q:")) this.drawSoon();
  }

  hearHint(hint) {
    if (hint.t !== "question.answered") return;
    if (hint.private) this.answers[hint.id] = hint.text;
    toast("Your question was answered.", "good");
    this.draw();
  }

  /** Held questions, from the desk and from the staff room. */
  load(held) {
    this.held = new Map(held.map((one) => [one.id, one]));
    this.draw();
  }

  hearStaff(events) {
    for (const event of events) {
      if (event.t === "question.held") this.held.set(event.id, event);
      if (event.t === "question.seen_to") this.held.delete(event.id);
    }
    this.draw();
  }

  drawBox() {
    if (this.staff) return;
    const signedIn = this.me() !== null;
    if (this.boxFor === signedIn) return;
    this.boxFor = signedIn;
    if (!signedIn) {
      fill(this.box, el("p", { class: "composer-prompt" }, el("a", { href: signInUrl(), class: "button primary small" }, "Sign in to ask")));
      return;
    }
    this.draft = new Draft(this.room.client, "question.ask");
    this.input = el("input", { id: "question", class: "input", type: "text", autocomplete: "off", enterkeyhint: "send", placeholder: "Ask the host…", "aria-label": "Question", "aria-describedby": "question-wait" });
    this.send = el("button", { type: "submit", class: "icon-button send", "aria-label": "Ask", id: "ask" }, icon("send"));
    this.wait = el("p", { class: "composer-wait numbers", id: "question-wait", role: "status", hidden: true });
    const form = el("form", { class: "composer" }, this.input, this.send);
    form.addEventListener("submit", (event) => this.ask(event));
    this.draft.on = ({ sending, error, retry_in_ms: wait }) => {
      const waiting = wait !== null && wait > 0;
      this.send.disabled = waiting || sending;
      form.classList.toggle("waiting", waiting);
      say(this.wait, [error?.message, waiting ? `You can ask in ${duration(wait)}.` : ""].filter(Boolean).join(" "));
      show(this.wait, waiting || error !== null);
    };
    fill(this.box, this.wait, form);
  }

  async ask(event) {
    event.preventDefault();
    const text = this.input.value.trim();
    if (!text || this.send.disabled) return;
    this.draft.text = text;
    if (!(await this.draft.send())) return;
    if (this.input.value.trim() === text) this.input.value = ""; // what was typed meanwhile stays
    toast(this.draft.reply.held ? "A moderator looks at your question before others see it." : "Your question is asked.", "good");
  }

  drawSoon() {
    if (this.drawing) return;
    this.drawing = true;
    queueMicrotask(() => {
      this.drawing = false;
      this.draw();
    });
  }

  draw() {
    const all = [...this.room.state].filter(([key]) => key.startsWith("q:")).map(([, value]) => value).sort(byRank);
    const inside = this.list.contains(document.activeElement) ? document.activeElement : null;
    const focused = inside && { question: inside.closest("li")?.dataset.question, part: inside.dataset.part };
    this.count(all.filter((one) => one.state === "open").length + this.held.size);
    const rows = [...[...this.held.values()].map((one) => this.heldRow(one)), ...all.map((one) => this.row(one))];
    refill(this.list, rows.length ? rows : el("li", { class: "empty" }, this.staff ? "No questions yet." : "Nobody has asked anything yet."));
    if (focused?.question) this.focus(focused);
  }

  focus({ question, part }) {
    const row = [...this.list.children].find((one) => one.dataset.question === question);
    const wanted = part && row?.querySelector(`[data-part="${CSS.escape(part)}"]`);
    (wanted ?? row ?? this.list).focus({ preventScroll: true });
  }

  row(one) {
    const mine = this.me()?.id === one.by.id;
    const answer = one.private ? this.answers[one.id] : one.answer;
    return el("li", { class: `question-row ${one.state}${mine ? " mine" : ""}`, tabindex: "-1", data: { question: one.id, by: one.by.id } },
      this.voteButton(one, mine),
      el("div", { class: "question-text" },
        STATES[one.state] ? el("span", { class: `badge ${one.state === "answering" ? "live" : "good"}` }, STATES[one.state]) : null,
        el("p", { class: "question-words" }, one.text),
        answer ? el("p", { class: "question-answer" }, one.private ? el("strong", {}, "To you alone: ") : null, answer) : null,
        one.private && !answer ? el("p", { class: "faint" }, "Answered to the asker alone.") : null,
        el("p", { class: "faint" }, this.about(one))),
      this.staff ? el("div", { class: "row question-actions" }, this.buttons(one)) : null);
  }

  about(one) {
    const taken = one.taken_ms === null || one.state === "open" ? "" : ` · ${one.state === "answering" ? "taken up" : "answered"} at ${moment(one.taken_ms)}`;
    return `${one.by.name}${one.asked_ms === null ? " · before the show" : ` · asked at ${moment(one.asked_ms)}`}${taken}`;
  }

  voteButton(one, mine) {
    const voted = this.voted.has(one.id);
    const button = el("button", { type: "button", class: "vote numbers", "aria-pressed": String(voted), data: { part: "vote", key: "v" }, "aria-label": `${one.votes} votes. Vote for: ${one.text}` }, icon("arrowUp"), el("span", {}, String(one.votes)));
    button.disabled = mine || this.me() === null || one.state === "answered" || this.staff;
    button.addEventListener("click", () => this.command("question.vote", { question: one.id, on: !voted }, () => {
      if (voted) this.voted.delete(one.id);
      else this.voted.add(one.id);
      this.draw();
    }));
    return button;
  }

  buttons(one) {
    const wait = one.state !== "answered";
    return [
      one.state === "open" ? this.button("Take up", "a", "question.take", one) : null,
      wait ? this.button("Answered", "w", "question.answer", one) : null,
      el("button", { type: "button", class: "button small", data: { part: "words", key: "e" }, onclick: () => this.writeAnswer(one) }, "In words…"),
      this.button("Remove", "d", "question.remove", one, true),
    ].filter(Boolean);
  }

  heldRow(one) {
    return el("li", { class: "question-row held", tabindex: "-1", data: { question: one.id, by: one.by.id } }, el("span", {}),
      el("div", { class: "question-text" }, el("span", { class: "badge sale" }, "Held"), el("p", { class: "question-words" }, one.text), el("p", { class: "faint" }, one.by.name)),
      el("div", { class: "row question-actions" }, this.button("Let through", "a", "question.let", one), this.button("Remove", "d", "question.remove", one, true)));
  }

  button(word, key, op, one, danger = false) {
    const button = el("button", { type: "button", class: `button small${danger ? " danger" : ""}`, data: { part: key, key } }, word);
    button.addEventListener("click", () => busy(button, () => this.command(op, { question: one.id })));
    return button;
  }

  writeAnswer(one) {
    const words = el("textarea", { class: "input", id: "answer-words", rows: "4", required: true, maxlength: "500", autofocus: true });
    const alone = el("input", { type: "checkbox", id: "answer-alone" });
    const give = el("button", { type: "submit", class: "button primary", id: "give-answer" }, "Answer");
    const form = el("form", { class: "stack" }, el("blockquote", { class: "soft" }, one.text), el("label", { class: "field" }, el("span", {}, "Answer"), words),
      el("label", { class: "row" }, alone, `For ${one.by.name} alone`), el("div", { class: "row end" }, give));
    words.value = one.answer;
    const { dialog } = openDialog({ title: `Answer ${one.by.name}`, body: form, className: "small" });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      busy(give, () => this.command("question.answer", { question: one.id, text: words.value, private: alone.checked }, () => dialog.close("given")));
    });
  }

  async command(op, body, then = () => {}) {
    try {
      await this.room.command(op, body);
      then();
    } catch (error) {
      toast(error.message, "bad");
      if (!error.code) throw error;
    }
  }
}
