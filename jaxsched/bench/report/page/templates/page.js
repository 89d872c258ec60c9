// Draws the charts, updates them when a control changes, and draws them again in the other colours
// when the reader switches between light and dark.
"use strict";

const specs = JSON.parse(document.getElementById("specs").textContent);
const controls = document.querySelector(".controls");
const isDark = matchMedia("(prefers-color-scheme: dark)");
let drawn = [];

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function choices() {
  const chosen = new FormData(controls);
  return {
    time_axis: chosen.get("time_axis"), shown: chosen.getAll("shown"), ink: colour("ink"),
  };
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
      labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal",
    },
    text: { color: ink },
  };
}

async function draw() {
  const params = choices();
  const draws = Object.entries(specs).map(([key, spec]) => {
    const place = document.getElementById(key);
    return vegaEmbed(
      place,
      {
        ...spec,
        params: spec.params.map((param) => ({ ...param, value: params[param.name] })),
        description: place.closest("figure").querySelector("figcaption").innerText,
      },
      {
        renderer: "svg", config: look(), tooltip: { theme: isDark.matches ? "dark" : "light" },
        actions: { export: true, source: false, compiled: false, editor: false },
      },
    );
  });
  drawn.forEach((chart) => chart.finalize());
  drawn = await Promise.all(draws);
  document.body.dataset.drawn = String(drawn.length);
}

function update() {
  const params = choices();
  for (const { view } of drawn) {
    for (const [name, value] of Object.entries(params)) view.signal(name, value);
    view.runAsync();
  }
}

controls.addEventListener("change", update);
isDark.addEventListener("change", draw);
draw();
