// The page: what it stands at, and how that is drawn. The numbers come from numbers.js and from the tables in the page.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const columns = data.columns.map(readNumbers);
const losses = new Map(data.losses.map((loss) => [loss.name, loss]));
const SHOWN = { residual: 6, margin: 6 }; // how far the curves are drawn to both sides
const PANELS = ["value", "slope", "curvature"];
const state = { ...data.start, losses: { residual: [], margin: [] }, stops: {}, x: { residual: 1, margin: 1 } };
const byId = (id) => document.getElementById(id);
const boxOf = (loss) => document.querySelector(`[data-loss="${loss.name}"]`);

// What the page stands at

/** Take over what a lesson or the address says: `losses`, and sliders that do not stand where they stood at first. */
function take(given) {
  const names = given.losses.filter((name) => losses.has(name));
  if (!names.length) return;
  state.kind = losses.get(names[0]).kind;
  state.losses[state.kind] = names.filter((name) => losses.get(name).kind === state.kind);
  for (const key of Object.keys(data.start)) if (key !== "kind") state[key] = given[key] ?? data.start[key];
  state.x[state.kind] = within(given.x ?? 1, SHOWN[state.kind]);
  for (const [name, value] of Object.entries(given.settings ?? {})) {
    const stop = losses.has(name) ? losses.get(name).stops.indexOf(value) : -1;
    if (stop >= 0) state.stops[name] = stop;
  }
}

const within = (x, reach) => Math.max(-reach, Math.min(reach, Math.round(10 * x) / 10)); // where the tables have points
const stopOf = (loss) => state.stops[loss.name] ?? loss.stop;
const drawn = () => state.losses[state.kind].map((name) => losses.get(name));
const curve = (loss, right = state.right) => curveOf(columns, loss, stopOf(loss), data.ratios.indexOf(state.ratio), right);
const points = () => samplePoints(data.base, data.shuffle, data.spread, state);

const remembered = new Map(); // minimisers by all that they depend on: to drag x moves none of them

/** The minimiser of a loss: a constant, or the probability of class 1 where its true one is eta. */
function bestOf(loss, eta = state.eta) {
  const { share, at, two_sided, skew, weight, noise, ratio } = state;
  const key = [loss.name, stopOf(loss), share, at, two_sided, skew, eta, weight, noise, ratio].join();
  if (remembered.size > 50000) remembered.clear();
  if (!remembered.has(key)) remembered.set(key, loss.kind === "residual" ? bestConstant(curve(loss), points()) : chanceOf(loss, eta));
  return remembered.get(key);
}

const chanceOf = (loss, eta) => probabilityOf(loss, bestLogit(curve(loss, 1), curve(loss, 0), { ...state, eta }));

/** The address of this state, to be handed on. */
function address() {
  const said = new URLSearchParams({ losses: state.losses[state.kind].join(","), x: state.x[state.kind] });
  for (const key of Object.keys(data.start)) if (state[key] !== data.start[key] && key !== "kind") said.set(key, state[key]);
  for (const loss of drawn()) if (stopOf(loss) !== loss.stop) said.set(`set.${loss.name}`, loss.stops[stopOf(loss)]);
  return `#${said}`.replaceAll("%2C", ",");
}

function readAddress() {
  const said = new URLSearchParams(location.hash.slice(1));
  if (!said.has("losses")) return;
  const given = { losses: said.get("losses").split(","), settings: {} };
  for (const [key, written] of said) {
    const value = written === "true" || (written !== "false" && Number(written));
    const control = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
    if (key.startsWith("set.")) given.settings[key.slice(4)] = value;
    else if (key === "x" || key === "right" ? Number.isFinite(value) : control && fits(control, value)) given[key] = value;
  }
  if ("right" in given && given.right !== 0) given.right = 1;
  take(given);
}

/** Whether a slider or a box can stand at a value. */
function fits(control, value) {
  if (control.type === "checkbox") return typeof value === "boolean";
  if (control.dataset.stops) return data.ratios.includes(value);
  return typeof value === "number" && value >= Number(control.min) && value <= Number(control.max);
}

// Drawing

/** A number in three digits, with a minus that is one. */
function short(number) {
  const rounded = Number(number.toPrecision(3));
  return String(rounded === 0 ? 0 : rounded).replace("-", "−");
}

function svg(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function ticks(low, high, count) {
  const rough = (high - low) / count;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = size * [1, 2, 5, 10].find((factor) => factor * size >= rough);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, index) => (first + index) * step);
}

/** Empty a picture and draw its axes; return what draws into it in its own units. */
function frame(picture, [left, right], [bottom, top], title, xLabel) {
  const [width, height] = [picture.clientWidth || 360, picture.clientHeight || 220];
  const box = { left: 40, right: width - 10, top: 24, bottom: height - 36 };
  const x = (value) => box.left + ((value - left) / (right - left)) * (box.right - box.left);
  const y = (value) => box.bottom - ((value - bottom) / (top - bottom)) * (box.bottom - box.top);
  picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const clip = `inside-${picture.id}`;
  const inside = svg("g", { "clip-path": `url(#${clip})` });
  const shape = svg("clipPath", { id: clip });
  const size = { x: box.left, y: box.top - 2, width: box.right - box.left, height: box.bottom - box.top + 4 };
  shape.append(svg("rect", size));
  picture.replaceChildren(shape);
  for (const value of ticks(left, right, width < 300 ? 5 : 8)) {
    picture.append(svg("line", { class: "grid", x1: x(value), x2: x(value), y1: box.top, y2: box.bottom }));
    picture.append(svg("text", { class: "tick", x: x(value), y: box.bottom + 14, "text-anchor": "middle" }, short(value)));
  }
  for (const value of ticks(bottom, top, 5)) {
    picture.append(svg("line", { class: "grid", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }));
    picture.append(svg("text", { class: "tick", x: box.left - 5, y: y(value) + 4, "text-anchor": "end" }, short(value)));
  }
  picture.append(svg("text", { class: "title", x: box.left, y: 14 }, title));
  picture.append(svg("text", { class: "tick", x: box.right, y: height - 5, "text-anchor": "end" }, xLabel));
  picture.append(inside);
  picture.value = (pixel) => left + ((pixel - box.left) / (box.right - box.left)) * (right - left);
  const path = (places) => places.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" ");
  const add = (tag, attributes) => inside.append(svg(tag, attributes));
  return {
    add, x, y, box,
    line: (places, loss) => add("polyline", { class: "line", points: path(places), ...look(loss) }),
    upright: (value, attributes) => add("line", { x1: x(value), x2: x(value), y1: box.top, y2: box.bottom, ...attributes }),
    dot: (a, b, loss) => add("circle", { class: "dot", cx: x(a), cy: y(b), r: 4.5, fill: loss.color }),
  };
}

const look = (loss) => ({ stroke: loss.color, "stroke-dasharray": loss.dashes.join(" ") || "none" });

/** The range of a panel: a steep loss leaves it, so that it does not flatten all others. */
function rangeOf(heights) {
  const peaks = heights.map((line) => Math.max(...line.map(Math.abs))).sort((one, other) => one - other);
  const limit = 3 * (peaks[(peaks.length - 1) >> 1] || peaks.at(-1) || 1);
  const all = heights.flat().map((height) => Math.max(-limit, Math.min(limit, height)));
  const [low, high] = [Math.min(0, ...all), Math.max(0, ...all)];
  const air = 0.06 * (high - low || 1);
  return [low - air, high + air];
}

function drawCurves() {
  const reach = SHOWN[state.kind];
  const x = state.x[state.kind];
  const grid = Array.from({ length: 20 * reach + 1 }, (_, index) => (index - 10 * reach) / 10);
  const label = state.kind === "residual" ? "residual: target − prediction" : "margin of the right class";
  for (const panel of PANELS) {
    const lines = drawn().map((loss) => {
      const table = curve(loss);
      const xs = loss.reach < reach ? grid.filter((at) => Math.abs(at) <= loss.reach) : grid;
      return { loss, table, places: xs.map((at) => [at, onLine(table, table[panel], at)]) };
    });
    const picture = byId(`curve-${panel}`);
    const range = rangeOf(lines.map(({ places }) => places.map(([, height]) => height)));
    const plot = frame(picture, [-reach, reach], range, panel, label);
    plot.upright(x, { class: "cursor" });
    for (const { loss, places } of lines) plot.line(places, loss);
    for (const { loss, table } of lines) if (Math.abs(x) <= loss.reach) plot.dot(x, onLine(table, table[panel], x), loss);
    const told = lines.map(({ loss, table }) => `${loss.name} ${short(onLine(table, table[panel], x))}`);
    picture.setAttribute("aria-label", `${panel} at ${short(x)}: ${told.join(", ")}`);
  }
}

/** The histogram of the sample with the constants, and below it the mean loss of every constant. */
function drawSample(best) {
  const y = points();
  const range = [Math.min(-3.5, ...y) - 0.2, Math.max(3.5, ...y) + 0.2];
  const counts = new Map();
  for (const value of y) counts.set(Math.floor(value * 4), (counts.get(Math.floor(value * 4)) ?? 0) + 1);
  const plot = frame(byId("best-1"), range, [0, Math.max(...counts.values()) * 1.05], "targets, and the constant of each loss", "target");
  for (const [bin, count] of counts) {
    const [left, right] = [plot.x(bin / 4), plot.x((bin + 1) / 4)];
    plot.add("rect", { class: "bar", x: left + 0.5, width: right - left - 1, y: plot.y(count), height: plot.y(0) - plot.y(count) });
  }
  drawn().forEach((loss, index) => plot.upright(best[index], { class: "line", ...look(loss) }));
  const steps = Array.from({ length: 121 }, (_, index) => range[0] + ((range[1] - range[0]) * index) / 120);
  const below = frame(byId("best-2"), range, [-0.05, 1.05], "mean loss of every constant, scaled", "constant prediction");
  drawn().forEach((loss, index) => {
    const table = curve(loss);
    const heights = steps.map((constant) => meanLoss(table, y, constant));
    const [low, high] = [meanLoss(table, y, best[index]), Math.max(...heights)];
    below.line(steps.map((constant, at) => [constant, (heights[at] - low) / (high - low || 1)]), loss);
    below.dot(best[index], 0, loss);
  });
}

/** The probability that each loss picks over the true one, and what it expects to cost. */
function drawProbabilities(best) {
  const etas = Array.from({ length: 67 }, (_, index) => 0.005 + (0.99 * index) / 66);
  const plot = frame(byId("best-1"), [0, 1], [-0.02, 1.02], "probability that each loss picks", "true probability η of class 1");
  plot.add("line", { class: "cursor", x1: plot.x(0), y1: plot.y(0), x2: plot.x(1), y2: plot.y(1) });
  plot.add("line", { class: "cursor", x1: plot.x(0), y1: plot.y(0.5), x2: plot.x(1), y2: plot.y(0.5) });
  drawn().forEach((loss) => plot.line(etas.map((eta) => [eta, bestOf(loss, eta)]), loss));
  plot.upright(state.eta, { class: "cursor" });
  drawn().forEach((loss, index) => plot.dot(state.eta, best[index], loss));
  const zs = Array.from({ length: 161 }, (_, index) => -8 + index / 10);
  const below = frame(byId("best-2"), [-8, 8], [-0.05, 1.05], "expected loss at η, scaled", "output of class 1 − output of class 0");
  for (const loss of drawn()) {
    const [rare, common] = [curve(loss, 1), curve(loss, 0)];
    const inside = zs.filter((z) => Math.abs(z) <= loss.reach);
    const risk = (z) => expectedLoss(rare, common, state, z);
    const at = bestLogit(rare, common, state);
    const heights = inside.map(risk);
    const [low, high] = [risk(at), Math.max(...heights)];
    below.line(inside.map((z, index) => [z, (heights[index] - low) / (high - low || 1)]), loss);
    below.dot(at, 0, loss);
  }
}

// The table of numbers

let rowsOf = "";

function fillTable(best) {
  const key = `${state.kind} ${state.losses[state.kind]}`;
  if (key !== rowsOf) makeRows();
  rowsOf = key;
  const x = state.x[state.kind];
  drawn().forEach((loss, index) => {
    const row = byId("numbers").tBodies[0].rows[index];
    const table = curve(loss);
    const cells = PANELS.map((panel) => (Math.abs(x) > loss.reach ? "–" : short(onLine(table, table[panel], x))));
    const ends = loss.kind === "margin" && (best[index] > 0.9995 || best[index] < 0.0005);
    cells.push(ends ? (best[index] > 0.5 ? "→ 1" : "→ 0") : best[index].toFixed(2).replace(/^-(?=0\.00)/, "").replace("-", "−"));
    if (loss.kind === "margin") {
      const kept = best[index] > 0.5 === state.eta > 0.5 || state.eta === 0.5;
      cells.push(`${best[index] > 0.5 ? 1 : 0} ${kept ? "kept" : "turned"}`);
    }
    cells.forEach((text, column) => (row.cells[column + 1].textContent = text));
    const slider = row.querySelector("input");
    if (!slider) return;
    slider.value = stopOf(loss);
    const told = `${loss.setting} = ${loss.stops[stopOf(loss)]}`;
    slider.setAttribute("aria-valuetext", told);
    row.querySelector("output").textContent = told;
  });
}

function makeRows() {
  const heading = ["loss", ...PANELS, ...(state.kind === "residual" ? ["picks"] : ["picks p", "argmax"])];
  byId("numbers").tHead.rows[0].replaceChildren(...heading.map((text) => Object.assign(document.createElement("th"), { textContent: text, scope: "col" })));
  byId("numbers").tBodies[0].replaceChildren(...drawn().map((loss) => {
    const row = document.createElement("tr");
    const name = Object.assign(document.createElement("th"), { scope: "row", title: boxOf(loss).parentElement.title });
    const swatch = svg("svg", { class: "swatch", viewBox: "0 0 34 10", width: 34, height: 10, "aria-hidden": "true" });
    swatch.append(svg("line", { class: "line", x1: 0, x2: 34, y1: 5, y2: 5, ...look(loss) }));
    name.append(swatch, ` ${loss.name}`);
    if (loss.setting) name.append(sliderOf(loss));
    row.append(name, ...heading.slice(1).map(() => document.createElement("td")));
    return row;
  }));
}

function sliderOf(loss) {
  const label = Object.assign(document.createElement("label"), { className: "stop" });
  const slider = Object.assign(document.createElement("input"), { type: "range", min: 0, max: loss.stops.length - 1, step: 1 });
  slider.setAttribute("aria-label", `${loss.setting} of ${loss.name}`);
  slider.addEventListener("input", () => {
    state.stops[loss.name] = Number(slider.value);
    render();
  });
  label.append(slider, document.createElement("output"));
  return label;
}

// Controls

let waiting = 0;
let noted = 0;

/** Draw at the next frame, however often it is asked for. */
function render() {
  if (!waiting) waiting = requestAnimationFrame(() => ((waiting = 0), draw()));
}

function draw() {
  document.body.dataset.kind = state.kind;
  const best = drawn().map((loss) => bestOf(loss));
  syncControls();
  fillTable(best);
  drawCurves();
  if (state.kind === "residual") drawSample(best);
  else drawProbabilities(best);
  const told = drawn().map((loss, index) => `${loss.name} ${best[index].toFixed(2)}`).join(", ");
  byId("best-1").setAttribute("aria-label", `What each loss picks: ${told}`);
  clearTimeout(noted);
  noted = setTimeout(() => history.replaceState(null, "", address()), 300);
}

function syncControls() {
  for (const control of document.querySelectorAll("[data-key]")) {
    const { key, stops, percent } = control.dataset;
    const reach = SHOWN[state.kind];
    if (key === "x") Object.assign(control, { min: -reach, max: reach });
    const value = key === "x" ? state.x[state.kind] : state[key];
    if (control.type === "checkbox") control.checked = value;
    else if (control.type === "radio") control.checked = control.value === String(value);
    else control.value = stops ? data.ratios.indexOf(value) : value;
    const told = percent ? `${Math.round(100 * value)} %` : short(Number(value));
    const output = control.parentElement.querySelector("output");
    if (output) output.textContent = told;
    if (control.type === "range") control.setAttribute("aria-valuetext", told);
  }
  for (const box of document.querySelectorAll("[data-loss]")) box.checked = state.losses[losses.get(box.dataset.loss).kind].includes(box.dataset.loss);
  byId("x-name").textContent = state.kind === "residual" ? "residual" : "margin of the right class";
  byId("counted").textContent = drawn().filter((loss) => loss.tables[0].length > 1).map((loss) => loss.name).join(", ") || "none of those drawn";
}

function setFrom(control) {
  const { key, stops } = control.dataset;
  if (key === "x") state.x[state.kind] = within(control.value, SHOWN[state.kind]);
  else if (control.type === "checkbox") state[key] = control.checked;
  else if (stops) state[key] = data.ratios[control.value];
  else state[key] = key === "kind" ? control.value : Number(control.value);
  render();
}

function toggle(box) {
  const { kind, name } = losses.get(box.dataset.loss);
  const others = state.losses[kind].filter((other) => other !== name);
  if (box.checked) state.losses[kind] = [...others, name];
  else if (others.length) state.losses[kind] = others; // one stays
  state.kind = kind;
  render();
}

/** Let a finger or a mouse set a number on a picture; up and down still scrolls the page. */
function draggable(picture, set) {
  const move = (event) => {
    set(picture.value(event.clientX - picture.getBoundingClientRect().left));
    render();
  };
  picture.addEventListener("pointerdown", (event) => {
    if (event.isTrusted) picture.setPointerCapture(event.pointerId);
    move(event);
  });
  picture.addEventListener("pointermove", (event) => event.buttons && move(event));
}

function show(button) {
  take(JSON.parse(button.dataset.state));
  byId("told").textContent = button.parentElement.querySelector("p").textContent;
  for (const other of document.querySelectorAll("[data-state]")) other.setAttribute("aria-pressed", other === button);
  render();
}

function showLesson(id) {
  for (const lesson of document.querySelectorAll(".lesson")) lesson.hidden = lesson.id !== id;
  for (const button of document.querySelectorAll("[data-lesson]")) button.setAttribute("aria-pressed", button.dataset.lesson === id);
}

function start() {
  for (const kind of ["residual", "margin"]) {
    const all = data.losses.filter((loss) => loss.kind === kind).map((loss) => loss.name);
    const first = data.first.filter((name) => all.includes(name));
    state.losses[kind] = first.length ? first : all.slice(0, 4);
  }
  for (const control of document.querySelectorAll("[data-key]")) control.addEventListener("input", () => setFrom(control));
  for (const box of document.querySelectorAll("[data-loss]")) box.addEventListener("change", () => toggle(box));
  for (const button of document.querySelectorAll("[data-lesson]"))
    button.addEventListener("click", () => {
      showLesson(button.dataset.lesson);
      show(byId(button.dataset.lesson).querySelector("[data-state]"));
    });
  for (const button of document.querySelectorAll("[data-state]"))
    button.addEventListener("click", () => {
      show(button);
      const smooth = !matchMedia("(prefers-reduced-motion: reduce)").matches;
      if (matchMedia("(max-width: 68rem)").matches) byId("play").scrollIntoView({ behavior: smooth ? "smooth" : "auto" });
    });
  for (const panel of PANELS)
    draggable(byId(`curve-${panel}`), (x) => {
      state.x[state.kind] = within(x, SHOWN[state.kind]);
    });
  draggable(byId("best-1"), (x) => {
    if (state.kind === "margin") state.eta = Math.max(0.01, Math.min(0.99, Math.round(100 * x) / 100));
  });
  const lesson = document.querySelector(".lesson");
  if (lesson) showLesson(lesson.id);
  readAddress();
  addEventListener("hashchange", () => (readAddress(), render()));
  new ResizeObserver(render).observe(byId("play"));
  draw();
}

start();
