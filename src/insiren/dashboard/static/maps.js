// Data, model and residual over wavevector and energy.

import { at, axis, colour, draw, nothing } from "./plots.js";
import { brief, escaped } from "./words.js";

const SIGMAS = 4; // of the residual's colours, either way
const BRIGHT = 0.995; // share of the model's pixels within the colours, so that a few hot ones do not dim the rest
const DECADES = 2.5; // of a logarithmic colour scale
const NARROW = 760; // pixels, below which the maps stand one below another

const MAGMA = [
  [0, "#000004"], [0.13, "#180f3d"], [0.25, "#440f76"], [0.38, "#721f81"], [0.5, "#9e2f7f"],
  [0.63, "#cd4071"], [0.75, "#f1605d"], [0.87, "#fd9668"], [0.94, "#feca8d"], [1, "#fcfdbf"],
];
const RED_BLUE = {
  light: [[0, "#1f5aa8"], [0.25, "#8fbcdd"], [0.5, "#f7f7f6"], [0.75, "#f0a588"], [1, "#b2182b"]],
  dark: [[0, "#7db4f5"], [0.25, "#33598a"], [0.5, "#23262e"], [0.75, "#8f3b3d"], [1, "#ff8f86"]],
};

function quantile(rows, share) {
  const known = rows.flat().filter((x) => x !== null && Number.isFinite(x)).sort((a, b) => a - b);
  return known.length ? known[Math.min(known.length - 1, Math.floor(share * known.length))] : 1;
}

/** Colours of data and model, and the numbers that go with them. */
function colouring(map, scale) {
  const top = Math.max(quantile(map.model, BRIGHT), Number.MIN_VALUE) || 1;
  const low = Math.min(0, quantile(map.model, 0.005));
  if (scale !== "log") return { of: (rows) => rows, range: [low, top], ticks: {} };
  const floor = top / 10 ** DECADES;
  const ticks = [];
  for (let n = Math.ceil(Math.log10(floor)); n <= Math.log10(top); n += 1) ticks.push(n);
  return {
    of: (rows) => rows.map((row) => row.map((x) => (x === null ? null : Math.log10(Math.max(x, floor))))),
    range: [Math.log10(floor), Math.log10(top)],
    ticks: { tickvals: ticks, ticktext: ticks.map((n) => brief(10 ** n)) },
  };
}

export function drawMaps(state) {
  const maps = state.maps ?? [];
  if (!maps.length) return nothing("maps", state.fit ? "This snapshot has no maps." : "");
  showSets(state, maps);
  const map = maps[Math.min(state.chosen.set, maps.length - 1)];
  const host = at("maps");
  const narrow = host.clientWidth < NARROW;
  host.style.height = narrow ? "900px" : `${Math.round(Math.min(470, Math.max(340, host.clientWidth * 0.33)))}px`;
  const { of, range, ticks } = colouring(map, state.chosen.scale);
  const dark = getComputedStyle(document.documentElement).colorScheme.includes("dark");
  const panels = [
    { title: "Data", z: map.data, shown: of(map.data), what: "intensity" },
    { title: "Model", z: map.model, shown: of(map.model), what: "intensity" },
    { title: "Residual", z: map.residual, shown: map.residual, what: "σ" },
  ];
  const places = domains(narrow, host.clientWidth);
  const traces = panels.map((panel, n) => ({
    type: "heatmap",
    x: map.x.values,
    y: map.y.values,
    z: panel.shown,
    customdata: panel.z,
    xaxis: n ? `x${n + 1}` : "x",
    yaxis: n ? `y${n + 1}` : "y",
    hoverongaps: false,
    coloraxis: n === 2 ? "coloraxis2" : "coloraxis",
    hovertemplate: `${escaped(map.x.label)} %{x:.3~f}<br>${escaped(map.y.label)} %{y:.4~g} ${escaped(map.y.unit)}<br><b>%{customdata:.3~g}</b> ${panel.what}<extra></extra>`,
  }));
  const layout = { margin: { l: 52, r: narrow ? 64 : 56, t: 26, b: 44 }, annotations: [] };
  panels.forEach((panel, n) => {
    const key = n ? n + 1 : "";
    const [x, y] = places[n];
    const last = !narrow || n === 2;
    layout[`xaxis${key}`] = axis({
      domain: x,
      anchor: `y${key}`,
      matches: n ? "x" : undefined,
      showticklabels: last,
      showgrid: false,
      title: { text: last ? titled(map.x) : "", standoff: 6 },
    });
    layout[`yaxis${key}`] = axis({
      domain: y,
      anchor: `x${key}`,
      matches: n ? "y" : undefined,
      showticklabels: narrow || n === 0,
      showgrid: false,
      title: { text: narrow || n === 0 ? titled(map.y) : "", standoff: 6 },
    });
    layout.annotations.push({
      text: `<b>${panel.title}</b>`,
      xref: "paper", yref: "paper", x: x[0], y: y[1], xanchor: "left", yanchor: "bottom", yshift: 3, showarrow: false,
      font: { size: 14, color: colour("--ink") },
    });
    layout.shapes = [...(layout.shapes ?? []), {
      type: "rect", xref: "paper", yref: "paper", x0: x[0], x1: x[1], y0: y[0], y1: y[1], layer: "below",
      fillcolor: colour("--missing"), line: { width: 0 },
    }];
  });
  const bar = (first, end, more) => ({
    thickness: 11, outlinewidth: 0, xpad: 0, ypad: 0, lenmode: "fraction", tickfont: { size: 11.5, color: colour("--quiet") },
    x: first[0][1] + 8 / host.clientWidth, xanchor: "left",
    y: end[1][0], yanchor: "bottom", len: first[1][1] - end[1][0], ...more,
  });
  layout.coloraxis = { colorscale: MAGMA, cmin: range[0], cmax: range[1], colorbar: bar(narrow ? places[0] : places[1], places[1], ticks) };
  layout.coloraxis2 = {
    colorscale: RED_BLUE[dark ? "dark" : "light"], cmin: -SIGMAS, cmax: SIGMAS,
    colorbar: bar(places[2], places[2], { tickvals: [-4, -2, 0, 2, 4], ticktext: ["−4 σ", "−2", "0", "2", "4 σ"] }),
  };
  at("maps-note").textContent = "Data and model share one colour scale; the residual is (data − model)/σ. Grey: not measured, or left out.";
  return draw("maps", traces, layout);
}

const titled = (one) => escaped(one.label) + (one.unit ? ` (${escaped(one.unit)})` : "");

/** Where the three panels stand: side by side, or one below another. */
function domains(narrow, width) {
  if (narrow) return [2, 1, 0].map((n) => [[0, 1], [n * 0.35, n * 0.35 + 0.3]]);
  const gap = 16 / width;
  const bar = 66 / width; // the colours of the first two need room before the third
  const each = (1 - 2 * gap - bar) / 3;
  return [0, each + gap, 2 * each + 2 * gap + bar].map((x) => [[x, x + each], [0, 1]]);
}

function showSets(state, maps) {
  const host = at("sets");
  host.hidden = maps.length < 2;
  state.chosen.set = Math.min(state.chosen.set, maps.length - 1);
  host.replaceChildren(
    ...maps.map((map, n) => {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: map.name });
      button.setAttribute("aria-pressed", String(n === state.chosen.set));
      button.addEventListener("click", () => {
        state.chosen.set = n;
        drawMaps(state);
        host.children[n].focus();
      });
      return button;
    }),
  );
}
