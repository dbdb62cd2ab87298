// The controls, and what they are set to.

import { NORMS } from "./norms.js";

const CHANNELS = ["R", "G", "B", "Y"];
const form = document.getElementById("settings");

const percent = (share) => `${Math.round(100 * share)} %`;
const power = (at) => 10 ** Number(at);

/// A slider with its name before it and its value behind.
function slider(parent, name, label, [min, max, step, value], shown) {
  const row = document.createElement("label");
  row.className = "slider";
  row.innerHTML = `<span>${label}</span><input type="range" name="${name}" min="${min}" max="${max}" step="${step}"
    value="${value}"><output></output>`;
  parent.append(row);
  const [, input, output] = row.children;
  return { input, tell: () => (output.textContent = shown(input.value)) };
}

/// Radio buttons in a row.
function chips(parent, name, choices, chosen) {
  choices.forEach((label, at) => {
    const chip = document.createElement("label");
    chip.innerHTML = `<input type="radio" name="${name}" value="${at}"${at === chosen ? " checked" : ""}><span></span>`;
    chip.lastChild.textContent = label;
    parent.append(chip);
  });
}

function heading(parent, text) {
  const heading = document.createElement("h3");
  heading.textContent = text;
  parent.append(heading);
}

const GROUPS = [1, 2, 4];
const norms = document.getElementById("norms");
chips(norms, "norm", NORMS.map(({ title }) => title), 0);
chips(document.getElementById("groups"), "groups", GROUPS, 1);

const eps = slider(document.getElementById("eps"), "eps", "eps", [-8, 1, 0.25, -5], (at) => power(at).toPrecision(1));

const amounts = Object.fromEntries([["mean", "Of the means"], ["variance", "Of the variances"]].map(([of, title]) => {
  heading(document.getElementById("shares"), title);
  const three = ["Instance", "Layer", "Batch"].map((name) =>
    slider(document.getElementById("shares"), `${of}-${name}`, name, [0, 100, 1, 50], () => ""));
  return [of, three];
}));

const affine = Object.fromEntries([["weight", 1], ["bias", 0]].map(([of, value]) => {
  heading(document.getElementById("affine"), of[0].toUpperCase() + of.slice(1));
  const four = CHANNELS.map((channel) =>
    slider(document.getElementById("affine"), `${of}-${channel}`, `<i class="dot ${channel}"></i>${channel}`,
      [-3, 3, 0.1, value], (at) => Number(at).toFixed(1)));
  return [of, four];
}));

/// Amounts as shares of 1.
function shares(of) {
  const all = amounts[of].map(({ input }) => Number(input.value));
  const sum = all.reduce((a, b) => a + b);
  return all.map((amount) => (sum > 0 ? amount / sum : 1 / all.length));
}

/// What is set now.
export function read() {
  const norm = NORMS[norms.querySelector(":checked").value];
  const numbers = (sliders) => Float32Array.from(sliders, ({ input }) => Number(input.value));
  return {
    norm,
    groups: GROUPS[form.querySelector("[name=groups]:checked").value],
    eps: power(eps.input.value),
    means: shares("mean"),
    variances: shares("variance"),
    weight: numbers(affine.weight),
    bias: numbers(affine.bias),
  };
}

/// Shows the values, and what the norm has.
function tell() {
  eps.tell();
  Object.values(affine).flat().forEach((slider) => slider.tell());
  for (const of of ["mean", "variance"]) {
    shares(of).forEach((share, at) => {
      amounts[of][at].input.closest("label").querySelector("output").textContent = percent(share);
    });
  }
  const { norm } = read();
  document.getElementById("groups").hidden = norm.title !== "Group";
  document.getElementById("shares").hidden = !norm.mixes;
  affine.bias.forEach(({ input }) => (input.disabled = Boolean(norm.bare)));
}

/// Calls back after each change.
export function onChange(changed) {
  const told = () => {
    tell();
    changed();
  };
  norms.addEventListener("input", told);
  form.addEventListener("input", told);
  form.addEventListener("submit", (event) => event.preventDefault());
  // The values change after the event.
  form.addEventListener("reset", () => setTimeout(told));
  tell();
}
