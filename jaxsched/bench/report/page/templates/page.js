// Draws the charts, updates them when a control changes, and draws them again in other colours or
// at another width. A chart that cannot be drawn does not stop the others.
"use strict";

const specs = JSON.parse(document.getElementById("specs").textContent);
const controls = document.querySelector(".controls");
const isDark = matchMedia("(prefers-color-scheme: dark)");
const isNarrow = matchMedia("(max-width: 40rem)");
let drawn = [];

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function choices() {
  const chosen = new FormData(controls);
  return { time_axis: chosen.get("time_axis"), shown: chosen.getAll("shown").map((name) => JSON.parse(name)) };
}

function look() {
  const [ink, faint, line] = ["ink", "faint", "line"].map(colour);
  return {
    background: "transparent",
    font: "system-ui, sans-serif",
    view: { stroke: null },
    title: { color: faint, fontSize: 12 },
    axis: {
      labelColor: faint, titleColor: faint, gridColor: line, domainColor: faint, tickColor: faint,
      labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", titlePadding: 8,
    },
    axisY: { domain: false, ticks: false, labelPadding: 6 },
    text: { color: ink },
  };
}

// A small multiple shows its own experiment among the others; its place has the name.
function litIn(place) {
  return JSON.parse(place.dataset.lit ?? "null");
}

function fitted(spec, place) {
  const lit = litIn(place);
  const hasLabels = lit === null && !isNarrow.matches;
  const values = { ...choices(), lit, labelled: hasLabels, ink: colour("ink") };
  return {
    ...spec,
    params: spec.params.map((param) => ({ ...param, value: values[param.name] })),
    height: lit === null ? spec.height : 150,
    description: place.closest("figure").querySelector("figcaption").innerText,
  };
}

async function drawIn(place) {
  try {
    const chart = await vegaEmbed(place, fitted(specs[place.dataset.spec], place), {
      renderer: "svg", config: look(), tooltip: { theme: isDark.matches ? "dark" : "light" },
      defaultStyle: false, forceActionsMenu: true,
      actions: litIn(place) === null && { export: true, source: false, compiled: false, editor: false },
    });
    return { place, view: chart.view, finalize: chart.finalize };
  } catch (error) {
    place.classList.add("failed");
    place.textContent = `This chart could not be drawn (${error.message}). The tables have its numbers.`;
    return null;
  }
}

async function draw() {
  drawn.forEach((chart) => chart.finalize());
  const charts = await Promise.all(Array.from(document.querySelectorAll(".chart"), drawIn));
  drawn = charts.filter((chart) => chart !== null);
  document.body.dataset.drawn = String(drawn.length);
}

function send(values) {
  for (const { view } of drawn) {
    for (const [name, value] of Object.entries(values)) view.signal(name, value);
    view.runAsync();
  }
}

// Points out one experiment in all charts, or none, as if it is not shown.
function light(name) {
  const lit = choices().shown.includes(name) ? name : null;
  for (const { place, view } of drawn) {
    if (litIn(place) === null) view.signal("lit", lit).runAsync();
  }
}

function update() {
  const values = choices();
  send(values);
  for (const { place } of drawn) {
    const lit = litIn(place);
    if (lit !== null) place.closest("figure").hidden = !values.shown.includes(lit);
  }
}

controls.addEventListener("change", update);
for (const label of controls.querySelectorAll("[data-name]")) {
  for (const event of ["pointerenter", "focusin", "change"]) {
    label.addEventListener(event, () => light(JSON.parse(label.dataset.name)));
  }
  for (const event of ["pointerleave", "focusout"]) label.addEventListener(event, () => light(null));
}
isDark.addEventListener("change", draw);
isNarrow.addEventListener("change", draw);
draw();
