// Norms beside copying on this GPU.

import { Measure } from "./gpunorm-web.js";

/// Where issues go.
const ISSUES = "https://github.com/gpunorm/gpunorm/issues/new";

const buttons = ["each", "all", "stop"].map((name) => document.getElementById(`measure-${name}`));
const [each, everything, stop] = buttons;
const progress = document.getElementById("measure-progress");
const summary = document.getElementById("measure-summary");
const table = document.getElementById("measure-table");
const measured = document.getElementById("measured");

let device;
let told;
let measure;
let stopped = false;

function cell(row, text, name = "") {
  const cell = row.insertCell();
  cell.textContent = text;
  cell.className = name;
  return cell;
}

const milliseconds = (ms) => `${ms.toPrecision(3)} ms`;

function show(row, shape) {
  const line = table.tBodies[0].insertRow();
  cell(line, row.case);
  cell(line, shape, "wide");
  const bar = cell(line, row.ratio.toFixed(2), "bar-of");
  bar.style.setProperty("--share", `${100 * Math.min(row.ratio / 1.25, 1)}%`);
  cell(line, milliseconds(row.copy_ms), "wide number");
  cell(line, milliseconds(row.gpu_ms), "wide number");
  cell(line, (row.bytes / row.gpu_ms / 1e6).toPrecision(3), "wide number");
  line.title = row.plan;
}

/// The first of each norm that there is room for.
function oneOfEach(cases) {
  const seen = new Set();
  return cases.filter(({ id, fits }) => {
    const norm = id.split("-")[0];
    return fits && !seen.has(norm) && seen.add(norm);
  });
}

/// What a run is known by; rows are as in the bench's files.
function report(rows) {
  return { ...told, browser: navigator.userAgent, pass: "forward", date: new Date().toISOString().slice(0, 10), rows };
}

function offer(rows) {
  const all = report(rows);
  const json = document.getElementById("json");
  URL.revokeObjectURL(json.href);
  json.href = URL.createObjectURL(new Blob([`${JSON.stringify(all, null, 2)}\n`], { type: "application/json" }));
  json.download = `gpunorm-${told.adapter.toLowerCase().replace(/[^a-z0-9]+/g, "-")}.json`;
  const { rows: _, ...run } = all;
  const lines = rows.map((row) => `${row.id} ${row.copy_ms.toPrecision(4)} ${row.gpu_ms.toPrecision(4)} ${row.ratio.toFixed(3)}`);
  const body = `Measured in the browser:\n\n\`\`\`text\ncase copy_ms norm_ms ratio\n${lines.join("\n")}\n\`\`\`\n\n`
    + `\`\`\`json\n${JSON.stringify(run, null, 1)}\n\`\`\`\n\nWhat else is worth knowing (the machine, its driver):\n`;
  const words = new URLSearchParams({ title: `Measured on ${told.adapter}`, body });
  document.getElementById("issue").href = `${ISSUES}?${words}`;
  measured.hidden = false;
}

async function run(choose) {
  each.disabled = everything.disabled = true;
  stop.hidden = progress.hidden = table.hidden = false;
  stopped = false;
  table.tBodies[0].replaceChildren();
  const rows = [];
  try {
    measure ??= await Measure.open(device);
    const cases = JSON.parse(measure.cases()).map((one, at) => ({ ...one, at }));
    const chosen = choose(cases);
    progress.max = chosen.length;
    for (const [done, { at, case: name, shape }] of chosen.entries()) {
      if (stopped) break;
      progress.value = done;
      summary.textContent = `${done + 1} of ${chosen.length}: ${name} ${shape} …`;
      await new Promise((drawn) => setTimeout(drawn));
      const row = JSON.parse(await measure.run(at));
      rows.push(row);
      show(row, shape);
    }
    const skipped = cases.length - cases.filter(({ fits }) => fits).length;
    const clock = told.timestamps ? "on the GPU's own clock" : "in batches on the browser's clock, as the GPU shows no other";
    summary.textContent = `${rows.length} cases on ${told.adapter}, ${clock}.`
      + (skipped ? ` ${skipped} cases are too large for the memory that there is.` : "");
  } catch (error) {
    summary.textContent = `This failed: ${error.message ?? error}`;
  }
  if (rows.length) offer(rows);
  stop.hidden = progress.hidden = true;
  each.disabled = everything.disabled = false;
}

export function start(opened, description) {
  device = opened;
  told = description;
  each.disabled = everything.disabled = false;
  each.addEventListener("click", () => run(oneOfEach));
  everything.addEventListener("click", () => run((cases) => cases.filter(({ fits }) => fits)));
  stop.addEventListener("click", () => (stopped = true));
}
