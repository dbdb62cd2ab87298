// Every norm, mode and pass on this GPU beside the oracle.

import { check, checked_norms } from "./gpunorm-web.js";

const button = document.getElementById("check-all");
const progress = document.getElementById("check-progress");
const summary = document.getElementById("check-summary");
const table = document.getElementById("check-table");

const percent = (share) => `${Math.round(100 * share)} %`;

function cell(row, text, name = "") {
  const cell = row.insertCell();
  cell.textContent = text;
  cell.className = name;
  return cell;
}

function show({ norm, mode, pass, shape, dispatches, types }) {
  const row = table.tBodies[0].insertRow();
  cell(row, norm);
  cell(row, mode);
  cell(row, pass);
  cell(row, shape.join("×"), "wide");
  cell(row, dispatches, "wide number");
  cell(row, types[0].error.toExponential(1), "wide number");
  for (const { dtype, share, allowed } of types) {
    const held = cell(row, `${allowed ? "✓" : "✗"} ${percent(share)}`, allowed ? "right" : "wrong");
    held.style.setProperty("--share", `${100 * Math.min(share, 1)}%`);
    held.title = `${dtype}: ${percent(share)} of the tolerance`;
  }
}

async function all(device) {
  button.disabled = true;
  table.tBodies[0].replaceChildren();
  table.hidden = progress.hidden = false;
  const norms = checked_norms();
  progress.max = norms.length;
  const held = [];
  try {
    for (const [at, name] of norms.entries()) {
      progress.value = at;
      summary.textContent = `${name} …`;
      // The oracle is slow: let the page be drawn first.
      await new Promise((drawn) => setTimeout(drawn));
      for (const row of JSON.parse(await check(device, at))) {
        show(row);
        held.push(...row.types);
      }
    }
    const worst = percent(Math.max(...held.map(({ share }) => share)));
    const wrong = held.filter(({ allowed }) => !allowed).length;
    summary.className = wrong ? "wrong" : "right";
    summary.textContent = wrong
      ? `✗ ${wrong} of ${held.length} comparisons are NOT within tolerance; the worst is at ${worst} of it.`
      : `✓ All ${held.length} comparisons are within tolerance; the worst uses ${worst} of it.`;
  } catch (error) {
    summary.className = "wrong";
    summary.textContent = `This failed: ${error.message ?? error}`;
  }
  progress.hidden = true;
  button.disabled = false;
}

export function start(device) {
  button.disabled = false;
  button.addEventListener("click", () => all(device));
}
