// The numbers, and whether the measurement may stop.

import { about, brief, clock, element, grouped, rounded, symbol } from "./words.js";

const at = (id) => document.getElementById(id);

/** Replaces children only where they differ, so that nothing flickers and nothing is read out twice. */
function put(parent, ...children) {
  const fresh = element("div", "", ...children);
  if (parent.innerHTML === fresh.innerHTML) return false;
  parent.replaceChildren(...fresh.childNodes);
  return true;
}

function named(name) {
  const { letter, index } = symbol(name);
  return element("span", "symbol", element("i", "", letter), index ? element("sub", "", index) : null);
}

/** The free parameters with their entries, in the order of the model. */
export function free(fit) {
  const place = (name) => (fit.free?.indexOf(name) + 1 || Infinity);
  const found = Object.entries(fit.parameters).filter(([, one]) => !one.fixed);
  return found.sort(([a], [b]) => (place(a) < place(b) ? -1 : place(a) > place(b) ? 1 : 0));
}

/** The error of a parameter, with the misfit of the model where it is known. */
const quoted = (one) => one.total_error ?? one.error;

function parameter(name, one, target) {
  const [value, error] = rounded(one.value, quoted(one));
  const open = one.determined === false;
  const said = open ? "not determined by these data" : one.at_bound ? "at a bound, so without an error" : error ? "" : "without an error";
  const reached = target && target.error !== null && target.error <= target.target;
  const goal = target
    ? element("p", reached ? "goal met" : "goal", `target ± ${brief(target.target)}${reached ? " reached" : ""}`)
    : null;
  return element(
    "div",
    "parameter",
    element("p", "name", named(name), tied(one)),
    element(
      "p",
      "value",
      value,
      " ",
      element("span", "rest", error ? element("small", "", `± ${error}`) : null, one.unit ? element("span", "unit", ` ${one.unit}`) : null),
    ),
    said ? element("p", "goal edge", said) : goal,
  );
}

const tied = (one) => (one.tie ? element("small", "", ` = ${one.tie}`) : null);

function fact(name, value) {
  return element("div", "", element("dt", "", name), element("dd", "", value));
}

export function showHeadline(fit) {
  const live = fit.live ?? {};
  const targets = live.targets ?? {};
  put(at("parameters"), ...free(fit).map(([name, one]) => parameter(name, one, targets[name])));
  at("parameters").dataset.count = free(fit).length;
  const facts = [fact("neutrons", grouped(live.neutrons))];
  if (live.files !== undefined && live.files !== null) facts.push(fact("files", grouped(live.files)));
  if (fit.chi2_reduced) facts.push(fact("χ² per degree of freedom", fit.chi2_reduced.toFixed(2)));
  if (live.tension?.sigma !== undefined) facts.push(fact("tension with earlier data", `${brief(live.tension.sigma)} σ`));
  if (live.mode_share !== undefined && live.mode_share !== null)
    facts.push(fact("weight of this minimum", `${Math.round(100 * live.mode_share)} %`));
  put(at("facts"), ...facts);
  const told = [...(live.events ?? []), live.tension?.text].filter(Boolean);
  at("events").hidden = told.length === 0;
  at("events").textContent = told.map((text) => text.charAt(0).toUpperCase() + text.slice(1)).join(" · ");
  const said = fit.warnings ?? [];
  at("warnings").hidden = said.length === 0;
  put(at("warnings"), element("h2", "", "Before quoting these numbers"), element("ul", "", ...said.map((text) => element("li", "", text))));
}

const DRAWN = {
  yes: "M5 12.5l4.6 4.6L19 7.5",
  wait: "M12 6.5v6l3.8 2.4",
};

/** A mark that says the same as its colour. */
function mark(kind, size) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", width: size, height: size, "aria-hidden": "true" }))
    svg.setAttribute(key, value);
  const ring = document.createElementNS(space, "circle");
  for (const [key, value] of Object.entries({ cx: 12, cy: 12, r: 10.5 })) ring.setAttribute(key, value);
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", DRAWN[kind]);
  svg.append(ring, path);
  return svg;
}

function condition(one) {
  const state = element("span", "hidden", one.met ? "met: " : "missing: ");
  const item = element("li", one.met ? "met" : "missing", mark(one.met ? "yes" : "wait", 22));
  item.append(element("p", "", state, element("strong", "", one.name), one.text ? element("span", "", one.text) : ""));
  return item;
}

function projected(name, one, neutrons) {
  const reached = one.error !== null && one.error <= one.target;
  const range = one.low && one.high ? `${about(one.low)} – ${about(one.high)}` : "";
  const said = reached ? "reached" : one.neutrons ? `${about(one.neutrons)} neutrons` : "not yet known";
  const share = reached ? 1 : one.neutrons && neutrons ? Math.min(1, neutrons / one.neutrons) : 0;
  const bar = element("div", "progress", element("i"));
  bar.firstChild.style.width = `${(100 * share).toFixed(1)}%`;
  bar.setAttribute("aria-hidden", "true");
  return element(
    "li",
    reached ? "met" : "",
    element("p", "", named(name), ` to ± ${brief(one.target)}`),
    element("p", "far", element("strong", "", said), !reached && range ? element("span", "", range) : null),
    bar,
  );
}

export function showStop(fit) {
  const live = fit.live ?? {};
  const stop = live.stop ?? { advised: false, missing: [], conditions: [] };
  const verdict = at("verdict");
  at("stop").dataset.advised = stop.advised ? "yes" : "no";
  put(verdict, mark(stop.advised ? "yes" : "wait", 72), element("span", "", stop.advised ? "Yes" : "Not yet"));
  const conditions = stop.conditions?.length
    ? stop.conditions
    : (stop.missing ?? []).map((text) => ({ name: text, met: false, text: "" }));
  put(at("conditions"), ...conditions.map(condition));
  const targets = Object.entries(live.targets ?? {});
  put(
    at("projection"),
    targets.length ? element("h3", "", "Neutrons to each target") : null,
    targets.length ? element("ul", "projection", ...targets.map(([n, one]) => projected(n, one, live.neutrons))) : null,
    targets.length ? null : element("p", "note", "No error is wanted: --target NAME=ERROR says which."),
  );
}

/** The numbers as text, for the clipboard. */
export function numbersText(fit, run) {
  const live = fit.live ?? {};
  const rows = free(fit).map(([name, one]) => {
    const [value, error] = rounded(one.value, quoted(one));
    if (one.determined === false) return `${name} not determined (best ${value}${one.unit ? ` ${one.unit}` : ""})`;
    return `${name} = ${value}${error ? ` ± ${error}` : ""}${one.unit ? ` ${one.unit}` : ""}`;
  });
  const facts = [`${grouped(live.neutrons)} neutrons`, `snapshot ${live.number}`, live.time].filter(Boolean).join(", ");
  return [...rows, `${fit.model ?? run.model ?? "model"}: ${facts}, insiren ${fit.insiren}`].join("\n");
}

export function logLine(line) {
  const item = element("li", line.level, element("time", "", clock(line.time)));
  if (line.level !== "info") item.append(element("span", "level", line.level));
  item.append(element("span", "text", line.text));
  return item;
}
