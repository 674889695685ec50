(() => {
"use strict";
const data = id => JSON.parse(document.getElementById(id).textContent);
function figureOf(id) {
  const figure = data(id), common = JSON.stringify(figure.common);
  figure.data = figure.data.map(trace => ({...JSON.parse(common), ...trace}));
  return figure;
}
const DARK = data("dark"), TEMPLATE = data("template");
const dark = matchMedia("(prefers-color-scheme: dark)");
let printing = false;
const isDark = () => dark.matches && !printing;
const touch = matchMedia("(pointer: coarse)").matches;
const LEAST_PANEL = 260;

// Colours have keys that end in "color", or are in lists of colours; names never do.
function coloured(value, isColour) {
  if (typeof value === "string") return isColour && isDark() && DARK[value] || value;
  if (Array.isArray(value)) return value.map(part => coloured(part, isColour));
  if (!value || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) =>
    [key, coloured(part, /color(scale|way)?$/.test(key))]));
}

// The layout of `set_panels`, with as many columns as fit the width.
function lay(layout, width) {
  const panels = layout.meta && layout.meta.panels;
  if (!panels) return;
  const columns = Math.max(1, Math.min(panels.columns, panels.count,
    Math.floor(width / LEAST_PANEL)));
  const rows = Math.ceil(panels.count / columns);
  const cell = (n, of, gap) => [n / (of - gap), (n + 1 - gap) / (of - gap)];
  for (let n = 0; n < panels.count; n++) {
    const suffix = n ? n + 1 : "", row = Math.floor(n / columns);
    layout["xaxis" + suffix].domain = cell(n % columns, columns, .1);
    const [top, bottom] = cell(row, rows, rows > 1 ? .36 : 0);
    layout["yaxis" + suffix].domain = [1 - bottom, 1 - top];
  }
  layout.height = rows * panels.height;
}

// Plotly gives each entry of a legend the width of the longest.
function legendRows(figure, width) {
  const names = new Set(figure.data.filter(trace => trace.showlegend !== false &&
    trace.visible !== false && trace.name).map(trace => trace.name));
  const longest = Math.max(0, ...[...names].map(name => name.length * 7.2 + 50));
  const several = Math.max(1, Math.floor((width - 30) / longest));
  return Math.ceil(names.size / several);
}

function made(box) {
  const figure = figureOf(box.dataset.figure), layout = figure.layout;
  layout.template = TEMPLATE;
  layout.uirevision = "kept";
  delete layout.updatemenus;
  if (touch) {  // a finger on a chart scrolls the page
    layout.dragmode = false;
    for (const key of Object.keys(layout))
      if (/^[xy]axis/.test(key)) layout[key].fixedrange = true;
    for (const key of ["xaxis", "yaxis"]) layout[key] = {fixedrange: true, ...layout[key]};
  }
  const least = layout.meta && layout.meta.least_width || 0;
  box.firstElementChild.style.minWidth = least ? least + "px" : "";
  if (layout.meta && layout.meta.ticked) onlyTicked(figure, box);
  lay(layout, box.clientWidth);
  if (layout.meta && layout.meta.legend)
    layout.margin = {...layout.margin, t: 34 + 20 * legendRows(figure, box.clientWidth)};
  return coloured(figure, false);
}

// Curves of all trials: those that are ticked in the table of trials.
function onlyTicked(figure, box) {
  const layout = figure.layout, chosen = new Set(box.ticked || layout.meta.ticked.map(String));
  for (const trace of figure.data) trace.visible = chosen.has(trace.legendgroup);
  layout.meta.legend = [];
  layout.showlegend = true;
  layout.legend = {orientation: "h", x: 0, y: 1, yanchor: "top", yref: "container"};
}

const CONFIG = {responsive: true, displaylogo: false, showSendToCloud: false,
  modeBarButtonsToRemove: ["lasso2d", "select2d", "zoomIn2d", "zoomOut2d"],
  displayModeBar: touch ? false : "hover"};

function draw(box) {
  const figure = made(box), plot = box.firstElementChild;
  box.dataset.columns = columnsOf(box);
  box.dataset.drawn = "yes";
  const chosen = box.previousElementSibling;
  return Plotly.react(plot, figure.data, figure.layout, CONFIG).then(() => {
    if (chosen && chosen.tagName === "SELECT" && chosen.selectedIndex > 0) choose(chosen, box);
  });
}

const columnsOf = box => String(Math.max(1, Math.floor(box.clientWidth / LEAST_PANEL)));

function choose(list, box) {
  const menu = data(box.dataset.figure).layout.updatemenus[0];
  const [traces, layout] = menu.buttons[list.selectedIndex].args;
  if (touch) for (const axis of Object.values(layout)) axis.fixedrange = true;
  Plotly.update(box.firstElementChild, traces, layout);
}

// The table of trials: a click on a head sorts, words filter, ticks show curves.
const EMPTY = Symbol("empty");

function valueOf(cell) {
  const text = cell.dataset.value ?? cell.textContent.trim();
  if (text === "" || text === "-" || text === "nan") return EMPTY;
  return /^[-+]?[\d.]+(e[-+]?\d+)?$/i.test(text) ? Number(text) : text;
}

function compared(one, other) {
  if (typeof one === "number" && typeof other === "number") return one - other;
  return String(one).localeCompare(String(other), "en", {numeric: true});
}

// `words` `name<value` `name=value`, all of which must hold; a name is a head without its blanks.
function termsOf(text, names) {
  return text.trim().toLowerCase().split(/\s+/).filter(Boolean).map(word => {
    const found = /^(.+?)(<=|>=|!=|=|<|>)(.+)$/.exec(word);
    if (!found) return row => row.text.includes(word);
    const [, name, sign, value] = found, column = names.indexOf(name);
    if (column < 0) throw new Error(`No column is called ${name}.`);
    return row => {
      const cell = row.values[column], number = Number(value);
      if (cell === EMPTY) return sign === "!=";
      const isEqual = row.texts[column] === value || cell === number;
      if (sign === "=" || sign === "!=") return isEqual === (sign === "=");
      if (typeof cell !== "number" || Number.isNaN(number)) return false;
      return sign === "<" ? cell < number : sign === ">" ? cell > number :
        sign === "<=" ? cell <= number : cell >= number;
    };
  });
}

function element(name, options, ...children) {
  const made = Object.assign(document.createElement(name), options);
  made.append(...children);
  return made;
}

function tableOf(card) {
  const body = card.querySelector("tbody"), heads = [...card.querySelectorAll("thead th")];
  const names = heads.map(head => head.textContent.toLowerCase().replace(/\s/g, ""));
  const rows = [...body.rows].map(tr => {
    const cells = [...tr.cells];
    const texts = cells.map(cell => cell.textContent.trim().toLowerCase());
    return {tr, texts, text: texts.join(" "), values: cells.map(valueOf)};
  });
  const count = element("output", {}), filter = element("input", {type: "search", spellcheck: false});
  filter.placeholder = names[2] + ">0.9 pruned";
  const show = () => {
    try {
      const terms = termsOf(filter.value, names);
      for (const row of rows) row.tr.hidden = !terms.every(holds => holds(row));
      const shown = rows.filter(row => !row.tr.hidden).length;
      count.textContent = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown`;
    } catch (problem) { count.textContent = problem.message; }
  };
  filter.addEventListener("input", show);
  heads.forEach((head, column) => {
    const button = element("button", {type: "button"}, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const rises = head.getAttribute("aria-sort") !== "ascending", sign = rises ? 1 : -1;
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", rises ? "ascending" : "descending");
      rows.sort((one, other) => {
        const [a, b] = [one.values[column], other.values[column]];
        if (a === EMPTY || b === EMPTY) return (a === EMPTY) - (b === EMPTY);
        return sign * compared(a, b);
      });
      body.append(...rows.map(row => row.tr));
    });
  });
  const label = element("label", {}, "Filter ", filter);
  const help = element("span", {className: "soft"},
    "Words, or a column with =, !=, <, > and a value; blanks between mean and. ");
  const tools = element("div", {className: "tools"}, label, count, help);
  card.insertBefore(tools, card.querySelector(".rows"));
  tick(card, rows, tools);
  show();
}

function tick(card, rows, tools) {
  const box = document.querySelector(`[data-figure="${card.dataset.curves}"]`);
  if (!box) return;
  const figure = figureOf(card.dataset.curves), colours = new Map(figure.data.map(
    trace => [trace.legendgroup, trace.line.color]));
  const first = new Set(figure.layout.meta.ticked.map(String)), ticks = [];
  const changed = () => {
    box.ticked = ticks.filter(one => one.checked).map(one => one.value);
    if (box.dataset.drawn) draw(box);
  };
  for (const {tr} of rows) {
    const trial = tr.dataset.trial, cell = tr.insertCell(0);
    cell.className = "tick";
    if (!colours.has(trial)) continue;
    const one = element("input", {type: "checkbox", value: trial, checked: first.has(trial),
      ariaLabel: `Show the curve of trial ${trial}`});
    one.style.setProperty("--line", colours.get(trial));
    one.addEventListener("change", changed);
    ticks.push(one);
    cell.append(one);
  }
  card.querySelector("thead tr").prepend(element("th", {scope: "col", className: "tick"}, "curve"));
  const isShown = one => !one.closest("tr").hidden;
  const set = (label, state) => {
    const button = element("button", {type: "button"}, label);
    button.addEventListener("click", () => {
      for (const one of ticks) if (isShown(one)) one.checked = state;
      changed();
    });
    return button;
  };
  tools.append(set("Tick all shown", true), set("Untick all shown", false));
}

document.querySelectorAll(".trials").forEach(tableOf);

const boxes = [...document.querySelectorAll(".chart")];
for (const box of boxes) {
  const list = box.previousElementSibling;
  if (list && list.tagName === "SELECT") list.addEventListener("change", () => choose(list, box));
}
const drawn = () => boxes.filter(box => box.dataset.drawn);
const seen = new IntersectionObserver(entries => {
  for (const {isIntersecting, target} of entries)
    if (isIntersecting) { seen.unobserve(target); draw(target); }
}, {rootMargin: "500px"});
boxes.forEach(box => seen.observe(box));
dark.addEventListener("change", () => drawn().forEach(draw));
addEventListener("resize", () => drawn().forEach(box => {
  if (box.dataset.columns !== columnsOf(box)) draw(box);
}));
// Paper is white, and shows all charts in its own width.
addEventListener("beforeprint", () => { printing = true; boxes.forEach(draw); });
addEventListener("afterprint", () => { printing = false; drawn().forEach(draw); });
})();
