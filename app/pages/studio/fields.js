// Small parts of the studio's forms: a labelled field, a choice, a date and time in the reader's zone. No state.

import { el } from "../shared/dom.js";

export const field = (label, ...controls) => el("label", { class: "field" }, el("span", {}, label), controls);

export const choice = (name, options, chosen) => el("select", { class: "input", name },
  options.map(([value, text]) => el("option", { value, selected: value === chosen }, text)));

/** A Unix millisecond as the input for a date and time wants it, in this reader's zone. */
export const localTime = (ms) => new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);

/** An input for a moment that may stay empty; `ms` is what it begins with. */
export const momentInput = (name, ms = null) =>
  el("input", { class: "input", name, type: "datetime-local", value: ms === null ? "" : localTime(ms) });

/** The moment as Unix milliseconds, or null when the input is empty. `ms` counts as unchanged: its seconds stay. */
export const readMoment = (input, ms = null) => {
  if (input.value === "") return null;
  return ms !== null && input.value === localTime(ms) ? ms : new Date(input.value).getTime();
};
