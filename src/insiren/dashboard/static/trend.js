// Parameters over neutrons.

import { at, axis, colour, draw, faded, nothing } from "./plots.js";
import { brief, escaped, grouped, label } from "./words.js";

const SERIES = ["--s1", "--s2", "--s3", "--s4", "--s5", "--s6"];

export function drawTrend(state) {
  const entries = state.history.filter((entry) => entry.neutrons > 0);
  const shown = state.history[state.index];
  const names = Object.keys(shown?.parameters ?? {});
  if (!entries.length || !names.length) return nothing("trend", "No snapshot says yet how many neutrons it holds.");
  const host = at("trend");
  const each = { 1: 330, 2: 185, 3: 160 }[names.length] ?? 130; // pixels
  host.style.height = `${names.length * each + 70}px`;
  const targets = state.fit?.live?.targets ?? {};
  const traces = [];
  const layout = { margin: { l: 40, r: 14, t: 10, b: 46 }, shapes: [], hovermode: "x" };
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
      automargin: true,
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
    error_y: { type: "data", array: [entry.parameters[name].error ?? 0], color: colour(line), thickness: 2, width: 0 },
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
