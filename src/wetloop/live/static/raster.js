// Spikes and pulses of the last seconds. New marks are drawn once, on a strip that wraps around; a frame copies it.

import { colours, fresh, line, minus, plain, roundedUp, write } from "./canvas.js";

const WINDOW_S = 5, STRIP_S = 6.5, AHEAD_S = 0.25, BIN_S = 0.05;

export class Raster {
  constructor(canvas) {
    this.canvas = canvas;
    this.strip = document.createElement("canvas");
    this.begin(null);
  }

  begin(facts) {
    this.facts = facts;
    this.chunks = [];
    this.bins = new Map();
    this.top = 100;
    this.cleared = -Infinity;
    this.box = null;
  }

  forget() { this.begin(this.facts); }

  // Take { now_s, spikes: [steps before, channel, ...], pulses: [steps before, channel, kind, ...], held, events }.
  add(news) {
    this.chunks.push(news);
    while (this.chunks[0].now_s < news.now_s - STRIP_S) this.chunks.shift();
    for (let k = 0; k < news.spikes.length; k += 2) {
      const bin = Math.floor((news.now_s - news.spikes[k] / 1e4) / BIN_S);
      this.bins.set(bin, (this.bins.get(bin) || 0) + 1);
    }
    for (const bin of this.bins.keys()) {
      if (bin * BIN_S > news.now_s - STRIP_S) break;
      this.bins.delete(bin);
    }
    if (this.box) this.paint(news);
  }

  // Paint the marks of one chunk on the strip.
  paint(news) {
    const pen = this.strip.getContext("2d"), { width, height } = this.strip, { ink, rows } = this;
    const from = Math.max(this.cleared, news.now_s - STRIP_S + AHEAD_S), upto = news.now_s + AHEAD_S;
    if (upto > from) this.spans(from, upto, (x, w) => pen.clearRect(x, 0, w, height));
    this.cleared = Math.max(this.cleared, upto);
    const at = (s) => (((s % STRIP_S) + STRIP_S) % STRIP_S) / STRIP_S * width;
    const oldest = news.now_s - STRIP_S + AHEAD_S, row = height / rows;
    pen.fillStyle = ink.spike;
    const wide = Math.max(1, this.ratio * 1.2), high = Math.max(1, row * 0.8);
    for (let k = 0; k < news.spikes.length; k += 2) {
      const s = news.now_s - news.spikes[k] / 1e4;
      if (s > oldest) pen.fillRect(at(s), this.facts.rows[news.spikes[k + 1]] * row, wide, high);
    }
    const bold = this.ratio * 3, tall = Math.max(3 * this.ratio, row);
    for (let k = 0; k < news.pulses.length; k += 3) {
      const s = news.now_s - news.pulses[k] / 1e4;
      if (s <= oldest) continue;
      pen.fillStyle = ink[this.facts.kinds[news.pulses[k + 2]]];
      pen.fillRect(at(s), this.facts.rows[news.pulses[k + 1]] * row, bold, tall);
    }
    pen.globalCompositeOperation = "destination-over";
    pen.fillStyle = ink.held;
    for (const [start, stop] of news.held) {
      this.spans(Math.max(start, oldest), stop, (x, w) => pen.fillRect(x, 0, w, height));
    }
    pen.globalCompositeOperation = "source-over";
  }

  // Call back with left edge and width of each piece of a span of time on the strip.
  spans(from, upto, piece) {
    const width = this.strip.width, scale = width / STRIP_S;
    let left = Math.floor(from * scale), rest = Math.min(width, Math.floor(upto * scale) - left);
    while (rest > 0) {
      const x = ((left % width) + width) % width, w = Math.min(rest, width - x);
      piece(x, w);
      left += w;
      rest -= w;
    }
  }

  // Make room for the axes; paint everything again where size or colours have changed.
  arrange(width, height, ratio) {
    const ink = colours(), size = ink.size, narrow = width < 480;
    const box = { left: size * (narrow ? 4 : 5.4), top: size * 1.3, right: width - 2, bottom: height - size * 4.6 };
    const key = [width, height, ratio, ink.panel, this.facts.rows.length].join();
    if (this.box && this.key === key) return;
    [this.key, this.box, this.ink, this.ratio, this.rows] = [key, box, ink, ratio, this.facts.rows.length];
    this.strip.width = Math.max(1, Math.round((box.right - box.left) * ratio * STRIP_S / WINDOW_S));
    this.strip.height = Math.max(1, Math.round((box.bottom - box.top) * ratio));
    this.cleared = -Infinity;
    for (const news of this.chunks) this.paint(news);
  }

  draw(shown) {
    const { pen, width, height, ratio } = fresh(this.canvas);
    if (!this.facts || height < 60) return;
    this.arrange(width, height, ratio);
    const { left, top, right, bottom } = this.box, wide = right - left;
    pen.imageSmoothingEnabled = false;
    let x = left;
    this.spans(shown - WINDOW_S, shown, (from, w) => {
      pen.drawImage(this.strip, from, 0, w, this.strip.height, x, top, w / ratio, bottom - top);
      x += w / ratio;
    });
    const at = (s) => right + (s - shown) / WINDOW_S * wide;
    this.drawEvents(pen, at, shown);
    this.drawGroups(pen);
    this.drawRate(pen, at, shown, height);
  }

  drawEvents(pen, at, shown) {
    const { left, top, right, bottom } = this.box;
    let free = right + 1;
    for (let c = this.chunks.length - 1; c >= 0; c--) {
      for (let e = this.chunks[c].events.length - 1; e >= 0; e--) {
        const [s, event] = this.chunks[c].events[e], x = at(s);
        if (s > shown || x < left) continue;
        line(pen, this.ink.dim, [[x, top], [x, bottom]], 1, [2, 4]);
        const name = plain(this.facts.event_names[event]), half = pen.measureText(name).width / 2;
        if (x + half < free && x - half > left) {
          write(pen, name, x, top - this.ink.size * 0.35, "center");
          free = x - half - 8;
        }
      }
    }
  }

  drawGroups(pen) {
    const { left, top, bottom } = this.box, row = (bottom - top) / this.rows;
    let low = -Infinity;
    for (const [name, first, stop] of this.facts.groups) {
      const y = top + (first + stop) / 2 * row + this.ink.size * 0.3;
      if (y - low > this.ink.size) write(pen, name.replace(/\d+$/, (n) => +n + 1), left - 8, low = y, "right");
      if (first) line(pen, this.ink.edge, [[left, top + first * row], [this.box.right, top + first * row]]);
    }
    pen.strokeStyle = this.ink.edge;
    pen.lineWidth = 1;
    pen.strokeRect(left - 0.5, top - 0.5, this.box.right - left + 1, bottom - top + 1);
  }

  // Draw spikes per second of the whole array below, and the axis of time.
  drawRate(pen, at, shown, height) {
    const { left, right, bottom } = this.box, size = this.ink.size;
    const base = height - size * 1.4, room = base - bottom - size * 0.5;
    let most = 0;
    for (const n of this.bins.values()) most = Math.max(most, n / BIN_S);
    const aim = roundedUp(Math.max(most, 50));
    this.top += (aim - this.top) * 0.2;
    pen.fillStyle = this.ink.spike;
    pen.save();
    pen.beginPath();
    pen.rect(left, bottom, right - left, height);
    pen.clip();
    const wide = BIN_S / WINDOW_S * (right - left);
    for (const [bin, n] of this.bins) {
      const high = n / BIN_S / this.top * room;
      if ((bin + 1) * BIN_S <= shown) pen.fillRect(at(bin * BIN_S), base - high, Math.max(1, wide - 1), high);
    }
    pen.restore();
    line(pen, this.ink.edge, [[left, base + 0.5], [right, base + 0.5]]);
    write(pen, `${aim}`, left - 8, base - room + size * 0.5, "right");
    write(pen, "spikes/s", left - 8, base, "right");
    for (let s = 0; s <= WINDOW_S; s++) {
      const align = s === WINDOW_S ? "left" : s ? "center" : "right";
      write(pen, s ? minus(-s) : "now, s", at(shown - s), height - size * 0.35, align);
    }
  }
}
