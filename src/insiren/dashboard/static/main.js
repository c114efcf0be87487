// What is shown, and how a reader moves through it.

import { Connection } from "./connection.js";
import { logLine, numbersText, showHeadline, showStop } from "./headline.js";
import { drawLandscape } from "./landscape.js";
import { drawMaps } from "./maps.js";
import { prepare } from "./plots.js";
import { drawTrend } from "./trend.js";
import { clock, element, grouped, lasting, rounded } from "./words.js";

const at = (id) => document.getElementById(id);
const LINES = 300; // of the log that are kept in the page
const DAY = 86400; // seconds

const state = {
  run: {}, // live.json
  history: [], // entries, ascending
  following: true, // the newest
  index: -1, // into the history, of what is shown
  fit: null,
  maps: null,
  landscape: null,
  chosen: { set: 0, scale: "linear", view: "near" },
  lines: new Map(), // number -> line of the log
  asked: 0, // counts what was asked for, so that late answers are dropped
};

async function json(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return answer.json();
}

// What is known ------------------------------------------------------------------------------

/** Asks for everything that this page does not know yet. */
async function catchUp(anew = false) {
  if (anew) Object.assign(state, { history: [], index: -1, fit: null, following: true, lines: new Map() });
  const newest = state.history.at(-1)?.number ?? 0;
  const line = Math.max(0, ...state.lines.keys());
  const [run, history, log] = await Promise.all([
    json("api/run"),
    json(`api/history?since=${newest}`),
    json(`api/log?since=${line}`),
  ]);
  state.run = run;
  for (const one of log.lines) state.lines.set(one.number, one);
  learn(history.snapshots);
  showRun();
  showLog();
}

function learn(entries) {
  const known = new Map(state.history.map((entry) => [entry.number, entry]));
  const before = known.size;
  for (const entry of entries) known.set(entry.number, entry);
  state.history = [...known.values()].sort((a, b) => a.number - b.number);
  const wanted = Number(location.hash.slice(1));
  if (before === 0 && wanted) {
    const found = state.history.findIndex((entry) => entry.number === wanted);
    if (found >= 0) return show(found, found === state.history.length - 1);
  }
  if (state.history.length && (state.following || state.index < 0)) show(state.history.length - 1, true);
  else showStepper();
  if (!state.following) drawTrend(state);
}

// What is shown ------------------------------------------------------------------------------

let pause = 0;

/** Shows a snapshot, by its place in the history. */
function show(index, following) {
  const clamped = Math.max(0, Math.min(state.history.length - 1, index));
  const same = clamped === state.index && state.fit;
  Object.assign(state, { index: clamped, following });
  showStepper();
  history.replaceState(null, "", following ? location.pathname + location.search : `#${state.history[clamped].number}`);
  if (same) return;
  clearTimeout(pause); // who drags the slider passes many
  pause = setTimeout(fetchShown, state.fit ? 60 : 0);
}

async function fetchShown() {
  const entry = state.history[state.index];
  const turn = ++state.asked;
  const place = `api/snapshots/${entry.number}`;
  const part = (name) => (entry.parts.includes(`${name}.json`) ? json(`${place}/${name}.json?key=${entry.key}`).catch(() => null) : null);
  try {
    const [maps, landscape] = [part("maps"), part("landscape")];
    const fit = await json(`${place}/fit.json?key=${entry.key}`);
    if (turn !== state.asked) return;
    state.fit = fit;
    showFit(entry);
    Object.assign(state, { maps: await maps, landscape: await landscape });
    if (turn !== state.asked) return;
    await drawAll();
    document.body.dataset.drawn = entry.number;
  } catch (error) {
    if (turn === state.asked) pause = setTimeout(fetchShown, 3000); // the connection is away; it says so itself
  }
}

function showFit(entry) {
  at("empty").hidden = true;
  at("content").hidden = false;
  showHeadline(state.fit);
  showStop(state.fit);
  showRun();
  at("download").href = `api/snapshots/${entry.number}.zip?key=${entry.key}`;
  document.body.dataset.shown = entry.number;
  performance.mark("insiren-numbers");
  showConnection();
  const [name, one] = Object.entries(entry.parameters)[0] ?? ["", null];
  document.title = one ? `${name} ${rounded(one.value, one.error).filter(Boolean).join(" ± ")} · insiren` : "insiren · live";
}

async function drawAll() {
  drawMaps(state);
  drawTrend(state);
  await drawLandscape(state);
}

function showRun() {
  const model = state.fit?.model ?? state.run.model ?? "";
  at("model").textContent = model || "insiren";
  const said = [state.fit?.forward === "surrogate" ? "surrogate" : state.fit ? "exact simulator" : "", state.run.directory];
  at("about").textContent = said.filter(Boolean).join(" · ") || " ";
}

function showStepper() {
  const { history: all, index, following } = state;
  const entry = all[index];
  at("stepper").hidden = all.length === 0;
  if (!entry) {
    at("empty").hidden = false;
    at("content").hidden = true;
    return;
  }
  document.body.classList.toggle("past", !following);
  at("previous").disabled = index === 0;
  at("next").disabled = index === all.length - 1;
  Object.assign(at("slider"), { max: all.length - 1, value: index, disabled: all.length < 2 });
  at("slider").setAttribute("aria-valuetext", `snapshot ${entry.number}, ${grouped(entry.neutrons)} neutrons`);
  at("slider").style.setProperty("--done", all.length < 2 ? "100%" : `${(100 * index) / (all.length - 1)}%`);
  at("where").replaceChildren(
    element("strong", "", `Snapshot ${entry.number}`),
    element("span", "of", ` of ${all.at(-1).number}`),
    element("span", "when", ` · ${clock(entry.time)}`),
  );
  at("live").setAttribute("aria-pressed", String(following));
}

function showLog() {
  const shown = [...state.lines.keys()].sort((a, b) => b - a);
  for (const old of shown.splice(LINES)) state.lines.delete(old);
  const lines = shown.map((number) => logLine(state.lines.get(number)));
  at("log").replaceChildren(...(lines.length ? lines : [element("li", "none", "Nothing has been reported yet.")]));
}

/** Seconds after which silence is worth a word: four times the usual pace, five minutes at least. */
function patience() {
  const times = state.history.slice(-9).map((entry) => Date.parse(entry.time) / 1000);
  const gaps = times.slice(1).map((time, n) => time - times[n]).sort((a, b) => a - b);
  return Math.max(300, 4 * (gaps[Math.floor(gaps.length / 2)] || 0));
}

function showConnection() {
  const newest = state.history.at(-1);
  const age = newest?.time ? connection.age(newest.time) : NaN;
  let [kind, text] = ["live", newest ? `Live · updated ${lasting(age)} ago` : "Live · waiting"];
  if (connection.state === "connecting") [kind, text] = ["connecting", "Connecting …"];
  else if (connection.state === "reconnecting") {
    const gone = (Date.now() - connection.since) / 1000;
    [kind, text] = ["reconnecting", `Reconnecting …${gone > 5 ? ` for ${lasting(gone)}` : ""}`];
  } else if (age > DAY) [kind, text] = ["finished", `Last snapshot ${lasting(age)} ago`];
  else if (age > patience()) [kind, text] = ["stale", `Stale: nothing new for ${lasting(age)}`];
  else if (!Number.isFinite(age) && newest) text = "Live";
  showAge(entry(), kind !== "live");
  const pill = at("connection");
  pill.dataset.state = kind;
  if (pill.lastElementChild.textContent !== text) pill.lastElementChild.textContent = text;
}

/** Says beside the verdict what it rests on, unless that is the newest there is. */
function showAge(entry, old) {
  const past = !state.following && entry ? `As of snapshot ${entry.number}, not the newest.` : "";
  const said = past || (old && entry?.time ? `As of ${clock(entry.time)}, ${lasting(connection.age(entry.time))} ago.` : "");
  at("as-of").hidden = !said;
  if (at("as-of").textContent !== said) at("as-of").textContent = said;
  at("stop").classList.toggle("old", Boolean(said));
}

// What a reader does -------------------------------------------------------------------------

const entry = () => state.history[state.index];
const newestIndex = () => state.history.length - 1;
const step = (by) => state.history.length && show(state.index + by, state.index + by >= newestIndex());

at("previous").addEventListener("click", () => step(-1));
at("next").addEventListener("click", () => step(1));
at("slider").addEventListener("input", (event) => show(Number(event.target.value), Number(event.target.value) === newestIndex()));
at("live").addEventListener("click", () => state.history.length && show(newestIndex(), true));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, .log")) return;
  const moves = { ArrowLeft: () => step(-1), ArrowRight: () => step(1), l: () => at("live").click(), L: () => at("live").click() };
  if (!(event.key in moves)) return;
  event.preventDefault();
  moves[event.key]();
});

for (const button of at("scale").children) {
  button.addEventListener("click", () => {
    state.chosen.scale = button.dataset.scale;
    for (const other of at("scale").children) other.setAttribute("aria-pressed", String(other === button));
    drawMaps(state);
  });
}

at("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const chosen = (root.dataset.theme ?? system) === "dark" ? "light" : "dark";
  root.dataset.theme = chosen;
  try { localStorage.setItem("insiren-theme", chosen); } catch { /* storage is switched off: it lasts until reload */ }
  if (state.fit) drawAll();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => state.fit && drawAll());

at("copy").addEventListener("click", async () => {
  const text = numbersText(state.fit, state.run);
  const area = at("copy-text");
  area.value = text;
  let done = false;
  try {
    await navigator.clipboard.writeText(text);
    done = true;
  } catch { // pages of other machines are not trusted with the clipboard: the old way may still work
    area.hidden = false;
    area.select();
    done = document.execCommand("copy");
  }
  area.hidden = done;
  at("copied").textContent = done ? "Copied" : "Press Ctrl-C";
  setTimeout(() => { at("copied").textContent = ""; }, 2500);
});

let width = innerWidth;
window.addEventListener("resize", () => {
  if (innerWidth === width || !state.fit) return;
  width = innerWidth;
  clearTimeout(window.insirenResize);
  window.insirenResize = setTimeout(drawAll, 150);
});

prepare();
const connection = new Connection({
  opened: () => catchUp().catch(() => {}),
  snapshot: (entry) => learn([entry]),
  log: (line) => { state.lines.set(line.number, line); showLog(); },
  reset: () => catchUp(true).catch(() => {}),
  changed: () => connection && showConnection(),
});
