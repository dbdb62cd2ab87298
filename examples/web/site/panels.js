// A picture and, below it, how many values it has of each kind.

const CHANNELS = ["R", "G", "B", "Y"];
const HIGH = 32;

/// Lines and what is below them, from left to right.
function paths(levels) {
  const bins = levels.length / CHANNELS.length;
  return CHANNELS.map((channel, at) => {
    let line = "";
    levels.slice(at * bins, (at + 1) * bins).forEach((level, bin) => {
      const y = (HIGH - 1 - level * (HIGH - 2)).toFixed(2);
      line += `${bin ? "L" : "M"}${bin},${y}L${bin + 1},${y}`;
    });
    return `<path class="${channel}" d="${line}L${bins},${HIGH}L0,${HIGH}Z"/>`;
  }).join("");
}

function histogram({ levels, zero, ticks }) {
  const bins = levels.length / CHANNELS.length;
  let labels = "";
  for (let at = 0; at < ticks.length; at += 2) {
    const place = `${100 * ticks[at + 1]}%`;
    labels += `<span style="left:${place};translate:-${place}">${String(ticks[at]).replace("-", "−")}</span>`;
  }
  return `<svg viewBox="0 0 ${bins} ${HIGH}" preserveAspectRatio="none" aria-hidden="true">${paths(levels)}
    <line x1="${zero * bins}" x2="${zero * bins}" y1="0" y2="${HIGH}"/></svg><div class="greys"></div>
    <div class="ticks">${labels}</div>`;
}

const signed = (value) => value.toFixed(2).replace("-", "−");

/// Puts a panel into `parent`, whose picture is `size` wide and high.
export function draw(parent, panel, name, size) {
  parent.innerHTML = `<canvas width="${size}" height="${size}" role="img"></canvas>${histogram(panel)}
    <p>mean ${signed(panel.mean)} · std ${signed(panel.std)}</p>`;
  const canvas = parent.firstChild;
  canvas.setAttribute("aria-label", name);
  canvas.getContext("2d").putImageData(new ImageData(Uint8ClampedArray.from(panel.pixels), size, size), 0, 0);
}
