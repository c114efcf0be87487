// Numbers, times and symbols as text.

const signed = (text) => text.replace("-", "−");

/** A value and its error, both to the second digit of the error. */
export function rounded(value, error) {
  if (value === null || value === undefined) return ["–", ""];
  if (!(error > 0)) return [signed(String(Number(value.toPrecision(6)))), ""];
  const size = Number(error.toPrecision(2)); // rounding may carry: 0.0996 is 0.10
  const places = Math.min(20, Math.max(0, 1 - Math.floor(Math.log10(size))));
  return [signed(value.toFixed(places)), size.toFixed(places)];
}

export const grouped = (n) => (n === null || n === undefined ? "–" : Math.round(n).toLocaleString("en-US"));

/** A large number as it is said: 31,000 rather than 31,274. */
export const about = (n) => grouped(Number(n.toPrecision(2)));

export const brief = (x) => signed(String(Number(x.toPrecision(3))));

/** Seconds as "12 s", "3 min", "5 h" or "2 days". */
export function lasting(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  const days = Math.floor(s / 86400);
  return `${days} day${days > 1 ? "s" : ""}`;
}

/** The time of day, with the date where it is not today. */
export function clock(iso) {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return "";
  const hours = time.toLocaleTimeString("en-GB");
  if (time.toDateString() === new Date().toDateString()) return hours;
  return `${time.toLocaleDateString("en-GB", { day: "numeric", month: "short" })}, ${hours}`;
}

const PARTS = /^([A-Za-z])(?:_(\w+)|(\d+\w*|p+))$/;

/** A parameter's name as letter and index: Jp, J1 and q_fwhm have one, width has none. */
export function symbol(name) {
  const [, data] = /\[(\d+)\]$/.exec(name) ?? [];
  const bare = name.replace(/\[\d+\]$/, "");
  const found = PARTS.exec(bare);
  const [letter, index] = found ? [found[1], found[2] ?? found[3]] : [bare, ""];
  return { letter, index: [index, data].filter(Boolean).join(", ") };
}

/** The same for a label of a drawing. */
export function label(name, unit) {
  const { letter, index } = symbol(name);
  return `<i>${escaped(letter)}</i>${index ? `<sub>${escaped(index)}</sub>` : ""}${unit ? ` (${escaped(unit)})` : ""}`;
}

export const escaped = (text) =>
  String(text).replace(/[&<>"']/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" })[c]);

/** An element with a class, children and attributes. Text is set as text, never as markup. */
export function element(tag, kind = "", ...children) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}
