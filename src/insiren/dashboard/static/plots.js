// What all drawings share: plotly.js when it has arrived, colours, axes.

export const at = (id) => document.getElementById(id);

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

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function faded(name, share) {
  const [r, g, b] = colour(name).match(/\w\w/g).map((hex) => parseInt(hex, 16));
  return `rgba(${r},${g},${b},${share})`;
}

export async function draw(id, traces, layout) {
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

export const axis = (more) => ({
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

export function nothing(id, text) {
  window.Plotly?.purge(at(id));
  at(id).replaceChildren();
  at(id).style.height = "auto";
  at(`${id}-note`).textContent = text;
}
