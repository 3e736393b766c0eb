// Draws the pages' icons: stroked 24 × 24 paths, built as SVG elements. Knows nothing of their meaning.

const SVG = "http://www.w3.org/2000/svg";
const PATHS = {
  arrowDown: ["M12 5v14", "M6 13l6 6 6-6"],
  arrowUp: ["M12 19V5", "M6 11l6-6 6 6"],
  bag: ["M5 8h14l-1 12H6L5 8z", "M9 8V7a3 3 0 0 1 6 0v1"],
  bolt: ["M13 3L5 14h6l-1 7 8-11h-6l1-7z"],
  camera: ["M3 7h11v10H3z", "M14 11l7-4v10l-7-4"],
  chat: ["M4 5h16v11H9l-5 4V5z"],
  check: ["M5 12.5l4.5 4.5L19 7.5"],
  clock: ["M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z", "M12 7v5l3.5 2"],
  clap: ["M8 13V7a1.5 1.5 0 0 1 3 0v4", "M11 11V5.5a1.5 1.5 0 0 1 3 0V11", "M14 11V7a1.5 1.5 0 0 1 3 0v7a6 6 0 0 1-6 6c-2.4 0-4-1-5.2-3.2L3.6 13a1.5 1.5 0 0 1 2.6-1.5L8 14", "M19.5 4l1.5-1.5", "M20.5 8H22"],
  close: ["M6 6l12 12", "M18 6L6 18"],
  copy: ["M9 9h11v11H9z", "M5 15H4V4h11v1"],
  edit: ["M4 20l1-4L16 5l3 3L8 19l-4 1z"],
  expand: ["M4 9V4h5", "M20 9V4h-5", "M4 15v5h5", "M20 15v5h-5"],
  dots: ["M5 12v.01", "M12 12v.01", "M19 12v.01"],
  eye: ["M2 12s3.5-6.5 10-6.5S22 12 22 12s-3.5 6.5-10 6.5S2 12 2 12z", "M12 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z"],
  fire: ["M12 3c1 4 6 6 6 11a6 6 0 0 1-12 0c0-3 2-4 2-7 2 1 3 2.5 3.4 4C12.6 9 12.8 6 12 3z"],
  flag: ["M6 21V4", "M6 4h11l-2 4 2 4H6"],
  grip: ["M9 6v.01", "M15 6v.01", "M9 12v.01", "M15 12v.01", "M9 18v.01", "M15 18v.01"],
  heart: ["M12 20s-7.5-4.6-8.7-9.6C2.5 7 4.8 4.5 7.6 4.5c1.9 0 3.5 1 4.4 2.7.9-1.7 2.5-2.7 4.4-2.7 2.8 0 5.1 2.5 4.3 5.9C19.5 15.4 12 20 12 20z"],
  key: ["M8 11a4 4 0 1 0 0 8 4 4 0 0 0 0-8z", "M11 12l9-9", "M16 7l3 3"],
  laugh: ["M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z", "M7.5 13h9a4.5 4.5 0 0 1-9 0z", "M7.5 9.5l1.5-1 1.5 1", "M13.5 9.5l1.5-1 1.5 1"],
  muted: ["M4 9v6h4l5 4V5L8 9H4z", "M17 9l5 6", "M22 9l-5 6"],
  pin: ["M9 3h6l-1 6 4 4H6l4-4-1-6z", "M12 13v8"],
  plus: ["M12 5v14", "M5 12h14"],
  reply: ["M10 6l-6 6 6 6", "M4 12h9c4 0 7 2 7 6"],
  screen: ["M3 5h18v11H3z", "M9 20h6", "M12 16v4"],
  send: ["M4 12L20 4l-4 16-4-7-8-1z"],
  shield: ["M12 3l8 3v6c0 5-3.5 7.8-8 9-4.5-1.2-8-4-8-9V6l8-3z"],
  sound: ["M4 9v6h4l5 4V5L8 9H4z", "M16.5 8.5a5 5 0 0 1 0 7", "M19 6a8.5 8.5 0 0 1 0 12"],
  trash: ["M4 7h16", "M9 7V4h6v3", "M6 7l1 13h10l1-13"],
  wow: ["M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z", "M9 9v.01", "M15 9v.01", "M12 13a2 2.3 0 1 0 0 4.6 2 2.3 0 0 0 0-4.6z"],
  user: ["M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8z", "M4 21c0-4 3.5-6.5 8-6.5s8 2.5 8 6.5"],
};

const drawn = new Map(); // each as it was built first: a copy costs a fraction of that

/** An icon of that name, hidden from assistive technology: the control around it carries the label. */
export function icon(name) {
  if (!drawn.has(name)) drawn.set(name, build(name));
  return drawn.get(name).cloneNode(true);
}

function build(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("focusable", "false");
  for (const d of PATHS[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}
