// The batch as a block [N, C, H×W], each sample a plate; elements that share a statistic have one colour.

import { sets } from "./gpunorm-web.js";

/// Places of a picture that are drawn.
const PLACES = 6;
const UNIT = 20;
/// From one plate to the next, and how thick one is.
const STEP = [21, -15];
const THICK = [10, -7];

const cubes = document.getElementById("cubes");
const told = document.getElementById("chosen");
let drawn = [];
let shown = "";
let chosen = null;

/// Colours that tell neighbours apart: golden angles.
const colour = (set, light) => `oklch(${light} 0.13 ${(set * 137.5 + 40) % 360})`;

function face(points, set, light) {
  return `<polygon data-set="${set}" points="${points.map((p) => p.join()).join(" ")}" style="--own:${colour(set, light)}"/>`;
}

function block({ ids, n, c }) {
  const id = (sample, channel, place) => ids[(sample * c + channel) * PLACES + place];
  const at = (sample, x, y, deep = 0) => [
    x * UNIT + sample * STEP[0] + deep * THICK[0],
    y * UNIT + sample * STEP[1] + deep * THICK[1],
  ].map((value) => Math.round(10 * value) / 10);
  let faces = "";
  for (let sample = n - 1; sample >= 0; sample--) {
    for (let place = 0; place < PLACES; place++) {
      const top = [at(sample, place, 0), at(sample, place + 1, 0), at(sample, place + 1, 0, 1), at(sample, place, 0, 1)];
      faces += face(top, id(sample, 0, place), 0.84);
      for (let channel = 0; channel < c; channel++) {
        const [x, y] = [place, channel];
        const front = [at(sample, x, y), at(sample, x + 1, y), at(sample, x + 1, y + 1), at(sample, x, y + 1)];
        faces += face(front, id(sample, channel, place), 0.74);
      }
    }
    for (let channel = 0; channel < c; channel++) {
      const x = PLACES;
      const side = [at(sample, x, channel), at(sample, x, channel, 1), at(sample, x, channel + 1, 1), at(sample, x, channel + 1)];
      faces += face(side, id(sample, channel, PLACES - 1), 0.62);
    }
  }
  const [width, height] = [PLACES * UNIT, c * UNIT];
  const [right, top] = [(n - 1) * STEP[0] + THICK[0], (n - 1) * STEP[1] + THICK[1]];
  const box = [-22, top - 6, width + right + 44, height - top + 26];
  return `<svg viewBox="${box.join(" ")}" aria-hidden="true">${faces}
    <text x="${width / 2}" y="${height + 15}" text-anchor="middle">H×W</text>
    <text x="-8" y="${height / 2 + 4}" text-anchor="end">C</text>
    <text x="${width + right / 2 + 12}" y="${top / 2 + height + 4}">N</text></svg>`;
}

/// Shows one set alone, or all.
function choose(set) {
  chosen = set;
  cubes.querySelectorAll("polygon").forEach((polygon) => {
    polygon.classList.toggle("other", set !== null && polygon.dataset.set !== String(set));
  });
  const { count, each, what } = drawn[0];
  told.textContent = set === null
    ? "Point at an element, or use the arrow keys here, to see which others share its statistics."
    : `Set ${set + 1} of ${count}${what}: ${each.toLocaleString("en")} values of the pictures.`;
}

/// Of `n` samples of `c` channels, `size` wide and high.
export function draw(settings, { mixes, sharing }, { means, variances }, { n, c, size }) {
  const percent = (share) => `${Math.round(100 * share)} %`;
  const of = (settings, what) => {
    const ids = sets(settings, n, c, PLACES);
    const count = new Set(ids).size;
    return { ids, n, c, what, count, each: (n * c * size * size) / count };
  };
  drawn = mixes
    ? mixes.map(([title, norm], at) => {
      const label = `${title}<br><small>μ ${percent(means[at])} · σ² ${percent(variances[at])}</small>`;
      return { ...of(settings.of(norm), ` of ${title.toLowerCase()} statistics`), label, share: Math.max(means[at], variances[at]) };
    })
    : [{ ...of(settings, ""), share: 1 }];
  const html = drawn.map((one) => `<figure style="opacity:${0.2 + 0.8 * one.share}">${block(one)}
    ${one.label ? `<figcaption>${one.label}</figcaption>` : ""}</figure>`).join("");
  if (html === shown) return drawn;
  shown = html;
  cubes.innerHTML = html;
  cubes.classList.toggle("several", drawn.length > 1);
  cubes.setAttribute("aria-label", `The batch as a block of ${n} samples, ${c} channels and the places of a picture. `
    + `What shares one mean and one variance: ${sharing}. `
    + drawn.map(({ count, what }) => `${count} sets${what}`).join(", "));
  choose(null);
  return drawn;
}

cubes.addEventListener("pointerover", ({ target }) => {
  const [first] = cubes.children;
  if (target.dataset.set !== undefined && first.contains(target)) choose(Number(target.dataset.set));
});
cubes.addEventListener("pointerleave", () => choose(null));
cubes.addEventListener("blur", () => choose(null));
cubes.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const { count } = drawn[0];
  choose(chosen === null ? (step > 0 ? 0 : count - 1) : (chosen + step + count) % count);
});
