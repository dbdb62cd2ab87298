// Pictures through a norm, and the block that shows why they come out so.

import { See, Settings } from "./gpunorm-web.js";
import * as cube from "./cube.js";
import { code } from "./norms.js";
import * as panels from "./panels.js";
import { Camera, onFiles } from "./pictures.js";
import { onChange, read } from "./settings.js";

const MOST = 6;

const meaning = document.getElementById("meaning");
const told = document.getElementById("told");
const grid = document.getElementById("panels");
const camera = new Camera();

let engine;
let names = [];
let size;
let running = null;
let again = false;

function show(all) {
  while (grid.children.length < names.length) grid.append(card());
  while (grid.children.length > names.length) grid.lastChild.remove();
  names.forEach((name, at) => {
    const card = grid.children[at];
    card.querySelector("h3").textContent = name;
    const [input, output] = card.querySelectorAll(".panel");
    panels.draw(input, all[at], `${name}, as it came in`, size);
    panels.draw(output, all[names.length + at], `${name}, normalized`, size);
    card.querySelector("button").setAttribute("aria-label", `Remove ${name}`);
  });
}

function card() {
  const card = document.createElement("article");
  card.innerHTML = "<header><h3></h3><button type=\"button\">×</button></header>"
    + "<div class=\"panel\"></div><div class=\"panel\"></div>";
  card.querySelector("button").addEventListener("click", () => remove([...grid.children].indexOf(card)));
  return card;
}

function explain(set, settings, shape) {
  const { norm } = set;
  const drawn = cube.draw(settings, norm, set, shape);
  const pair = norm.bare ? "one mean of squares" : "one mean and one variance";
  const counts = drawn.map(({ count, each, what }) => `${count}${what}, of ${each.toLocaleString("en")} values each`);
  meaning.querySelector("h2").textContent = norm.full;
  document.getElementById("sharing").textContent =
    `What shares ${pair}: ${norm.sharing} (${counts.join("; ")}). ${norm.effect}`;
  document.getElementById("code").textContent = code(norm, { ...set, ...shape });
}

async function once() {
  const set = read();
  const settings = new Settings(set.norm.norm, set.groups, set.eps, Float32Array.from(set.means),
    Float32Array.from(set.variances), set.weight, set.bias);
  try {
    explain(set, settings, { n: names.length, c: See.channels(), size });
    const count = names.length;
    const start = performance.now();
    const all = await engine.run(settings);
    const ms = performance.now() - start;
    // A picture that came or went meanwhile is in the next run.
    if (count !== names.length) return;
    show(all);
    told.textContent = names.length === 1 && set.norm.full === "BatchNorm"
      ? "With a single picture BatchNorm is InstanceNorm: give it more."
      : `${names.length} pictures in ${ms.toFixed(0)} ms, there and back.`;
  } catch (error) {
    told.textContent = `This failed: ${error.message ?? error}`;
  } finally {
    settings.free();
  }
}

/// Runs with what is set now; what changes meanwhile is run once more.
function refresh() {
  again = true;
  running ??= (async () => {
    while (again) {
      again = false;
      await once();
    }
    running = null;
  })();
  return running;
}

function add(name, pixels) {
  while (names.length >= MOST) drop(names.length - 1);
  names.unshift(name);
  engine.insert(0, pixels);
  refresh();
}

function drop(at) {
  if (names[at] === "camera") camera.stop();
  names.splice(at, 1);
  engine.remove(at);
}

function remove(at) {
  if (names.length === 1) {
    told.textContent = "One picture has to stay.";
    return;
  }
  drop(at);
  pressed();
  refresh();
}

function landscapes() {
  camera.stop();
  pressed();
  names = engine.take_lights();
  refresh();
}

const button = document.getElementById("camera");
const pressed = () => button.setAttribute("aria-pressed", camera.on);

async function film() {
  if (camera.on) {
    camera.stop();
    pressed();
    return;
  }
  try {
    await camera.start(size, async (pixels) => {
      pressed();
      const at = names.indexOf("camera");
      if (at < 0) add("camera", pixels);
      else engine.replace(at, pixels);
      await refresh();
    });
  } catch (error) {
    camera.stop();
    pressed();
    told.textContent = error.name === "NotAllowedError" ? "The camera was not allowed." : `No camera: ${error.message}`;
  }
}

export function start(see) {
  engine = see;
  size = See.size();
  onChange(refresh);
  onFiles(size, add, (why) => (told.textContent = why));
  button.addEventListener("click", film);
  document.getElementById("landscapes").addEventListener("click", landscapes);
  landscapes();
}
