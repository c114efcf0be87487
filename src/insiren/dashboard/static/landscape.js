// The objective over two parameters, with the answer.

import { at, axis, colour, draw, faded, nothing } from "./plots.js";
import { escaped, label } from "./words.js";

const JOINT = [2.3, 6.18, 11.83]; // Δχ² of 1, 2, 3 σ of two parameters (Press et al., Numerical Recipes)
const MESH = 41; // points along each axis of what the covariance says
const REACH = 4.5; // errors around the answer
const RESOLVED = 1.2; // errors between two points of a grid that still shows a minimum
const WIDE = 1.5; // times the surroundings of the answer, from where on the whole box is another picture
const SIGMA = "the joint 1, 2 and 3 σ of two parameters (Δ = 2.30, 6.18, 11.83). The dot is the answer with its errors.";
const EXACT = `Lines: ${SIGMA}`;
const LAPLACE = `Dotted, from the covariance: ${SIGMA}`;
const BOX = "The objective over the whole box, the stronger the colour the lower. The dot is the answer; the line around it is 3 σ, to scale.";
const FINER = 4; // times as many points along each axis are drawn as were computed

/** Values between those of a row by Catmull and Rom, which is exact for a parabola; null where one is missing. */
function finer(row) {
  const last = row.length - 1;
  if (last < 2) return row;
  const beyond = (a, b, c) => (a === null || b === null || c === null ? null : 3 * a - 3 * b + c); // on their parabola
  const all = [beyond(row[0], row[1], row[2]), ...row, beyond(row[last], row[last - 1], row[last - 2])];
  const made = [];
  for (let n = 1; n <= last; n += 1) {
    const [a, b, c, d] = all.slice(n - 1, n + 3);
    for (let m = 0; m < FINER; m += 1) {
      const t = m / FINER;
      const straight = b === null || c === null ? null : b + (c - b) * t;
      const curved = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t * t + (3 * b - a - 3 * c + d) * t ** 3);
      made.push(straight === null || a === null || d === null ? straight : curved);
    }
  }
  return [...made, row[last]];
}

const turned = (rows) => rows[0].map((_, n) => rows.map((row) => row[n]));

const gap = (values) => Math.abs(values[1] - values[0]);

/** Δχ² from the covariance, over some errors around the answer; null where there is none. */
function parabola(fit, x, y) {
  const [i, j] = [fit.free?.indexOf(x.name), fit.free?.indexOf(y.name)];
  const [a, b, c] = [fit.covariance?.[i]?.[i], fit.covariance?.[i]?.[j], fit.covariance?.[j]?.[j]];
  const det = a * c - b * b;
  if (!(a > 0 && c > 0 && det > 0)) return null;
  const around = (one, variance) =>
    Array.from({ length: MESH }, (_, n) => fit.parameters[one.name].value + REACH * Math.sqrt(variance) * ((2 * n) / (MESH - 1) - 1));
  const [xs, ys] = [around(x, a), around(y, c)];
  const [px, py] = [fit.parameters[x.name].value, fit.parameters[y.name].value];
  const delta = ys.map((v) => xs.map((u) => (c * (u - px) ** 2 - 2 * b * (u - px) * (v - py) + a * (v - py) ** 2) / det));
  return { x: { ...x, values: xs }, y: { ...y, values: ys }, delta, errors: [Math.sqrt(a), Math.sqrt(c)] };
}

/** The two parameters of the landscape; without one, the first two that are free. */
function pair(state) {
  if (state.landscape) return [state.landscape.x, state.landscape.y];
  const unit = (name) => ({ name, unit: state.fit.parameters[name]?.unit ?? "" });
  return state.fit.free?.length > 1 ? state.fit.free.slice(0, 2).map(unit) : [];
}

/** What is drawn, and how: near the answer or over the box, from the objective itself or from the covariance. */
function chosen(state) {
  const [x, y] = pair(state);
  if (!x) return null;
  const near = parabola(state.fit, x, y);
  const box = state.landscape;
  const wide = box && near && gap([box.x.values[0], box.x.values.at(-1)]) > WIDE * gap([near.x.values[0], near.x.values.at(-1)]);
  const resolved = box && near && [box.x, box.y].every((one, n) => gap(one.values) < RESOLVED * near.errors[n]);
  if (near && !(wide && state.chosen.view === "box")) {
    return resolved ? { grid: box, range: wide ? near : box, lines: true, wide, said: EXACT } : { grid: near, range: near, lines: true, dash: "dot", wide, said: LAPLACE };
  }
  return box ? { grid: box, range: box, lines: Boolean(resolved), ellipse: near, wide, said: BOX } : null;
}

function showViews(state, wide) {
  at("view").hidden = !wide;
  for (const button of at("view").children) {
    button.setAttribute("aria-pressed", String(button.dataset.view === state.chosen.view));
    button.onclick = () => {
      state.chosen.view = button.dataset.view;
      drawLandscape(state);
    };
  }
}

export function drawLandscape(state) {
  const shown = chosen(state);
  showViews(state, Boolean(shown?.wide));
  if (!shown) return nothing("landscape", "A landscape takes two free parameters with errors.");
  at("landscape").style.height = `${Math.max(440, Math.min(at("trend").offsetHeight, at("landscape").clientWidth))}px`;
  const { x, y } = shown.grid;
  const cells = !shown.lines; // too coarse to draw anything between them
  const delta = cells ? shown.grid.delta : turned(turned(shown.grid.delta.map(finer)).map(finer));
  const traces = [ground(x, y, delta, cells)];
  if (shown.lines) traces.push(...contours(x, y, delta, shown.dash));
  if (shown.ellipse) traces.push(...contours(shown.ellipse.x, shown.ellipse.y, shown.ellipse.delta, "solid").slice(2));
  traces.push(...answer(state.fit, x, y));
  const side = (one) => axis({ title: { text: label(one.name, one.unit), standoff: 8, font: { size: 15, color: colour("--ink") } }, nticks: 6 });
  const ends = (one) => [one.values[0], one.values.at(-1)];
  at("landscape-note").textContent = shown.said;
  return draw("landscape", traces, {
    margin: { l: 72, r: 14, t: 10, b: 52 },
    xaxis: { ...side(x), range: ends(shown.range.x) },
    yaxis: { ...side(y), range: ends(shown.range.y) },
    uirevision: undefined, // every snapshot has its own range
  });
}

function ground(x, y, delta, cells) {
  const top = cells ? Math.sqrt(Math.max(...delta.flat().filter((d) => d !== null))) : 2 * REACH;
  return {
    type: "heatmap", x: along(x.values, delta[0].length), y: along(y.values, delta.length), zmin: 0, zmax: top,
    zsmooth: cells ? false : "best", showscale: false,
    z: delta.map((row) => row.map((d) => (d === null ? null : Math.sqrt(Math.max(0, d))))),
    colorscale: [[0, faded("--s1", 0.62)], [0.2, faded("--s1", 0.4)], [0.5, faded("--s1", 0.17)], [1, faded("--s1", 0.02)]],
    customdata: delta,
    hovertemplate: `${escaped(x.name)} %{x:.5~g} ${escaped(x.unit)}<br>${escaped(y.name)} %{y:.5~g} ${escaped(y.unit)}<br>Δ = <b>%{customdata:.3~g}</b><extra></extra>`,
  };
}

const contours = (x, y, delta, dash = "solid") =>
  JOINT.map((level, n) => ({
    type: "contour", z: delta, x: along(x.values, delta[0].length), y: along(y.values, delta.length),
    hoverinfo: "skip", showscale: false, autocontour: false,
    contours: { start: level, end: level, size: 1, coloring: "none", type: "levels" },
    line: { width: [2.6, 1.9, 1.3][n], dash, color: colour("--ink"), smoothing: 0.6 },
  }));

const along = (values, length) => (values.length === length ? values : finer(values));

function answer(fit, x, y) {
  const [px, py] = [fit.parameters[x.name], fit.parameters[y.name]];
  if (!px || !py) return [];
  const bars = (one) => ({ type: "data", array: [one.error ?? 0], color: colour("--s2"), thickness: 2, width: 5 });
  return [{
    type: "scatter", mode: "markers", x: [px.value], y: [py.value], hoverinfo: "skip", error_x: bars(px), error_y: bars(py),
    marker: { size: 10, color: colour("--s2"), line: { width: 2, color: colour("--card") } },
  }];
}
