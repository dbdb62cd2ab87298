// Opens the GPU, and the parts of the page.

import init, { See, open } from "./gpunorm-web.js";
import * as check from "./check.js";
import * as measure from "./measure.js";
import * as see from "./see.js";

const tabs = [...document.querySelectorAll("[role=tab]")];

function show(name) {
  for (const tab of tabs) {
    const chosen = tab.getAttribute("aria-controls") === name;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    document.getElementById(tab.getAttribute("aria-controls")).hidden = !chosen;
  }
}

function choose(tab) {
  const name = tab.getAttribute("aria-controls");
  history.replaceState(null, "", `#${name}`);
  show(name);
}

tabs.forEach((tab, at) => {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const next = tabs[(at + step + tabs.length) % tabs.length];
    next.focus();
    choose(next);
  });
});

const asked = () => tabs.find((tab) => `#${tab.getAttribute("aria-controls")}` === location.hash) ?? tabs[0];
show(asked().getAttribute("aria-controls"));
addEventListener("hashchange", () => choose(asked()));

/// Why there is no WebGPU, and what the visitor can do.
function absent() {
  if (!isSecureContext) {
    return "Browsers offer WebGPU only to pages that come by https or from this machine (localhost). This one did not.";
  }
  return "This browser has no WebGPU, or has it turned off. Chrome and Edge have it from version 113 on (Android: 121), "
    + "Safari from 26 on, Firefox from 141 on (Windows) or 145 on (macOS).";
}

const missing = document.getElementById("missing");

function tellMissing(why) {
  missing.hidden = false;
  missing.innerHTML = "<strong>No GPU here.</strong> <span></span> Without one, pictures are normalized on the CPU by the "
    + "slow and simple code that the GPU is held to. Check and Measure need a GPU.";
  missing.querySelector("span").textContent = why;
  document.getElementById("device").textContent = "on the CPU";
}

/// The device, and what the browser tells of it.
async function device() {
  if (!navigator.gpu) throw absent();
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) {
    throw "This browser knows WebGPU, but has no GPU for it: the driver may be missing, too old, or on the browser's "
      + "blocklist (chrome://gpu or about:support say which).";
  }
  const { vendor, architecture, device, description } = adapter.info;
  const name = description || [vendor, architecture, device].filter(Boolean).join(" ") || "a GPU without a name";
  const opened = await open();
  return { opened, told: { adapter: name, vendor, architecture, device, description, ...JSON.parse(opened.describe()) } };
}

async function start() {
  await init();
  try {
    const { opened, told } = await device();
    document.getElementById("device").textContent = told.adapter;
    check.start(opened);
    measure.start(opened, told);
    see.start(See.on(opened));
  } catch (why) {
    tellMissing(String(why.message ?? why));
    see.start(See.by_oracle());
  }
  document.body.dataset.ready = "";
}

if ("serviceWorker" in navigator) navigator.serviceWorker.register("offline.js");
start().catch((error) => {
  document.getElementById("device").textContent = `This page failed to start: ${error.message ?? error}`;
});
