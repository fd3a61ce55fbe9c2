// Canvases that are as sharp as the screen, and the page's colours for them.

let palette = {};

export const NAMES = ["ground", "panel", "edge", "ink", "dim", "held", "accent", "spike", "stop", "warn",
  "sensory", "predictable", "random", "reflex"];

export function readColours() {
  const style = getComputedStyle(document.documentElement);
  palette = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  const size = parseFloat(style.fontSize);
  palette.font = (scale = 0.85) => `${Math.round(size * scale)}px ${style.fontFamily}`;
  palette.size = size;
  return palette;
}

export const colours = () => palette;

// Return the drawing context of a canvas, cleared, with its size in CSS pixels.
export function fresh(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = palette.font();
  pen.textBaseline = "alphabetic";
  return { pen, width, height, ratio };
}

export function write(pen, words, x, y, align = "left", colour = palette.dim) {
  pen.fillStyle = colour;
  pen.textAlign = align;
  pen.fillText(words, x, y);
}

export function line(pen, colour, points, width = 1, dash = []) {
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.setLineDash(dash);
  pen.beginPath();
  points.forEach(([x, y], k) => (k ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.stroke();
  pen.setLineDash([]);
}

// Return the next of 1, 2, 4, 6, 10, 20, ... that is no less than the value.
export function roundedUp(value) {
  const unit = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)));
  return unit * [1, 2, 4, 6, 10].find((step) => step * unit >= value * (1 - 1e-9));
}

export const plain = (name) => name.replaceAll("_", " ");
export const minus = (text) => String(text).replace("-", "\u2212");
