// The page of a comparison, when scripts run: charts, and a table that is sorted and filtered. Without them the page
// has the same numbers as text and pictures. All names of runs are data: they become text nodes, never markup.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const places = Object.fromEntries(["controls", "differences", "curves", "losses"].map((id) => [id, document.getElementById(id)]));
  const losses = data.losses.map((loss, index) => ({ ...loss, index }));
  const known = new Map(losses.map((loss) => [loss.name, loss]));
  const MANY = 8; // more lines than this have no bands
  const PAPER = 680; // pixels that a page of paper is wide
  let onPaper = false;
  const widthOf = (place) => (onPaper ? PAPER : place.clientWidth);

  // ---- what is chosen: kept in the address, so that a link shows the same

  const first = () => ({ metric: data.metric, select: data.select, find: "", chosen: null, columns: data.columns, sort: "", pins: new Set() });
  let state = first();

  function read() {
    const asked = new URLSearchParams(location.hash.slice(1));
    state = first();
    if (asked.get("select") in data.selects) state.select = asked.get("select");
    if (asked.get("metric") in data.numbers[state.select]) state.metric = asked.get("metric");
    state.find = asked.get("find") ?? "";
    const chosen = asked.getAll("loss").filter((name) => known.has(name));
    if (chosen.length) state.chosen = new Set(chosen);
    const columns = asked.getAll("column").filter((name) => name in data.metrics);
    state.columns = columns.length ? columns : data.columns;
    if (!state.columns.includes(state.metric)) state.columns = [state.metric, ...state.columns];
    const sort = asked.get("sort") ?? "";
    if (["loss", "n", "group"].includes(bare(sort)) || bare(sort) in data.metrics) state.sort = sort;
    state.pins = new Set(asked.getAll("pin").filter((name) => known.has(name)));
  }

  function write() {
    const said = new URLSearchParams();
    if (state.metric !== data.metric) said.set("metric", state.metric);
    if (state.select !== data.select) said.set("select", state.select);
    if (state.find) said.set("find", state.find);
    if (state.sort) said.set("sort", state.sort);
    for (const name of state.chosen ?? []) said.append("loss", name);
    if (state.columns.join() !== data.columns.join()) for (const name of state.columns) said.append("column", name);
    for (const name of state.pins) said.append("pin", name);
    try {
      history.replaceState(null, "", said.size ? `#${said}` : location.pathname + location.search);
    } catch { /* a frame without an address of its own, such as MLflow's */ }
  }

  function change(changes) {
    state = { ...state, ...changes };
    write();
    draw();
  }

  function pin(name) {
    const pins = new Set(state.pins);
    if (!pins.delete(name)) pins.add(name);
    change({ pins });
  }

  // ---- what is known of a loss

  const bare = (sort) => sort.replace(/^-/, "");
  const numbersOf = (metric) => data.numbers[state.select][metric];
  const meanOf = (loss, metric) => numbersOf(metric)?.means[loss.index] ?? null;
  const differenceOf = (loss) => numbersOf(state.metric)?.differences[loss.index] ?? null;
  const faint = (loss) => (state.pins.size && !state.pins.has(loss.name) ? 0.2 : 1);
  const shortened = (text, most) => (text.length > most ? `${text.slice(0, Math.ceil(most / 2))}…${text.slice(1 - Math.floor(most / 2))}` : text);

  function visible() {
    const words = state.find.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = losses.filter(({ name }) => state.pins.has(name) ||
      ((state.chosen?.has(name) ?? true) && words.every((word) => name.toLowerCase().includes(word))));
    const key = bare(state.sort) || (state.metric !== data.metric || state.select !== data.select ? state.metric : "");
    if (!key) return shown;
    const value = (loss) => (key === "loss" ? loss.name : key === "group" ? loss.group
      : meanOf(loss, key === "n" ? state.metric : key)?.[key === "n" ? 3 : 0]);
    const turned = (key === "n" || data.metrics[key]?.better === "higher") !== state.sort.startsWith("-");
    return shown.sort((one, other) => {
      const [a, b] = [value(one), value(other)];
      if (a == null || b == null) return (a == null) - (b == null);
      return (turned ? -1 : 1) * (typeof a === "string" ? a.localeCompare(b) : a - b);
    });
  }

  function told(loss, metric) {
    const found = meanOf(loss, metric);
    const name = `${loss.name}${loss.name === data.baseline ? " (baseline)" : ""}`;
    if (!found) return `${name}\nno ${data.metrics[metric].name}`;
    const [, low, high, n, text] = found;
    const interval = low === null ? "no interval" : `[${low}, ${high}], ${numbersOf(metric).kind}`;
    return `${name}\n${data.metrics[metric].name} ${text}\nn = ${n}, ${interval}\n${data.selects[state.select]}`;
  }

  function toldOfDifference(loss) {
    const [, , , , text, n, p, low, high] = differenceOf(loss);
    const alone = low == null ? "" : `\nfor this test set: [${low}, ${high}]`;
    return `${loss.name} − ${data.baseline}: ${text}\n${[n, p].filter(Boolean).join(", ")}${alone}\n${told(loss, state.metric).split("\n").slice(1).join("\n")}` +
      (loss.command ? `\n${loss.command}` : "");
  }

  // ---- elements

  function el(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value !== false && value != null) made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children);
    return made;
  }

  const MARKERS = {
    o: [d3.symbolCircle, 0], s: [d3.symbolSquare, 0], "^": [d3.symbolTriangle, 0], v: [d3.symbolTriangle, 180],
    "<": [d3.symbolTriangle, -90], ">": [d3.symbolTriangle, 90], D: [d3.symbolSquare, 45], d: [d3.symbolDiamond, 0],
    P: [d3.symbolCross, 0], X: [d3.symbolCross, 45], "*": [d3.symbolStar, 0], p: [d3.symbolWye, 0],
  };
  const markerOf = (loss) => MARKERS[loss.marker] ?? MARKERS.o;
  const dashesOf = (loss) => loss.dashes.map((length) => 1.4 * length).join(" ") || null;

  const inLines = (name) => name.split(/(?<=[_+,])/).flatMap((part, k) => (k ? [el("wbr"), part] : [part])); // long names break there

  function swatch(loss) {
    const [symbol, turn] = markerOf(loss);
    const svg = d3.create("svg").attr("class", "swatch").attr("width", 30).attr("height", 12).attr("aria-hidden", "true");
    svg.append("line").attr("x2", 30).attr("y1", 6).attr("y2", 6).attr("stroke", loss.color).attr("stroke-width", 2)
      .attr("stroke-dasharray", dashesOf(loss));
    svg.append("path").attr("d", d3.symbol(symbol, 42)()).attr("fill", loss.color).attr("transform", `translate(15 6) rotate(${turn})`);
    return svg.node();
  }

  const pinButton = (loss, text = loss.name) => el("button",
    { class: "plain", type: "button", "aria-pressed": String(state.pins.has(loss.name)), title: loss.command || null, onclick: () => pin(loss.name) },
    swatch(loss), ...inLines(text));

  // ---- the controls above charts and table

  function choices(id, title, all, isOn, toggle) {
    const on = all.filter(([key]) => isOn(key)).length;
    const open = document.getElementById(id)?.open;
    const boxes = all.map(([key, text]) => el("label", {},
      el("input", { type: "checkbox", value: key, checked: isOn(key), onchange: (event) => toggle(key, event.target.checked) }), ` ${text}`));
    return el("details", { id, open }, el("summary", {}, `${title} (${on} of ${all.length})`), el("div", { class: "choices" }, ...boxes));
  }

  function selectOf(id, label, options, chosen, onchange) {
    const made = el("select", { id, onchange: (event) => onchange(event.target.value) });
    for (const [key, text] of options) made.append(el("option", { value: key, selected: key === chosen }, text));
    return el("label", {}, `${label} `, made);
  }

  function drawControls() {
    const metrics = Object.entries(data.metrics).filter(([key]) => key in data.numbers[state.select]).map(([key, { name }]) => [key, name]);
    const withMetric = (metric) => change({ metric, columns: state.columns.includes(metric) ? state.columns : [...state.columns, metric] });
    const parts = [selectOf("metric", "Metric", metrics, state.metric, withMetric)];
    if (Object.keys(data.selects).length > 1) {
      parts.push(selectOf("select", "Epoch", Object.entries(data.selects), state.select, (select) =>
        change({ select, metric: state.metric in data.numbers[select] ? state.metric : data.metric })));
    }
    const find = document.getElementById("find") ?? el("input", { id: "find", type: "search", placeholder: "find losses", "aria-label": "find losses",
      oninput: (event) => change({ find: event.target.value }) });
    if (find.value !== state.find) find.value = state.find;
    const isChosen = (name) => state.chosen?.has(name) ?? true;
    parts.push(find, choices("choose-losses", "losses", losses.map(({ name }) => [name, name]), isChosen, (name, on) => {
      const chosen = new Set(losses.map((loss) => loss.name).filter((other) => (other === name ? on : isChosen(other))));
      change({ chosen: chosen.size === losses.length ? null : chosen });
    }), choices("choose-columns", "columns", metrics, (key) => state.columns.includes(key), (key, on) => change(
      { columns: Object.keys(data.metrics).filter((other) => (other === key ? on : state.columns.includes(other))) })));
    if (location.hash.includes("=")) parts.push(el("button", { type: "button", id: "reset", onclick: () => change(first()) }, "reset"));
    const away = state.metric !== data.metric || state.select !== data.select;
    if (away) parts.push(el("span", { class: "said" }, `The words above, and the details, are of ${data.metrics[data.metric].name}, ${data.selects[data.select]}.`));
    if (places.controls.contains(find) && document.activeElement === find) { // the field keeps its cursor
      for (const child of [...places.controls.childNodes]) if (child !== find) child.remove();
      const at = parts.indexOf(find);
      find.before(...parts.slice(0, at));
      find.after(...parts.slice(at + 1));
    } else places.controls.replaceChildren(...parts);
    places.controls.hidden = false;
  }

  // ---- the chart of differences to the baseline

  function farthest(differences) { // as in figures/metrics.py: one wide interval would make points of all the others
    const reaches = differences.filter(([, low]) => low !== null).map(([, low, high]) => Math.max(-low, high));
    return Math.max(4 * (d3.median(reaches) ?? Infinity), ...differences.map(([mean]) => Math.abs(mean)));
  }

  function drawDifferences() {
    const rows = visible().filter((loss) => differenceOf(loss));
    const { better, name } = data.metrics[state.metric];
    if (!rows.length) return put(places.differences, el("p", {}, `No chosen loss has a difference to ${data.baseline} in ${name}.`));
    const width = widthOf(places.differences);
    const letters = Math.max(8, Math.floor(width * 0.056));
    const longest = Math.min(letters, Math.max(...rows.map((loss) => loss.name.length)));
    const far = farthest(rows.map(differenceOf)), inside = (value) => value !== null && Math.abs(value) <= far;
    const points = rows.map((loss) => {
      const [mean, low, high, p, , , , ...alone] = differenceOf(loss);
      return { y: loss.name, name: loss.name, mean, p, low: low === null ? null : Math.max(low, -far), high: high === null ? null : Math.min(high, far),
        beyond: [low < -far ? -far : null, high > far ? far : null].filter((bound) => bound !== null), alone: alone.filter(inside), told: toldOfDifference(loss) };
    });
    const marks = [Plot.gridX({ strokeOpacity: 0.15 })];
    if (data.margin !== null && state.metric === data.metric) marks.push(Plot.rectX([0], { x1: -data.margin, x2: data.margin, fill: "currentColor", fillOpacity: 0.1 }));
    marks.push(Plot.ruleX([0], { strokeWidth: 1.5 }));
    rows.forEach((loss, k) => {
      const [symbol, rotate] = markerOf(loss), here = [points[k]], opacity = faint(loss);
      const strokeWidth = state.pins.has(loss.name) ? 4 : 2.2;
      if (here[0].low !== null) marks.push(Plot.ruleY(here, { y: "y", x1: "low", x2: "high", stroke: loss.color, strokeWidth, opacity, strokeDasharray: dashesOf(loss) }));
      for (const side of here[0].beyond) marks.push(Plot.dot([side], { x: side, y: () => loss.name, symbol: "triangle", rotate: side < 0 ? -90 : 90, r: 4, fill: loss.color, opacity }));
      marks.push(Plot.tickX(here[0].alone, { x: (bound) => bound, y: () => loss.name, stroke: loss.color, strokeWidth: 1.5, opacity, insetTop: 4, insetBottom: 4 }));
      marks.push(Plot.dot(here, { y: "y", x: "mean", symbol, rotate, r: 5, stroke: loss.color, strokeWidth: 1.8, opacity, fill: here[0].p !== null && here[0].p <= data.alpha ? loss.color : "var(--back)" }));
    });
    if (width > 600) marks.push(Plot.text(rows, { y: "name", frameAnchor: "right", textAnchor: "start", dx: 8, text: (loss) => [differenceOf(loss)[6], differenceOf(loss)[5]].filter(Boolean).join(", "), opacity: faint }));
    marks.push(Plot.tip(points, Plot.pointerY({ x: "mean", y: "y", title: "told", lineWidth: 40 })));
    const arrow = better === "higher" ? "better →" : better === "lower" ? "← better" : "";
    const chart = Plot.plot({
      width, height: 58 + Math.max(18, Math.min(30, 500 / rows.length)) * rows.length, marginLeft: 14 + 6.6 * longest, marginRight: width > 600 ? 142 : 12, marginTop: 8, marginBottom: 40,
      x: { label: `${width > 600 ? `difference to the baseline ${data.baseline}` : "difference"}, ${name}   ${arrow}`, labelAnchor: "center", labelArrow: "none", labelOffset: 34, nice: true, ticks: width > 600 ? 8 : 4 },
      y: { domain: rows.map((loss) => loss.name), label: null, tickSize: 0, tickFormat: (text) => shortened(text, letters) }, style: { fontSize: "11.5px" }, marks,
    });
    chart.addEventListener("click", () => chart.value && pin(chart.value.name));
    const numbers = numbersOf(state.metric);
    const alone = state.select === data.select ? "" : " For new seeds on this test set.";
    put(places.differences, chart, el("p", { class: "caption" },
      `${name} (${data.selects[state.select]}): each loss minus ${data.baseline}, mean and ${numbers.kinds} interval; filled where p is at most ${data.alpha}. ` +
      `${points.some((point) => point.alone.length) ? "Bars: for new seeds and new test data; upright strokes: for new seeds on this test set. " : ""}` +
      `${points.some((point) => point.beyond.length) ? "Arrows: an interval that goes on, beyond four times the reach of the median one. " : ""}` +
      `Both are simultaneous over ${numbers.family}.${alone} Point at a loss for its numbers, click to pin it.`));
  }

  // ---- the chart of learning curves

  function drawCurves() {
    const metric = state.metric in data.curves ? state.metric : data.metric in data.curves ? data.metric : Object.keys(data.curves)[0];
    if (!metric) return;
    const found = data.curves[metric], { better, name } = data.metrics[metric];
    const rows = visible().filter((loss) => found.epochs[loss.index].length > 1);
    const narrow = (k) => found.means[k].filter((value) => value !== null);
    const all = rows.flatMap((loss) => narrow(loss.index));
    const [least, most] = [d3.quantile(all, better === "higher" ? 0.1 : 0), d3.quantile(all, better === "higher" ? 1 : 0.9)];
    const room = 0.15 * (most - least) || 0.1;
    const marks = [Plot.gridY({ strokeOpacity: 0.15 })], points = [];
    const front = [...rows].sort((one, other) => state.pins.has(one.name) - state.pins.has(other.name));
    for (const loss of front) {
      const k = loss.index, opacity = faint(loss), pinned = state.pins.has(loss.name);
      const line = found.epochs[k].map((epoch, e) => ({ epoch, mean: found.means[k][e], low: found.lows[k][e], high: found.highs[k][e] }));
      if ((rows.length <= MANY && opacity === 1) || pinned) marks.push(Plot.areaY(line.filter((at) => at.low !== null), { x: "epoch", y1: "low", y2: "high", fill: loss.color, fillOpacity: 0.15, clip: true }));
      marks.push(Plot.lineY(line, { x: "epoch", y: "mean", stroke: loss.color, strokeWidth: pinned ? 3 : rows.length > MANY ? 1.3 : 1.8, strokeDasharray: dashesOf(loss), opacity, clip: true }));
      points.push(...line.filter((at) => at.mean !== null && at.mean >= least - room && at.mean <= most + room).map((at) => ({ ...at, name: loss.name,
        told: `${loss.name}\nepoch ${at.epoch}: ${name} ${at.mean}\nn = ${found.n[k]}, ${at.low === null ? "no interval" : `[${at.low}, ${at.high}]`}` })));
    }
    marks.push(Plot.dot(points, Plot.pointer({ x: "epoch", y: "mean", r: 4, fill: "currentColor" })), Plot.tip(points, Plot.pointer({ x: "epoch", y: "mean", title: "told", lineWidth: 40 })));
    const width = widthOf(places.curves);
    const chart = Plot.plot({ width, height: Math.min(380, 0.75 * width + 60), marginLeft: 56, style: { fontSize: "11.5px" },
      marginBottom: 40,
      x: { label: "epoch", labelArrow: "none", labelAnchor: "center", labelOffset: 34, ticks: d3.ticks(...d3.extent(points, (at) => at.epoch), 10).filter(Number.isInteger), tickFormat: "d" }, y: { label: name, domain: [least - room, most + room], labelArrow: "none" }, marks });
    chart.addEventListener("click", () => chart.value && pin(chart.value.name));
    const keys = rows.map((loss) => el("span", { class: faint(loss) < 1 ? "dimmed" : "" }, pinButton(loss)));
    put(places.curves, el("div", { class: "keys" }, ...keys), chart, el("p", { class: "caption" },
      `Test ${name} after each epoch, mean over seeds${rows.length <= MANY || state.pins.size ? " and its interval" : ""}. The axis leaves out the worst tenth of the points.`));
  }

  function put(place, ...children) {
    place.replaceChildren(...children);
    place.classList.add("drawn");
  }

  // ---- the table

  function heading(key, text) {
    const now = bare(state.sort) === key, back = state.sort.startsWith("-");
    return el("th", { scope: "col", "aria-sort": now ? (back ? "descending" : "ascending") : null },
      el("button", { class: "plain", type: "button", title: "sort", onclick: () => change({ sort: now ? (back ? "" : `-${key}`) : key }) },
        `${text}${now ? (back ? " ▾" : " ▴") : ""}`));
  }

  function cell(text, attributes = {}, bold = false) {
    const [mean, ...interval] = text.split(" ");
    return el("td", attributes, el(bold ? "b" : "span", {}, mean), ...(interval.length ? [" ", el("span", { class: "interval" }, interval.join(" "))] : []));
  }

  function drawTable() {
    const columns = state.columns.filter((key) => numbersOf(key));
    const lettered = losses.some((loss) => loss.group) && state.select === data.select;
    const best = Object.fromEntries(columns.map((key) => {
      const means = losses.map((loss) => meanOf(loss, key)?.[0]).filter((value) => value != null);
      return [key, { higher: d3.max, lower: d3.min }[data.metrics[key].better]?.(means)];
    }));
    const rows = visible().map((loss) => {
      const name = el("th", { scope: "row" }, pinButton(loss));
      if (loss.name === data.baseline) name.append(" ", el("span", { class: "tag" }, "baseline"));
      if (loss.link) name.append(" ", el("a", { href: loss.link, rel: "noreferrer", title: `${loss.source}\n${loss.command}` }, "source"));
      const cells = columns.map((key) => {
        const found = meanOf(loss, key);
        return cell(found?.[4] ?? "–", { "data-told": told(loss, key) }, found && found[0] === best[key]);
      });
      const kind = state.pins.has(loss.name) ? "pinned" : state.pins.size ? "dimmed" : null;
      return el("tr", { class: kind }, name, el("td", {}, String(meanOf(loss, state.metric)?.[3] ?? 0)),
        ...(lettered ? [el("td", { class: `group${(loss.group || "").length > 8 ? " letters" : ""}` }, loss.group || "–")] : []), ...cells);
    });
    const below = data.references.map((one) => el("tr", {}, el("th", { scope: "row" }, one.name), el("td", {}, "–"),
      ...(lettered ? [el("td", {}, "–")] : []), ...columns.map((key) => cell(one.texts[key] ?? "–"))));
    const heads = [heading("loss", "loss"), heading("n", "n"), ...(lettered ? [heading("group", "group")] : []), ...columns.map((key) => heading(key, data.metrics[key].name))];
    places.losses.replaceChildren(el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...rows, ...below));
  }

  function draw() {
    drawControls();
    if (places.differences) drawDifferences();
    if (places.curves) drawCurves();
    drawTable();
  }

  // ---- what is told of a cell under the pointer, or with the focus

  const tip = el("div", { id: "tip", role: "tooltip", hidden: true });
  document.body.append(tip);
  function tell(event) {
    const cell = event.target.closest?.("[data-told]");
    tip.hidden = !cell;
    if (!cell) return;
    tip.textContent = cell.dataset.told;
    const [at, own] = [cell.getBoundingClientRect(), tip.getBoundingClientRect()];
    tip.style.left = `${Math.max(4, Math.min(at.left, innerWidth - own.width - 8))}px`;
    tip.style.top = `${at.bottom + own.height + 4 < innerHeight ? at.bottom + 2 : at.top - own.height - 2}px`;
  }
  for (const name of ["pointerover", "focusin", "pointerdown"]) document.addEventListener(name, tell);

  let waiting;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(draw, 150); });
  addEventListener("hashchange", () => { read(); draw(); });
  addEventListener("beforeprint", () => {
    onPaper = true; // charts are drawn as wide as paper, so that their letters don't shrink
    draw();
    document.querySelectorAll("main details").forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => { onPaper = false; draw(); });
  document.querySelector("nav")?.addEventListener("click", (event) => { // the address is that of what is chosen
    const section = event.target.hash && document.getElementById(event.target.hash.slice(1));
    if (!section) return;
    event.preventDefault();
    for (let one = section; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
    section.scrollIntoView();
  });
  read();
  draw();
})();
