// The objective over two parameters, with the answer.

import { at, axis, colour, draw, faded, nothing } from "./plots.js";
import { escaped, label } from "./words.js";

const JOINT = [2.3, 6.18, 11.83]; // Δχ² of 1, 2, 3 σ of two parameters (Press et al., Numerical Recipes)
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

export function drawLandscape(state) {
  const grid = state.landscape;
  if (!grid) return nothing("landscape", "There is no landscape with this snapshot: it takes two free parameters.");
  const beside = at("trend").offsetHeight;
  at("landscape").style.height = `${Math.max(440, Math.min(beside, at("landscape").clientWidth))}px`;
  const { x, y } = grid;
  const delta = turned(turned(grid.delta.map(finer)).map(finer));
  const sigma = delta.map((row) => row.map((d) => (d === null ? null : Math.sqrt(Math.max(0, d)))));
  const common = { x: finer(x.values), y: finer(y.values), hoverinfo: "skip" };
  const traces = [
    {
      ...common, type: "heatmap", z: sigma, zmin: 0, zmax: 8, zsmooth: "best", showscale: false, hoverinfo: undefined,
      colorscale: [[0, faded("--s1", 0.62)], [0.2, faded("--s1", 0.4)], [0.5, faded("--s1", 0.17)], [1, faded("--s1", 0.02)]],
      customdata: delta,
      hovertemplate: `${escaped(x.name)} %{x:.5~g} ${escaped(x.unit)}<br>${escaped(y.name)} %{y:.5~g} ${escaped(y.unit)}<br>Δ = <b>%{customdata:.3~g}</b><extra></extra>`,
    },
    ...JOINT.map((level, n) => ({
      ...common, type: "contour", z: delta, showscale: false, autocontour: false,
      contours: { start: level, end: level, size: 1, coloring: "none", type: "levels" },
      line: { width: [2.6, 1.9, 1.3][n], color: colour("--ink"), smoothing: 0.6 },
    })),
  ];
  const [px, py] = [state.fit.parameters[x.name], state.fit.parameters[y.name]];
  if (px && py) {
    const bars = (one) => ({ type: "data", array: [one.error ?? 0], color: colour("--s2"), thickness: 2, width: 5 });
    traces.push({
      type: "scatter", mode: "markers", x: [px.value], y: [py.value], hoverinfo: "skip",
      error_x: bars(px), error_y: bars(py),
      marker: { size: 10, color: colour("--s2"), line: { width: 2, color: colour("--card") } },
    });
  }
  const side = (one) => axis({ title: { text: label(one.name, one.unit), standoff: 8, font: { size: 15, color: colour("--ink") } }, nticks: 6 });
  at("landscape-note").textContent =
    "Lines: the joint 1, 2 and 3 σ of two parameters (Δ = 2.30, 6.18, 11.83). The dot is the answer with its errors.";
  return draw("landscape", traces, {
    margin: { l: 68, r: 14, t: 10, b: 52 },
    xaxis: { ...side(x), range: [x.values[0], x.values.at(-1)] },
    yaxis: { ...side(y), range: [y.values[0], y.values.at(-1)] },
    uirevision: undefined, // every snapshot has its own range
  });
}
