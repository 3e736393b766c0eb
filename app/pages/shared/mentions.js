// Who is spoken to in a text: `@` and somebody's name. Cuts a text into parts and knows no element.

const WORD = /[\p{L}\p{N}\p{M}_]/u;

const fold = (text) => text.normalize("NFC").toLowerCase();

// Whether the name stands at this place, and no longer name that only begins like it.
function stands(text, name, at) {
  const words = text.slice(at, at + name.length);
  return fold(words) === fold(name) && !WORD.test(text.charAt(at + name.length));
}

/** `[{text, name}]`, joined the text again; `name`: whom this part speaks to, null for nobody. `names`: those who may be meant. */
export function partsOf(text, names) {
  const parts = [];
  const longestFirst = text.includes("@") ? [...names].sort((a, b) => b.length - a.length) : [];
  let from = 0;
  for (let at = text.indexOf("@"); at >= 0 && longestFirst.length; at = text.indexOf("@", at + 1)) {
    const name = at < from || (at > 0 && WORD.test(text.charAt(at - 1))) ? undefined : longestFirst.find((one) => stands(text, one, at + 1));
    if (name === undefined) continue;
    const end = at + 1 + name.length;
    if (at > from) parts.push({ text: text.slice(from, at), name: null });
    parts.push({ text: text.slice(at, end), name });
    from = end;
  }
  if (from < text.length) parts.push({ text: text.slice(from), name: null });
  return parts;
}
