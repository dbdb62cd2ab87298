// Keeps the page for when there is no network: what is new where there is one, else what was kept.

const KEPT = "gpunorm";
const FILES = ["./", "check.js", "cube.js", "gpunorm-web.js", "gpunorm-web_bg.wasm", "icon.svg", "main.js", "measure.js",
  "norms.js", "panels.js", "pictures.js", "see.css", "see.js", "settings.js", "style.css"];

addEventListener("install", (event) => event.waitUntil(caches.open(KEPT).then((kept) => kept.addAll(FILES))));

async function answer(request) {
  try {
    const response = await fetch(request);
    if (response.ok) (await caches.open(KEPT)).put(request, response.clone());
    return response;
  } catch (error) {
    const kept = await caches.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}

addEventListener("fetch", (event) => {
  const here = new URL(event.request.url).origin === location.origin;
  if (event.request.method === "GET" && here) event.respondWith(answer(event.request));
});
