// Builds elements. Owns the one way in which data reaches the page: as text nodes and attributes, never as markup.

/**
 * An element. `props`: `on<event>` functions are listeners, `data` goes to dataset, booleans to attributes,
 * the rest to attributes as text; null and undefined are left out. Children: nodes, text, null, or arrays of these.
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on") && typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  add(node, children);
  return node;
}

function add(node, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) add(node, child);
    else node.append(child);
  }
}

/** Replaces all that is in `node`. */
export function fill(node, ...children) {
  node.replaceChildren();
  add(node, children);
  return node;
}

/**
 * As `fill`, but a child that looks as one did before is that one, which stays where it is: a press that has begun on it
 * is not lost. For children that nobody keeps a hold of, without fields to type in, whose markup shows all that their
 * listeners go by.
 */
export function refill(node, ...children) {
  const before = new Set(node.childNodes);
  const wanted = children.flat(Infinity).filter(Boolean).map((child) => {
    const same = before.has(child) ? child : [...before].find((one) => one.isEqualNode(child)) ?? child;
    before.delete(same);
    return same;
  });
  for (const gone of before) gone.remove();
  wanted.forEach((child, at) => {
    const there = node.childNodes[at] ?? null;
    if (there !== child) node.insertBefore(child, there);
  });
  return node;
}

// The one of these children of `host` that somebody is at: with the focus, under a press, or the first that is in sight.
function inUse(host, nodes) {
  const { left, right, top, bottom } = host.getBoundingClientRect();
  const seen = (node) => {
    const box = node.getBoundingClientRect();
    const [x, y] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
    return x > left && x < right && y > top && y < bottom;
  };
  return nodes.find((node) => node.contains(document.activeElement)) ?? nodes.find((node) => node.matches(":active")) ?? nodes.find(seen) ?? nodes[0];
}

/** Has `host` these nodes in this order. The one that somebody is at neither leaves the page nor moves within sight. */
export function arrange(host, nodes) {
  const kept = inUse(host, nodes.filter((node) => node.parentNode === host));
  if (!kept) return fill(host, nodes);
  const before = kept.getBoundingClientRect();
  for (const node of [...host.childNodes]) if (!nodes.includes(node)) node.remove();
  const at = nodes.indexOf(kept);
  for (let n = at - 1; n >= 0; n -= 1) if (nodes[n + 1].previousSibling !== nodes[n]) host.insertBefore(nodes[n], nodes[n + 1]);
  for (let n = at + 1; n < nodes.length; n += 1) if (nodes[n - 1].nextSibling !== nodes[n]) nodes[n - 1].after(nodes[n]);
  const after = kept.getBoundingClientRect();
  host.scrollBy({ left: after.left - before.left, top: after.top - before.top, behavior: "instant" });
  return host;
}

// What a row is of, by its data; null where that says nothing.
const rowKey = (row) => (Object.values(row.dataset).some(Boolean) ? JSON.stringify({ ...row.dataset }) : null);

/**
 * As `refill`, of rows that keys act on: the focus stays with its row, wherever that goes and even if it was drawn anew,
 * or else a key would act on another. Only of a row that is gone it goes to the nearest: the next, or the one before.
 */
export function refillRows(list, ...rows) {
  const focused = document.activeElement;
  const before = [...list.children];
  const at = before.findIndex((row) => row.contains(focused));
  refill(list, ...rows);
  if (at < 0 || document.activeElement === focused) return;
  const there = (row) => (row.parentNode === list ? row : rowKey(row) && [...list.children].find((one) => rowKey(one) === rowKey(row)));
  const same = there(before[at]);
  if (!same) (before.slice(at + 1).map(there).find(Boolean) ?? before.slice(0, at).reverse().map(there).find(Boolean) ?? list.firstElementChild)?.focus();
  else if (same.contains(focused)) focused.focus({ preventScroll: true }); // it was moved
  else ((focused !== before[at] && same.querySelector(`[data-key="${CSS.escape(focused.dataset.key ?? "")}"]:enabled`)) || same).focus({ preventScroll: true });
}

/** Sets text only when it differs, so that nothing is announced or painted twice. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Shows or hides. */
export function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

/** The element with this id; the markup of the page must have it. */
export function byId(id) {
  const node = document.getElementById(id);
  if (!node) throw new Error(`the page has no #${id}`);
  return node;
}

/** Runs `work` with the button busy, so that a double click does nothing twice. */
export async function busy(button, work) {
  if (button.getAttribute("aria-busy") === "true") return undefined;
  button.setAttribute("aria-busy", "true");
  button.disabled = true;
  try {
    return await work();
  } finally {
    button.removeAttribute("aria-busy");
    button.disabled = false;
  }
}
