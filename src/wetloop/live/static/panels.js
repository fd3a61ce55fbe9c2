// The smaller panels: electrodes, rallies, loop timing.

import { colours, fresh, line, minus, roundedUp, write } from "./canvas.js";

const TAU_S = 0.7, FLASH_S = 0.3;
export const MARKS = ["●", "◆", "▲", "▼", "★"];
const CORNERS = {
  diamond: [[0, -1.2], [1.2, 0], [0, 1.2], [-1.2, 0]], up: [[0, -1.1], [1.1, 0.8], [-1.1, 0.8]],
  down: [[0, 1.1], [1.1, -0.8], [-1.1, -0.8]],
  star: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((k) => [Math.sin(k * Math.PI / 5), -Math.cos(k * Math.PI / 5)].map((a) => a * (k % 2 ? 0.5 : 1.2))),
};
const SHAPES = ["circle", "diamond", "up", "down", "star"];

function mixed(from, to, share) {
  const part = (hex, k) => parseInt(hex.slice(1 + 2 * k, 3 + 2 * k), 16);
  return `rgb(${[0, 1, 2].map((k) => Math.round(part(from, k) * (1 - share) + part(to, k) * share)).join()})`;
}

// Firing rate of each electrode in its place, and a ring where it was stimulated just now.
export class ElectrodeMap {
  constructor(canvas) { this.canvas = canvas; this.begin(null); }

  begin(facts) {
    this.facts = facts;
    this.top = 10;
    this.at = 0;
    if (!facts) return;
    const n = facts.x_um.length;
    this.rates = new Float64Array(n);
    this.flashes = Array.from({ length: n }, () => [-Infinity, 0]);
    this.shapes = facts.regions.map((region) => (region < 0 ? "dot" : SHAPES[region % SHAPES.length]));
    for (const channel of facts.sensory) this.shapes[channel] = "square";
    this.span = [Math.min(...facts.x_um), Math.max(...facts.x_um), Math.min(...facts.y_um), Math.max(...facts.y_um)];
    this.pitch = nearest(facts);
  }

  forget() { this.begin(this.facts); }

  add(news) {
    const fade = Math.exp(-Math.max(0, news.now_s - this.at) / TAU_S);
    this.at = news.now_s;
    for (let k = 0; k < this.rates.length; k++) this.rates[k] *= fade;
    for (let k = 0; k < news.spikes.length; k += 2) {
      this.rates[news.spikes[k + 1]] += Math.exp(-news.spikes[k] / 1e4 / TAU_S) / TAU_S;
    }
    for (let k = 0; k < news.pulses.length; k += 3) {
      this.flashes[news.pulses[k + 1]] = [news.now_s - news.pulses[k] / 1e4, news.pulses[k + 2]];
    }
  }

  draw(shown) {
    const { pen, width, height } = fresh(this.canvas), ink = colours();
    if (!this.facts || height < 20) return;
    const sorted = Float64Array.from(this.rates).sort();
    this.top += (Math.max(5, sorted[Math.floor(sorted.length * 0.97)]) - this.top) * 0.05;
    const [left, right, upper, lower] = this.span;
    const scale = Math.min(width / (right - left + this.pitch), height / (lower - upper + this.pitch));
    const x0 = (width - (right - left) * scale) / 2, y0 = (height - (lower - upper) * scale) / 2;
    const size = Math.max(1.5, this.pitch * scale * 0.36);
    this.facts.x_um.forEach((x_um, k) => {
      const x = x0 + (x_um - left) * scale, y = y0 + (this.facts.y_um[k] - upper) * scale;
      pen.fillStyle = mixed(ink.held, ink.accent, Math.min(1, this.rates[k] / this.top) ** 0.7);
      outline(pen, this.shapes[k], x, y, size);
      pen.fill();
      const [when, kind] = this.flashes[k], left_s = FLASH_S - (shown - when);
      if (left_s > 0 && left_s < 2 * FLASH_S) {
        pen.globalAlpha = Math.min(1, left_s / FLASH_S);
        pen.strokeStyle = ink[this.facts.kinds[kind]];
        pen.lineWidth = Math.max(2, size * 0.3);
        outline(pen, this.shapes[k], x, y, size * 1.2);
        pen.stroke();
        pen.globalAlpha = 1;
      }
    });
  }
}

function nearest({ x_um, y_um }) {
  let least = Infinity;
  for (let k = 1; k < Math.min(200, x_um.length); k++) {
    least = Math.min(least, Math.hypot(x_um[k] - x_um[0], y_um[k] - y_um[0]) || Infinity);
  }
  return Number.isFinite(least) ? least : 1;
}

function outline(pen, shape, x, y, r) {
  pen.beginPath();
  if (shape === "square") pen.rect(x - r * 0.9, y - r * 0.9, 1.8 * r, 1.8 * r);
  else if (CORNERS[shape]) CORNERS[shape].forEach(([a, b]) => pen.lineTo(x + a * r, y + b * r));
  else pen.arc(x, y, shape === "dot" ? r * 0.6 : r, 0, 7);
  pen.closePath();
}

// One stem per rally (or episode) over the time at which it ended, and the mean of the last ten.
export function drawRallies(canvas, episodes, now_s, from_s, rallies) {
  const { pen, width, height } = fresh(canvas), ink = colours(), size = ink.size;
  if (height < 40) return null;
  const box = { left: size * 2.4, top: size * 1.7, right: width - 4, bottom: height - size * 1.4 };
  const values = episodes.map(([, value]) => value), low = Math.min(0, ...values);
  const most = roundedUp(Math.max(4, ...values)), least = low < 0 ? -roundedUp(-low) : 0;
  const span = Math.max(10, now_s - from_s);
  const x = (s) => box.left + (s - from_s) / span * (box.right - box.left);
  const y = (value) => box.bottom - (value - least) / (most - least) * (box.bottom - box.top);
  for (const tick of [least, (least + most) / 2, most]) {
    line(pen, ink.edge, [[box.left, y(tick)], [box.right, y(tick)]]);
    write(pen, minus(+tick.toFixed(2)), box.left - 8, y(tick) + size * 0.3, "right");
  }
  write(pen, rallies ? "hits" : "reward", 0, size * 0.85);
  if (!episodes.length) write(pen, `no ${rallies ? "rally" : "episode"} is over yet`, (box.left + box.right) / 2, height / 2, "center");
  const wide = Math.max(1.5, Math.min(size * 0.5, (box.right - box.left) / (episodes.length + 1) * 0.5));
  pen.fillStyle = ink.dim;
  for (const [s, value] of episodes) {
    pen.globalAlpha = 0.55;
    pen.fillRect(x(s) - wide / 2, y(Math.max(0, value)), wide, Math.max(2, Math.abs(y(value) - y(0))));
    pen.globalAlpha = 1;
  }
  const means = episodes.map(([s], k) => {
    const last = values.slice(Math.max(0, k - 9), k + 1);
    return [s, last.reduce((a, b) => a + b, 0) / last.length];
  });
  line(pen, ink.accent, means.map(([s, mean]) => [x(s), y(mean)]), 2.5);
  for (const share of [0, 0.5, 1]) {
    const align = ["left", "center", "right"][share * 2];
    write(pen, clock(from_s + span * share) + (share < 1 ? "" : span + from_s < 3600 ? " min" : " h"), x(from_s + span * share), height - size * 0.25, align);
  }
  return means.length ? means[means.length - 1][1] : null;
}

// Packets by the time from their arrival until they were done with, both on logarithmic axes, and the deadline.
export function drawTiming(canvas, edges_us, counts, period_us, none) {
  const { pen, width, height } = fresh(canvas), ink = colours(), size = ink.size;
  if (height < 40) return;
  const box = { left: size * 2.4, top: size * 1.5, right: width - 8, bottom: height - size * 1.4 };
  if (!counts.some((n) => n)) { write(pen, none, width / 2, height / 2, "center"); return; }
  write(pen, "packets", 0, size * 0.85);
  const [low, high] = [0, Math.max(4, Math.log10(period_us) + 0.7)];
  const x = (us) => box.left + (Math.log10(us) - low) / (high - low) * (box.right - box.left);
  const most = Math.max(1, Math.ceil(Math.log10(Math.max(1, ...counts)) - 1e-9));
  const y = (n) => box.bottom - (n ? (Math.log10(n) + 0.25) / (most + 0.25) : 0) * (box.bottom - box.top);
  for (let power = 0; power <= most; power += Math.ceil(most / 4)) {
    line(pen, ink.edge, [[box.left, y(10 ** power)], [box.right, y(10 ** power)]]);
    write(pen, short(10 ** power), box.left - 8, y(10 ** power) + size * 0.3, "right");
  }
  counts.forEach((n, k) => {
    if (!n || edges_us[k] >= 10 ** high) return;
    const late = edges_us[k] >= period_us * 0.999;
    pen.fillStyle = late ? ink.random : ink.spike;
    pen.fillRect(x(edges_us[k]) + 0.5, y(n), x(edges_us[k + 1]) - x(edges_us[k]) - 1, box.bottom - y(n));
  });
  line(pen, ink.edge, [[box.left, box.bottom + 0.5], [box.right, box.bottom + 0.5]]);
  line(pen, ink.stop, [[x(period_us), box.top - size * 0.6], [x(period_us), box.bottom]], 2);
  write(pen, `deadline ${duration(period_us)}`, x(period_us) - 6, box.top - size * 0.3, "right", ink.ink);
  for (let power = low; power <= high; power++) {
    const align = power === low ? "left" : power + 0.5 > high ? "right" : "center";
    write(pen, duration(10 ** power), x(10 ** power), height - size * 0.25, align);
  }
}

export const short = (n) => (n < 1000 ? `${n}` : n < 1e6 ? `${+(n / 1e3).toFixed(1)}k` : `${+(n / 1e6).toFixed(1)}M`);
export const duration = (us) => (us < 999.5 ? `${+us.toPrecision(2)} µs` : `${+(us / 1e3).toPrecision(2)} ms`);

export function clock(s) {
  const whole = Math.max(0, Math.floor(s)), two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
