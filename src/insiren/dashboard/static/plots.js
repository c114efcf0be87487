// The drawings: maps, parameters over neutrons, the landscape.

import { brief, escaped, grouped, label } from "./words.js";

const at = (id) => document.getElementById(id);
const JOINT = [2.3, 6.18, 11.83]; // Δχ² of 1, 2, 3 σ of two parameters (Press et al., Numerical Recipes)
const SIGMAS = 4; // of the residual's colours, either way
const BRIGHT = 0.995; // share of the model's pixels within the colours, so that a few hot ones do not dim the rest
const DECADES = 2.5; // of a logarithmic colour scale
const NARROW = 760; // pixels, below which the maps stand one below another
const SERIES = ["--s1", "--s2", "--s3", "--s4", "--s5", "--s6"];

let arrived = null;

/** Fetches plotly.js beside everything else, so that the numbers do not wait for it. */
export function prepare() {
  arrived ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "static/plotly.min.js";
    script.onload = () => resolve(window.Plotly);
    script.onerror = reject;
    document.head.append(script);
  });
  return arrived;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function faded(name, share) {
  const [r, g, b] = colour(name).match(/\w\w/g).map((hex) => parseInt(hex, 16));
  return `rgba(${r},${g},${b},${share})`;
}

async function draw(id, traces, layout) {
  const Plotly = await prepare();
  const base = {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: 'system-ui, "Segoe UI", Roboto, sans-serif', size: 12.5, color: colour("--quiet") },
    hoverlabel: { bgcolor: colour("--card"), bordercolor: colour("--line"), font: { color: colour("--ink") }, align: "left" },
    showlegend: false,
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    uirevision: id, // a zoom stays while snapshots pass
  };
  const config = { displaylogo: false, displayModeBar: false, responsive: false, doubleClick: "reset" };
  await Plotly.react(at(id), traces, { ...base, ...layout }, config);
}

const axis = (more) => ({
  color: colour("--quiet"),
  gridcolor: colour("--grid"),
  linecolor: colour("--axis"),
  zeroline: false,
  showline: true,
  ticks: "outside",
  ticklen: 4,
  tickcolor: colour("--axis"),
  automargin: false,
  ...more,
});

function nothing(id, text) {
  window.Plotly?.purge(at(id));
  at(id).replaceChildren();
  at(id).style.height = "auto";
  at(`${id}-note`).textContent = text;
}

// Maps ---------------------------------------------------------------------------------------

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

// Parameters over neutrons -------------------------------------------------------------------

export function drawTrend(state) {
  const entries = state.history.filter((entry) => entry.neutrons > 0);
  const shown = state.history[state.index];
  const names = Object.keys(shown?.parameters ?? {});
  if (!entries.length || !names.length) return nothing("trend", "No snapshot says yet how many neutrons it holds.");
  const host = at("trend");
  const each = names.length === 1 ? 300 : 185; // pixels
  host.style.height = `${names.length * each + 70}px`;
  const targets = state.fit?.live?.targets ?? {};
  const traces = [];
  const layout = { margin: { l: 62, r: 14, t: 10, b: 46 }, shapes: [], hovermode: "x" };
  const step = 1 / names.length;
  names.forEach((name, n) => {
    const key = n ? n + 1 : "";
    const [x, y] = ["x", `y${key}`];
    const points = entries.filter((entry) => entry.parameters[name]?.value !== null && entry.parameters[name]);
    const line = SERIES[n % SERIES.length];
    traces.push(...series(points, name, { x, y, line }), chosen(shown, name, { x, y, line }));
    layout[`yaxis${key}`] = axis({
      domain: [1 - (n + 1) * step + (n < names.length - 1 ? 0.035 : 0), 1 - n * step],
      title: { text: label(name, shown.parameters[name].unit), standoff: 8, font: { size: 15, color: colour("--ink") } },
      nticks: 5,
      range: span(points, name, targets[name]),
    });
    layout.shapes.push(...band(shown.parameters[name], targets[name], y));
  });
  layout.xaxis = axis({
    type: "log", dtick: decades(entries), title: { text: "neutrons", standoff: 8 }, anchor: `y${names.length > 1 ? names.length : ""}`,
    tickformat: "~s", range: logSpan(entries),
  });
  const aim = names.some((name) => targets[name]) ? " Between the dashed lines: the target around the value shown." : "";
  at("trend-note").textContent = `Shaded: ± 1 σ. The ring marks the snapshot shown.${aim}`;
  return draw("trend", traces, layout);
}

function logSpan(entries) {
  const [low, high] = [Math.min, Math.max].map((f) => Math.log10(f(...entries.map((entry) => entry.neutrons))));
  const air = Math.max(0.06, 0.05 * (high - low));
  return [low - air, high + air];
}

function decades(entries) {
  const [low, high] = logSpan(entries);
  return high - low > 1.5 ? 1 : high - low > 0.5 ? "D2" : "D1";
}

/** So much that the later half of the bands fills it: first errors may be huge. */
function span(points, name, target) {
  const later = points.slice(Math.floor(points.length / 3));
  const ends = later.flatMap((entry) => {
    const { value, error } = entry.parameters[name];
    const reach = Math.max(error ?? 0, target?.target ?? 0);
    return [value - 1.3 * reach, value + 1.3 * reach];
  });
  if (!ends.length) return undefined;
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const air = 0.08 * (high - low) || Math.abs(high) * 0.01 || 1;
  return [low - air, high + air];
}

function series(points, name, { x, y, line }) {
  const neutrons = points.map((entry) => entry.neutrons);
  const value = (sign) => points.map((e) => e.parameters[name].value + sign * (e.parameters[name].error ?? 0));
  const edge = { type: "scatter", mode: "lines", x: neutrons, xaxis: x, yaxis: y, line: { width: 0 }, hoverinfo: "skip" };
  return [
    { ...edge, y: value(-1) },
    { ...edge, y: value(1), fill: "tonexty", fillcolor: faded(line, 0.2) },
    {
      ...edge,
      y: value(0),
      mode: points.length < 60 ? "lines+markers" : "lines",
      line: { width: 2, color: colour(line) },
      marker: { size: 5, color: colour(line) },
      hoverinfo: "text",
      hovertext: points.map((e) => {
        const { value: v, error, unit } = e.parameters[name];
        return `snapshot ${e.number}, ${grouped(e.neutrons)} neutrons<br><b>${brief4(v)}${error ? ` ± ${brief(error)}` : ""}</b> ${escaped(unit)}`;
      }),
    },
  ];
}

const brief4 = (x) => String(Number(x.toPrecision(5))).replace("-", "−");

function chosen(entry, name, { x, y, line }) {
  return {
    type: "scatter", mode: "markers", xaxis: x, yaxis: y, hoverinfo: "skip",
    x: [entry.neutrons], y: [entry.parameters[name].value],
    marker: { size: 13, color: colour("--card"), line: { width: 3, color: colour(line) } },
  };
}

function band(one, target, y) {
  if (!target || one.value === null) return [];
  return [-1, 1].map((sign) => ({
    type: "line", xref: "x domain", yref: y, x0: 0, x1: 1,
    y0: one.value + sign * target.target, y1: one.value + sign * target.target,
    line: { width: 1.3, dash: "dash", color: colour("--quiet") },
  }));
}

// Landscape ----------------------------------------------------------------------------------

export function drawLandscape(state) {
  const grid = state.landscape;
  if (!grid) return nothing("landscape", "There is no landscape with this snapshot: it takes two free parameters.");
  at("landscape").style.height = "430px";
  const { x, y, delta } = grid;
  const sigma = delta.map((row) => row.map((d) => (d === null ? null : Math.sqrt(Math.max(0, d)))));
  const common = { x: x.values, y: y.values, hoverinfo: "skip" };
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
      line: { width: [2.6, 1.9, 1.3][n], color: colour("--ink"), smoothing: 0.8 },
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
