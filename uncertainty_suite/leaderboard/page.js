"use strict";
// Everything from records is set as text (`textContent`, attributes), never as markup.

const DATA = JSON.parse(document.getElementById("data").textContent);

// Okabe and Ito's colours without yellow, as in the suite's figures; on light and on dark, so that the contrast is 3:1.
const pair = (light, dark) => `light-dark(${light}, ${dark})`;
const COLORS = [pair("#009E73", "#12B48A"), pair("#0072B2", "#2E9BE6"), pair("#C28600", "#E69F00"), pair("#D55E00", "#EA7A2B"),
  pair("#1E9BE2", "#56B4E9"), pair("#CC79A7", "#D48FB5"), pair("#74777B", "#A3A6AA"), pair("#A6761D", "#C4943A"),
  pair("#7B61C9", "#9C86DD"), pair("#5E9E2F", "#6FB53B"), pair("#B3344F", "#DE7088"), pair("#2A928B", "#2FA39B")];
// Shapes of about one area, of radius 1: methods differ in more than their colour.
const SHAPES = ["M1 0A1 1 0 1 1-1 0A1 1 0 1 1 1 0Z", "M-.9-.9H.9V.9H-.9Z", "M0-1.25 1.2.85H-1.2Z", "M0-1.3 1.3 0 0 1.3-1.3 0Z"];
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];
const COST_NAMES = { num_parameters: "parameters", train_flops: "training FLOPs", train_seconds: "train seconds",
  prediction_flops_per_example: "FLOPs per example", milliseconds_per_example: "ms per example" };
const ALL_TASKS = "All tasks";
const OVERLAID_AT_FIRST = 4;

// ---------------------------------------------------------------- Elements

function make(namespace, tag, attributes, children) {
  const element = namespace ? document.createElementNS(namespace, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, part] of Object.entries(value)) element.style.setProperty(key, part);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}
const html = (tag, attributes, ...children) => make(null, tag, attributes, children);
const svg = (tag, attributes, ...children) => make("http://www.w3.org/2000/svg", tag, attributes, children);
// A name may be broken after its slashes, dots and underscores; a button of such a name says it again as its label, for
// a screen reader would read the pieces.
const breakable = (text) => text.split(/(?<=[/._])/).flatMap((part, k) => (k ? [document.createElement("wbr"), part] : [part]));
const unseen = (text) => html("span", { class: "unseen" }, text);

function format(value, decimals) {
  if (decimals === 0 && Math.abs(value) >= 1e8) return value.toExponential(3);
  return value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}
const brief = (value) => (Math.abs(value) >= 1e9 || (value && Math.abs(value) < 1e-3) ? (+value.toPrecision(3)).toExponential().replace("+", "") : Math.abs(value) >= 1e6 ? `${+(value / 1e6).toPrecision(3)}M` : Math.abs(value) >= 1e4
  ? `${+(value / 1e3).toPrecision(3)}k` : String(+value.toPrecision(5)));
const formatP = (p) => (p < 0.0001 ? "p < 0.0001" : `p = ${p.toFixed(4)}`);
const arrow = (direction) => (direction > 0 ? "↑" : direction < 0 ? "↓" : "");
const directionText = (direction) => (direction > 0 ? "higher is better" : "lower is better");

// ---------------------------------------------------------------- State

// A colour and a shape a method over the whole page; further rows of a method in one task are dashed.
const colorOf = new Map();
const shapeOf = (method) => SHAPES[[...colorOf.keys()].indexOf(method) % SHAPES.length];
for (const task of DATA.tasks) {
  const seen = new Map();
  for (const row of task.rows) {
    // Cells come in the order of the metrics, and what all runs of a row have in common comes once.
    row.values = Object.fromEntries(task.metrics.map((metric, i) => [metric.name, row.values[i]]).filter(([, value]) => value));
    row.runs = row.runs.map((run) => ({ ...row.all_runs, ...run }));
    if (!colorOf.has(row.method)) colorOf.set(row.method, COLORS[colorOf.size % COLORS.length]);
    const color = colorOf.get(row.method);
    const earlier = seen.get(color) || 0;
    seen.set(color, earlier + 1);
    row.look = { color, shape: shapeOf(row.method), dash: DASHES[earlier % DASHES.length] };
  }
}

const states = new Map();
function stateOf(task) {
  if (!states.has(task)) {
    const chosen = new Set(task.metrics.filter((metric) => metric.headline).map((metric) => metric.name));
    const first = task.metrics.find((metric) => metric.headline) || task.metrics[0];
    states.set(task, {
      chosen,
      filters: new Map(),
      sort: { key: first.name, descending: first.direction > 0 },
      interval: "interval",
      unfolded: new Set(),
      overlaid: new Set(task.rows.slice(0, OVERLAID_AT_FIRST)),
      selected: {},
    });
  }
  return states.get(task);
}

// ---------------------------------------------------------------- Table

// A filter of numbers: "<0.1", ">= 0.9", "0.1..0.2". Null if it is none.
function parseFilter(text) {
  const number = "\\s*(-?\\d*\\.?\\d+(?:e-?\\d+)?)\\s*";
  const range = text.match(new RegExp(`^${number}\\.\\.${number}$`, "i"));
  if (range) return (value) => value >= +range[1] && value <= +range[2];
  const bound = text.match(new RegExp(`^\\s*(<=|>=|<|>|≤|≥)${number}$`, "i"));
  if (!bound) return null;
  const limit = +bound[2];
  return { "<": (v) => v < limit, ">": (v) => v > limit, "<=": (v) => v <= limit, ">=": (v) => v >= limit,
    "≤": (v) => v <= limit, "≥": (v) => v >= limit }[bound[1]];
}

function visibleRows(task, state) {
  const kept = task.rows.filter((row) => [...state.filters].every(([key, text]) => {
    if (!text.trim()) return true;
    if (key === "name") return `${row.label} ${row.model} ${row.hash}`.toLowerCase().includes(text.trim().toLowerCase());
    const test = parseFilter(text);
    return !test || (row.values[key] !== undefined && test(row.values[key].mean));
  }));
  const { key, descending } = state.sort;
  const sign = descending ? -1 : 1;
  const value = (row) => (key === "name" ? row.label : row.values[key] && row.values[key].mean);
  return kept.sort((a, b) => {
    const [first, second] = [value(a), value(b)];
    if (first === undefined || second === undefined) return (first === undefined) - (second === undefined);
    return sign * (key === "name" ? first.localeCompare(second) : first - second);
  });
}

function rangeOf(task, metric, kind) {
  const ends = task.rows.flatMap((row) => {
    const value = row.values[metric.name];
    return value ? [value.mean, ...(value[kind] || [])] : [];
  });
  return [Math.min(...ends), Math.max(...ends)];
}

function intervalBar(value, kind, [low, high], row) {
  if (!(high > low)) return null;
  const place = (x) => 100 * (x - low) / (high - low);
  const ends = value[kind];
  return html("span", { class: "bar", "aria-hidden": "true", style: { "--swatch": row.look.color } },
    ends && html("i", { style: { left: `${place(ends[0])}%`, width: `${Math.max(place(ends[1]) - place(ends[0]), 0.5)}%` } }),
    html("b", { style: { left: `${place(value.mean)}%` } }));
}

function cell(task, state, metric, row) {
  const value = row.values[metric.name];
  if (!value) return html("td", {}, "—", unseen(" not measured"));
  const kind = state.interval;
  const ends = value[kind];
  const isCost = DATA.costs.includes(metric.name);
  if (value.text) return html("td", { title: "How many networks in a plain ensemble reach the same calibrated loss" }, value.text);
  const text = (x) => format(x, metric.decimals);
  const notes = [`${metric.name} ${text(value.mean)}`];
  if (value.error !== undefined) notes.push(`standard error ${text(value.error)} over ${task.replicates}`);
  if (value.interval) notes.push(`95 % over ${task.replicates} ${text(value.interval[0])} to ${text(value.interval[1])}`);
  if (value.examples) notes.push(`95 % over test examples ${text(value.examples[0])} to ${text(value.examples[1])}`);
  if (value.p_best !== undefined) notes.push(`against the best ${formatP(value.p_best)}`);
  if (value.p_reference !== undefined) notes.push(`against ${row.reference} ${formatP(value.p_reference)}`);
  if (value.detectable !== undefined) {
    notes.push(`detectable against ${row.reference} with 80 % power: ${brief(+value.detectable.toPrecision(2))}; ${task.replicates} needed for the difference seen: ${value.needed}`);
  }
  const half = ends && (ends[1] - ends[0]) / 2;
  return html("td", { class: value.best ? "best" : value.tied ? "tied" : null, title: notes.join("\n") },
    text(value.mean),
    half !== undefined && half > 0 && !isCost && html("small", {}, ` ±${text(half)}`),
    value.runs < row.runs.length && html("small", {}, ` n=${value.runs}`),
    value.best && unseen(" best"),
    value.tied && !value.best && unseen(" not distinguishable from the best"),
    metric.direction !== 0 && intervalBar(value, kind, rangeOf(task, metric, kind), row));
}

function header(task, state, refresh, key, title, metric) {
  const { sort } = state;
  const sorted = sort.key === key;
  const click = () => {
    state.sort = { key, descending: sorted ? !sort.descending : Boolean(metric && metric.direction > 0) };
    refresh(`sort:${key}`);
  };
  return html("th", { scope: "col", class: metric ? null : "name",
    "aria-sort": sorted ? (sort.descending ? "descending" : "ascending") : "none" },
  html("button", { type: "button", onclick: click, "data-focus": `sort:${key}`,
    "aria-label": metric && metric.direction !== 0 ? `${title}, ${directionText(metric.direction)}` : title }, breakable(title),
  metric && metric.direction !== 0 && html("span", { class: "direction" }, `\u00a0${arrow(metric.direction)}`)));
}

function filterCell(state, refresh, key, label) {
  const input = html("input", { type: "search", value: state.filters.get(key) || "", "data-focus": `filter:${key}`,
    placeholder: key === "name" ? "filter" : "<0.1", title: key === "name" ? null : "<0.1, >=0.9 or 0.1..0.2", "aria-label": `Filter ${label}` });
  const mark = () => {
    const text = input.value.trim();
    input.setAttribute("aria-invalid", String(Boolean(text && key !== "name" && !parseFilter(text))));
  };
  mark();
  input.addEventListener("input", () => {
    state.filters.set(key, input.value);
    mark();
    refresh(null);
  });
  return html("td", { class: key === "name" ? "name" : null }, input);
}

function nameCell(task, row, state, refresh) {
  const unfold = () => {
    if (!state.unfolded.delete(row)) state.unfolded.add(row);
    refresh(`unfold:${row.hash}`);
  };
  const overlay = () => {
    if (!state.overlaid.delete(row)) state.overlaid.add(row);
    refresh(`overlay:${row.hash}`, true);
  };
  const model = row.label.includes(row.model) ? "" : row.model;
  return html("th", { scope: "row", class: "name" }, html("div", {},
    html("input", { type: "checkbox", checked: state.overlaid.has(row), onchange: overlay,
      "data-focus": `overlay:${row.hash}`, "aria-label": `Draw ${row.label} in the figures`,
      style: { "--swatch": row.look.color } }),
    html("span", {},
      html("button", { type: "button", "aria-expanded": String(state.unfolded.has(row)), onclick: unfold,
        "data-focus": `unfold:${row.hash}`, "aria-label": row.label }, breakable(row.label)),
      html("small", {}, [model, `${row.count} ${row.count === "1" ? task.replicates.slice(0, -1) : task.replicates}`].filter(Boolean).join(", ")),
      row.tuned_method && html("small", { title: "with the number of values tried on the validation split" }, `tuned: ${row.tuned_method}`),
      !row.trained_here && html("small", {}, "scored from predictions; not trained here"))));
}

function board(task, state, redraw) {
  const metrics = task.metrics.filter((metric) => state.chosen.has(metric.name));
  const body = html("tbody");
  const head = html("tr");
  const count = html("p", { class: "quiet", role: "status" });
  function refresh(focus, figures = false) {
    head.replaceChildren(header(task, state, refresh, "name", "method", null),
      ...metrics.map((metric) => header(task, state, refresh, metric.name, metric.name, metric)));
    const rows = visibleRows(task, state);
    body.replaceChildren(...rows.flatMap((row) => {
      const line = html("tr", {}, nameCell(task, row, state, refresh),
        metrics.map((metric) => cell(task, state, metric, row)));
      if (!state.unfolded.has(row)) return [line];
      return [line, html("tr", { class: "detail" }, html("td", { colspan: metrics.length + 1 },
        html("div", {}, detail(task, row))))];
    }));
    count.textContent = rows.length < task.rows.length ? `${rows.length} of ${task.rows.length} rows` : "";
    if (focus) {
      const again = [...document.querySelectorAll("[data-focus]")].find((one) => one.dataset.focus === focus);
      if (again) again.focus();
    }
    if (figures) redraw();
  }
  const filters = html("tr", {}, filterCell(state, refresh, "name", "methods"),
    metrics.map((metric) => filterCell(state, refresh, metric.name, metric.name)));
  refresh(null);
  const table = html("table", { class: "board" }, html("caption", { class: "unseen" }, `Results on ${task.task}`),
    html("thead", {}, head, filters), body);
  const scroll = html("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": `Results on ${task.task}` }, table);
  const frame = html("div", { class: "frame" }, scroll);
  // A shadow at the right says that there are more columns.
  const shade = () => frame.classList.toggle("more", scroll.scrollLeft + scroll.clientWidth < scroll.scrollWidth - 1);
  scroll.addEventListener("scroll", shade);
  new ResizeObserver(shade).observe(table);
  return [frame, count];
}

function detail(task, row) {
  const commands = [...new Set(row.runs.map((run) => run.command))].join("\n");
  const copy = html("button", { type: "button", class: "copy", onclick: async () => {
    try {
      await navigator.clipboard.writeText(commands);
      copy.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(code);
      copy.textContent = "selected";
    }
  } }, "copy");
  const code = html("pre", {}, commands);
  const folds = task.replicates === "folds" ? ["fold"] : [];
  const versions = [...new Set(row.runs.map((run) => run.versions))].join("; ");
  return [
    html("h3", {}, copy, "Make it again"), code,
    html("div", { class: "columns" },
      html("div", {}, html("h3", {}, "Provenance"),
        html("div", { class: "wide" }, plainTable([...folds, "seed", "finished", "revision", "hardware"],
          row.runs.map((run) => [...folds.map(() => run.fold), run.seed, run.finished, run.revision.replace(/^([0-9a-f]{12})[0-9a-f]*/, "$1"), run.hardware]))),
        html("p", { class: "quiet" }, `${versions}. Protocol ${task.protocol}, global batch size ${row.batch_size}.`)),
      row.tuned.length > 0 && html("div", {}, html("h3", {}, "Tuned on held-out data"),
        html("div", { class: "wide" }, plainTable(["field", "values tried", "by", "on", "chosen"], row.tuned))),
      html("div", {}, html("h3", {}, `Configuration ${row.hash}`),
        html("div", { class: "config", tabindex: "0", role: "region", "aria-label": "Configuration" },
          plainTable(["field", "value"], Object.entries(row.config))))),
    html("div", { class: "figures" }, figures(task, [row], {})),
  ];
}

function plainTable(columns, rows) {
  return html("table", { class: "plain" },
    html("thead", {}, html("tr", {}, columns.map((name) => html("th", { scope: "col" }, name)))),
    html("tbody", {}, rows.map((row) => html("tr", {}, row.map((value, k) => html("td", {}, k ? String(value) : breakable(String(value))))))));
}

// ---------------------------------------------------------------- Controls

function controls(task, state, redraw) {
  const choices = html("div", { class: "choices" });
  const search = html("input", { type: "search", placeholder: "find a metric…", "aria-label": "Find a metric" });
  function show() {
    const text = search.value.trim().toLowerCase();
    choices.replaceChildren(...task.metrics.filter((metric) => metric.name.toLowerCase().includes(text)).map((metric) =>
      html("label", {}, html("input", { type: "checkbox", checked: state.chosen.has(metric.name), onchange: () => {
        if (!state.chosen.delete(metric.name)) state.chosen.add(metric.name);
        redraw();
      } }), `${metric.name} ${arrow(metric.direction)}`)));
  }
  search.addEventListener("input", show);
  const set = (test) => () => {
    state.chosen = new Set(task.metrics.filter(test).map((metric) => metric.name));
    show();
    redraw();
  };
  const sets = { headline: (m) => m.headline, test: (m) => m.section === "inside",
    shift: (m) => m.section === "shift" && (m.mean || m.place === "shift"), OOD: (m) => m.section === "ood",
    failures: (m) => m.section === "failure",
    cost: (m) => DATA.costs.includes(m.name) };
  show();
  const kinds = { interval: `95 % over ${task.replicates}`, examples: "95 % over test examples" };
  return html("div", { class: "controls" },
    html("details", {}, html("summary", {}, "Choose metrics"),
      html("div", { class: "tools" }, search, Object.entries(sets).filter(([, test]) => task.metrics.some(test))
        .map(([name, test]) => html("button", { type: "button", onclick: set(test) }, name))), choices),
    html("label", { class: "check" }, "Intervals",
      html("select", { onchange: (event) => { state.interval = event.target.value; redraw(); } },
        Object.entries(kinds).map(([value, text]) => html("option", { value, selected: value === state.interval }, text)))),
    html("span", { class: "quiet" }, html("span", { class: "key best" }, "best"), " ",
      html("span", { class: "key tied" }, "not distinguishable from it")));
}

// ---------------------------------------------------------------- Figures

const WIDTH = 400, HEIGHT = 280, LEFT = 58, RIGHT = 12, TOP = 28, BOTTOM = 46;

function niceTicks(low, high, count = 6) {
  const span = (high - low) || Math.abs(high) || 1;
  const power = 10 ** Math.floor(Math.log10(span / count));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => span / size <= count);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * span; k++) ticks.push(+(k * step).toPrecision(12));
  return ticks;
}

function scale([low, high], [from, to], log = false) {
  const at = log ? Math.log10 : (value) => value;
  const span = at(high) - at(low) || 1;
  return (value) => from + (to - from) * (at(value) - at(low)) / span;
}

function logTicks(low, high) {
  const ticks = [];
  for (let power = Math.ceil(Math.log10(low)); power <= Math.log10(high); power++) ticks.push(10 ** power);
  if (ticks.length > 1) return ticks;
  const first = 10 ** Math.floor(Math.log10(low));
  return [1, 2, 5, 10, 20, 50].map((factor) => factor * first).filter((tick) => tick >= low && tick <= high);
}

function mark(shape, x, y, radius, title) {
  return svg("path", { class: "mark", d: shape, transform: `translate(${x} ${y}) scale(${radius})` }, svg("title", {}, title));
}

// A chart: lines or points over two axes. `series`: {row, points: [[x, y, title, ends, radius]], line, dash}; `others`:
// points of the same kind that stay in the background.
function chart({ caption, tools, description, x, y, series, others = [], guide, columns, rows, over = "seeds" }) {
  const shown = [...series.flatMap((one) => one.points), ...others];
  const xs = shown.map((point) => point[0]);
  const ys = shown.flatMap((point) => [point[1], ...(point[3] || [])]);
  const padded = (values, log) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    if (log) return [low / 1.6, high * 1.6];
    const margin = 0.06 * (high - low) || 0.05 * Math.abs(high) || 0.5;
    return [low - margin, high + margin];
  };
  const xRange = x.range || padded(xs, x.log);
  const yRange = y.range || padded(ys, false);
  const px = scale(xRange, [LEFT, WIDTH - RIGHT], x.log);
  const py = scale(yRange, [HEIGHT - BOTTOM, TOP]);
  const xTicks = x.ticks || (x.log ? logTicks(...xRange) : niceTicks(...xRange));
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": description },
    niceTicks(...yRange).map((tick) => [
      svg("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: py(tick), y2: py(tick) }),
      svg("text", { x: LEFT - 7, y: py(tick) + 4, "text-anchor": "end" }, brief(tick))]),
    svg("text", { x: 4, y: 13 }, y.label, shown.some((point) => point[3]) && ` (95 % over ${over})`),
    xTicks.map((tick) => svg("text", { x: px(tick), y: HEIGHT - BOTTOM + 17, "text-anchor": "middle" },
      x.names ? x.names[tick] : brief(tick))),
    svg("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, x.label),
    others.map(([cx, cy, title]) => svg("circle", { class: "other", cx: px(cx), cy: py(cy), r: 4 }, svg("title", {}, title))),
    guide && svg("line", { class: "guide", x1: px(guide[0][0]), y1: py(guide[0][1]), x2: px(guide[1][0]), y2: py(guide[1][1]) }),
    series.map(({ row, points, line, dash }) => svg("g", { "data-row": row.label, style: { color: row.look.color } },
      line && svg("polyline", { points: points.map((point) => `${px(point[0])},${py(point[1])}`).join(" "),
        "stroke-dasharray": dash ?? row.look.dash }),
      points.map(([cx, cy, title, ends, radius]) => [
        ends && svg("line", { x1: px(cx), x2: px(cx), y1: py(ends[0]), y2: py(ends[1]) }),
        radius && mark(row.look.shape, px(cx), py(cy), radius, title)]))));
  return figure(caption, tools, drawing, columns, rows);
}

function figure(caption, tools, drawing, columns, rows, note) {
  return html("figure", {}, html("figcaption", {}, html("span", {}, caption), tools), drawing, note,
    html("details", {}, html("summary", {}, "Numbers"), html("div", { tabindex: "0", role: "region", "aria-label": `${caption}, numbers` },
      plainTable(columns, rows))));
}

function chooser(label, options, value, change) {
  return html("select", { "aria-label": label, onchange: (event) => change(event.target.value) },
    options.map((option) => html("option", { value: option, selected: option === value }, COST_NAMES[option] || option)));
}

// Figures of some rows of a task; `selected` remembers what was chosen in them.
function figures(task, rows, selected) {
  const result = [reliability, riskCoverage, failures, quantiles, shift, oodAuroc, oodConfidence, cost];
  return result.map((draw) => {
    const place = html("div", { style: { display: "contents" } });
    const redraw = () => {
      const drawn = draw(task, rows, selected, redraw);
      place.replaceChildren(...(drawn ? [drawn] : []));
    };
    redraw();
    return place;
  });
}

// Those of some rows that have a curve.
const withCurve = (rows, name) => rows.filter((row) => row.curves && row.curves[name]);

function reliability(task, rows) {
  const having = withCurve(rows, "reliability");
  if (!having.length) return null;
  const series = having.map((row) => {
    const total = row.curves.reliability.reduce((sum, [count]) => sum + count, 0);
    return { row, line: true, points: row.curves.reliability.map(([count, confidence, accuracy]) => [confidence, accuracy,
      `${row.label}: confidence ${confidence}, accuracy ${accuracy}, ${count} predictions`, null, 3 + 5 * Math.sqrt(count / total)]) };
  });
  return chart({ caption: "Reliability", description: "Reliability diagram: accuracy against confidence, on the diagonal when calibrated",
    x: { label: "confidence (size: share of the predictions)", range: [0, 1] }, y: { label: "accuracy", range: [0, 1] }, guide: [[0, 0], [1, 1]], series,
    columns: ["row", "confidence", "accuracy", "predictions"],
    rows: having.flatMap((row) => row.curves.reliability.map(([n, c, a]) => [row.label, c, a, n])) });
}

function quantiles(task, rows) {
  const having = withCurve(rows, "quantiles");
  if (!having.length) return null;
  const series = having.map((row) => ({ row, line: true, points: row.curves.quantiles.map(([level, share]) => [level, share,
    `${row.label}: ${share} of the targets below the quantile of level ${level}`, null, 3]) }));
  return chart({ caption: "Quantiles", description: "Share of targets below the predicted quantile against its level, on the diagonal when calibrated",
    x: { label: "level of the quantile", range: [0, 1] }, y: { label: "targets below it", range: [0, 1] }, guide: [[0, 0], [1, 1]], series,
    columns: ["row", "level", "share below"],
    rows: having.flatMap((row) => row.curves.quantiles.map(([level, share]) => [row.label, level, share])) });
}

function riskCoverage(task, rows) {
  const having = withCurve(rows, "risk_coverage");
  if (!having.length) return null;
  const at = (row, k) => (k + 1) / row.curves.risk_coverage.length;
  const highest = Math.max(...having.flatMap((row) => row.curves.risk_coverage));
  return chart({ caption: "Risk and coverage", description: "Risk-coverage curves: error rate of the most confident predictions",
    x: { label: "coverage (most confident first)", range: [0, 1] }, y: { label: "error rate", range: [0, 1.08 * highest || 1] },
    series: having.map((row) => ({ row, line: true, points: row.curves.risk_coverage.map((risk, k) => [at(row, k), risk]) })),
    columns: ["row", "coverage", "risk"],
    rows: having.flatMap((row) => row.curves.risk_coverage.map((risk, k) => [row.label, at(row, k).toFixed(2), risk])
      .filter((_, k) => k % 5 === 4)) });
}

function failures(task, rows, selected, redraw) {
  const having = withCurve(rows, "failures");
  const by = (name) => having.filter((row) => row.curves.failures[name]);
  // First the uncertainty that most rows have.
  const names = [...new Set(having.flatMap((row) => Object.keys(row.curves.failures)))].sort((a, b) => by(b).length - by(a).length);
  if (!names.length) return null;
  const name = names.includes(selected.uncertainty) ? selected.uncertainty : names[0];
  const drawn = by(name).map((row) => [row, row.curves.failures[name]]);
  const at = (risks, k) => (k + 1) / risks.length;
  return chart({ caption: "Failure detection", description: `Share of failures among what is answered, by ${name}, over the test set, shifts and OOD sets together`,
    tools: chooser("Uncertainty", names, name, (value) => { selected.uncertainty = value; redraw(); }),
    x: { label: `coverage (least uncertain first, by ${name})`, range: [0, 1] },
    y: { label: "errors and OOD among the answered", range: [0, 1.08 * Math.max(...drawn.flatMap(([, risks]) => risks)) || 1] },
    series: drawn.map(([row, risks]) => ({ row, line: true, points: risks.map((risk, k) => [at(risks, k), risk]) })),
    columns: ["row", "uncertainty", "coverage", "failures"],
    rows: drawn.flatMap(([row, risks]) => risks.map((risk, k) => [row.label, name, at(risks, k).toFixed(2), risk])
      .filter((_, k) => k % 5 === 4)) });
}

function shift(task, rows, selected, redraw) {
  // With one severity its mean and that over all shifts are the same, and only the former is named by a severity.
  const found = task.metrics.filter((metric) => metric.severity !== undefined && metric.place !== "shift/mean");
  if (!found.length) return null;
  const names = [...new Set(found.map((metric) => metric.metric))];
  const severities = [...new Set(found.map((metric) => metric.severity))].sort((a, b) => a - b);
  const name = names.includes(selected.shift) ? selected.shift : names.includes(task.loss) ? task.loss : names[0];
  const clean = task.metrics.filter((metric) => metric.section === "inside" && metric.metric === name);
  const measures = new Map([...clean.map((metric) => [0, metric.name]),
    ...found.filter((metric) => metric.metric === name).map((metric) => [metric.severity, metric.name])]);
  const key = (severity) => measures.get(severity);
  const measured = (row) => [0, ...severities].filter((s) => row.values[key(s)]);
  const having = rows.filter((row) => measured(row).length);
  if (!having.length) return null;
  const beside = (k) => 0.09 * (k - (having.length - 1) / 2); // so that no interval hides another
  const series = having.map((row, k) => ({ row, line: true, points: measured(row).map((s) => {
    const value = row.values[key(s)];
    return [s + beside(k), value.mean, `${row.label}, severity ${s}: ${value.mean}`, value.interval, 4];
  }) }));
  return chart({ caption: "Shift by severity", description: `${name} against the severity of corruptions, mean over corruptions, with 95 % intervals over ${task.replicates}`, over: task.replicates,
    tools: chooser("Metric under shift", names, name, (value) => { selected.shift = value; redraw(); }),
    x: { label: "severity (mean over corruptions)", range: [-0.3, Math.max(...severities) + 0.3], ticks: [0, ...severities],
      names: Object.fromEntries([[0, "clean"], ...severities.map((s) => [s, s])]) }, y: { label: name }, series, columns: ["row", "severity", name],
    rows: having.flatMap((row) => measured(row).map((s) => [row.label, s || "clean", row.values[key(s)].mean])) });
}

function oodAuroc(task, rows) {
  const found = task.metrics.filter((metric) => metric.section === "ood" && metric.metric === "auroc");
  const names = found.map((metric) => metric.name);
  const places = new Map(found.map((metric) => [metric.name, metric.place]));
  const set = (name) => places.get(name);
  const points = rows.flatMap((row, k) => names.filter((name) => row.values[name]).map((name) => ({ row, k, name, value: row.values[name] })));
  if (!points.length) return null;
  const top = 8, step = 12 * rows.length + 22, bottom = top + names.length * step + 6;
  const lowest = Math.min(...points.map(({ value }) => (value.interval ? value.interval[0] : value.mean)));
  const low = Math.max(0, lowest - 0.08 * (1 - lowest || 1));
  const px = scale([low, 1], [14, WIDTH - 16]);
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${bottom + BOTTOM}`, role: "img",
    "aria-label": `AUROC on out-of-distribution sets with 95 % intervals over ${task.replicates}` },
  niceTicks(low, 1).map((tick) => [svg("line", { class: "axis", x1: px(tick), x2: px(tick), y1: top, y2: bottom }),
    svg("text", { x: px(tick), y: bottom + 17, "text-anchor": "middle" }, brief(tick))]),
  low < 0.5 && svg("line", { class: "guide", x1: px(0.5), x2: px(0.5), y1: top, y2: bottom }),
  svg("text", { x: WIDTH / 2, y: bottom + BOTTOM - 6, "text-anchor": "middle" }, "AUROC by the uncertainty that every method has"),
  names.map((name, n) => svg("text", { class: "over", x: 4, y: top + n * step + 14 }, set(name))),
  points.map(({ row, k, name, value }) => {
    const y = top + names.indexOf(name) * step + 26 + 12 * k;
    const ends = (value.interval || [value.mean, value.mean]).map((end) => px(Math.min(1, Math.max(low, end))));
    return svg("g", { "data-row": row.label, style: { color: row.look.color } },
      svg("line", { x1: ends[0], x2: ends[1], y1: y, y2: y }),
      mark(row.look.shape, px(value.mean), y, 4.5, `${row.label}, ${name}: ${value.mean}`));
  }));
  return figure("OOD detection", null, drawing, ["row", "set", "AUROC"], points.map(({ row, name, value }) => [row.label, set(name), value.mean]));
}

function oodConfidence(task, rows, selected, redraw) {
  const having = withCurve(rows, "confidence");
  const sets = [...new Set(having.flatMap((row) => Object.keys(row.curves.confidence)))].filter((name) => name !== task.inside);
  if (!sets.length) return null;
  const set = sets.includes(selected.set) ? selected.set : sets[0];
  const middle = (k, bins) => (k + 0.5) / bins.length;
  const line = (row, name, dash) => ({ row, line: true, dash, name, points: (row.curves.confidence[name] || [])
    .map((part, k, bins) => [middle(k, bins), part]) });
  const series = having.flatMap((row) => [line(row, task.inside, ""), line(row, set, "3 3")]);
  return chart({ caption: "Confidence, test and OOD", description: `Distribution of the largest probability on the test set and on ${set}`,
    tools: chooser("OOD set", sets, set, (value) => { selected.set = value; redraw(); }),
    x: { label: "largest probability (solid: test, dotted: OOD)", range: [0, 1] },
    y: { label: "share of the predictions", range: [0, 1.05 * Math.max(...series.flatMap((one) => one.points.map((point) => point[1]))) || 1] }, series,
    columns: ["row", "set", "confidence", "share"],
    rows: series.flatMap((one) => one.points.map(([c, share]) => [one.row.label, one.name, c.toFixed(3), share])) });
}

function cost(task, rows, selected, redraw) {
  const metrics = Object.keys(task.pareto);
  const costs = metrics.length ? Object.keys(task.pareto[metrics[0]]) : [];
  if (!costs.length) return null;
  const metric = metrics.includes(selected.metric) ? selected.metric : metrics[0];
  const by = costs.includes(selected.cost) ? selected.cost : costs[0];
  const front = task.pareto[metric][by];
  const all = task.rows.filter((row) => row.values[metric] && row.values[by] && row.values[by].mean > 0);
  const having = all.filter((row) => rows.includes(row));
  if (!having.length) return null;
  const onFront = (row) => front[task.rows.indexOf(row)];
  const point = (row) => [row.values[by].mean, row.values[metric].mean,
    `${row.label}: ${row.values[metric].mean}, ${row.values[by].mean}${onFront(row) ? ", on the Pareto front" : ""}`,
    row.values[metric].interval, onFront(row) ? 7.5 : 4];
  const series = having.map((row) => ({ row, points: [point(row)] }));
  const others = all.filter((row) => !rows.includes(row)).map(point);
  return chart({ caption: "Cost", description: `${metric} against ${by}; large marks are on the Pareto front of all rows`,
    tools: [chooser("Metric", metrics, metric, (value) => { selected.metric = value; redraw(); }),
      chooser("Cost", costs, by, (value) => { selected.cost = value; redraw(); })],
    over: task.replicates, x: { label: `${COST_NAMES[by]} (large: on the Pareto front)`, log: true }, y: { label: metric }, series, others,
    columns: ["row", by, metric, "on the Pareto front"],
    rows: having.map((row) => [row.label, row.values[by].mean, row.values[metric].mean, onFront(row) ? "yes" : "no"]) });
}

function legend(rows) {
  return html("ul", { class: "legend" }, rows.map((row) => html("li", {},
    svg("svg", { viewBox: "0 0 30 12", "aria-hidden": "true", style: { color: row.look.color } },
      svg("polyline", { points: "0,6 30,6", "stroke-dasharray": row.look.dash }), mark(row.look.shape, 15, 6, 4.5, "")),
    row.label)));
}

// ---------------------------------------------------------------- Average ranks

function ranksFigure(ranking) {
  const count = ranking.methods.length, step = 24, left = 140, right = 24 + 12 * ranking.groups.length;
  const bottom = 34 + count * step;
  const px = scale([1, count], [left, WIDTH - right]);
  const y = (k) => 44 + k * step;
  const reach = Math.min(ranking.critical_difference, count - 1);
  const short = (text) => (text.length > 18 ? `${text.slice(0, 17)}…` : text);
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${bottom + BOTTOM}`, role: "img",
    "aria-label": `Critical-difference diagram of average ranks by ${ranking.metric}; bars join methods that are not told apart` },
  niceTicks(1, count).map((tick) => [svg("line", { class: "axis", x1: px(tick), x2: px(tick), y1: 26, y2: bottom }),
    svg("text", { x: px(tick), y: bottom + 17, "text-anchor": "middle" }, brief(tick))]),
  svg("text", { x: (left + WIDTH - right) / 2, y: bottom + BOTTOM - 6, "text-anchor": "middle" }, "average rank, the best at the left"),
  svg("path", { class: "ruler", d: `M${px(1)} 8v8m0-4H${px(1 + reach)}m0-4v8` }),
  svg("text", { x: left - 10, y: 16, "text-anchor": "end" }, `CD = ${ranking.critical_difference.toFixed(2)}`),
  ranking.methods.map((method, k) => [
    svg("text", { x: left - 10, y: y(k) + 4, "text-anchor": "end" }, short(method), svg("title", {}, method)),
    svg("g", { style: { color: colorOf.get(method) } }, mark(shapeOf(method), px(ranking.ranks[k]), y(k), 6, `${method}: ${ranking.ranks[k]}`))]),
  ranking.groups.map((group, g) => {
    const places = group.map((method) => ranking.methods.indexOf(method));
    const x = WIDTH - right + 18 + 12 * g;
    return svg("line", { class: "group", x1: x, x2: x, y1: y(Math.min(...places)) - 6, y2: y(Math.max(...places)) + 6 });
  }));
  return figure(ranking.metric, null, drawing, ["method", "average rank"], ranking.methods.map((method, k) => [method, ranking.ranks[k]]),
    html("p", { class: "quiet" }, `${ranking.tasks.length} tasks: ${ranking.tasks.join(", ")}. Friedman ${formatP(ranking.friedman_p)}.`));
}

function showRanks(panel) {
  panel.replaceChildren(
    html("h2", {}, "Average ranks"),
    html("p", { class: "quiet" }, `Over the tasks that have the metric, rank 1 for the best mean. Methods joined by a bar lie
      within the critical difference of Nemenyi's test (5 %; Demšar 2006): these tasks do not tell them apart.`),
    html("div", { class: "figures" }, DATA.rankings.map(ranksFigure)));
}

// ---------------------------------------------------------------- The page

// Numbers of others, visibly apart: no tests, no figures, not sorted into the table.
function elsewhere(task) {
  const found = DATA.published.filter((entry) => entry.task === task.task);
  if (!found.length) return null;
  const names = [...new Set(found.flatMap((entry) => Object.keys(entry.metrics)))];
  return html("section", { class: "elsewhere", "aria-label": "Published elsewhere" },
    html("h2", {}, "Published elsewhere"),
    html("p", { class: "quiet" }, "Not run by us, and not comparable with the table above: other architectures, training or data."),
    html("div", { class: "wide" }, plainTable(["method", "model", ...names, "source"],
      found.map((entry) => [entry.method, entry.model, ...names.map((name) => entry.metrics[name] ?? "—"), entry.source]))));
}

// What the tests of the headline metrics could have found.
function power(task) {
  if (!task.power.rows) return null;
  const { columns, rows, note } = task.power;
  return html("section", { "aria-label": "Power" }, html("h2", {}, "Power"),
    html("p", { class: "quiet" }, note), html("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Power, numbers" }, plainTable(columns, rows)));
}

function showTask(panel, task) {
  const state = stateOf(task);
  const table = html("div");
  const drawn = html("section", { "aria-label": "Figures" });
  const redrawFigures = () => {
    const rows = task.rows.filter((row) => state.overlaid.has(row));
    drawn.replaceChildren(html("h2", {}, "Figures"),
      html("p", { class: "quiet" }, rows.length ? "Of the methods ticked in the table, laid over each other." : "Tick methods in the table to lay them over each other here."),
      legend(rows), html("div", { class: "figures" }, rows.length ? figures(task, rows, state.selected) : []));
  };
  const redrawTable = () => table.replaceChildren(...board(task, state, redrawFigures));
  redrawTable();
  redrawFigures();
  const about = task.about && html("p", { class: "about" }, task.about);
  panel.replaceChildren(...[about, controls(task, state, redrawTable), table, power(task), drawn, elsewhere(task)].filter(Boolean));
}

function showTabs() {
  const tabs = document.getElementById("tabs");
  const panel = document.getElementById("panel");
  const views = DATA.tasks.map((task) => ({ name: task.task, show: () => showTask(panel, task) }));
  if (DATA.rankings.length) views.push({ name: ALL_TASKS, show: () => showRanks(panel) });
  const buttons = views.map((view, k) => html("button", { type: "button", role: "tab", id: `tab-${k}`, "aria-controls": "panel",
    onclick: () => select(k, true) }, view.name));
  function select(k, remember) {
    buttons.forEach((button, other) => {
      button.setAttribute("aria-selected", String(other === k));
      button.tabIndex = other === k ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", `tab-${k}`);
    views[k].show();
    if (!remember) return;
    try {
      history.replaceState(null, "", `#${encodeURIComponent(views[k].name)}`);
    } catch { /* inside another page, the address is not ours */ }
  }
  tabs.addEventListener("keydown", (event) => {
    const now = buttons.indexOf(document.activeElement);
    const next = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (now < 0 || next === undefined) return;
    event.preventDefault();
    const k = (next + buttons.length) % buttons.length;
    select(k, true);
    buttons[k].focus();
  });
  tabs.append(...buttons);
  let wanted = "";
  try {
    wanted = decodeURIComponent(location.hash.slice(1));
  } catch { /* not one of ours */ }
  select(Math.max(0, views.findIndex((view) => view.name === wanted)), false);
}

function showTheme() {
  const button = document.getElementById("theme");
  const themes = ["auto", "light", "dark"];
  let theme = "auto";
  try {
    theme = localStorage.getItem("theme") || "auto";
  } catch { /* no storage: a page from disk may have none */ }
  const apply = () => {
    document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  button.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    try {
      localStorage.setItem("theme", theme);
    } catch { /* as above */ }
    apply();
  });
  apply();
}

showTheme();
showTabs();
