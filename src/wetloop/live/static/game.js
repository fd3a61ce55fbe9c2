// The game as it is played: Pong from its numbers, other tasks as the picture that was taken, or as bars.

import { colours, fresh, line, minus, plain, write } from "./canvas.js";

const KEPT_S = 1.2, FLASH_S = 0.45, MOST_BARS = 14;

export class Game {
  constructor(canvas) { this.canvas = canvas; this.picture = new Image(); this.begin(null); }

  begin(facts) {
    this.facts = facts;
    this.steps = [];
    this.flash = [-Infinity, ""];
    this.proportion = 0;
  }

  forget() { this.begin(this.facts); }

  add(news) {
    if (news.observation) {
      for (const [s, seen] of news.path || [[news.now_s, news.observation]]) {
        this.steps.push({ s, seen, action: news.action, playing: news.playing });
      }
      while (this.steps.length > 2 && this.steps[1].s < news.now_s - KEPT_S) this.steps.shift();
    }
    for (const [s, event] of news.events) this.flash = [s, this.facts.event_names[event]];
    if (news.picture) {
      this.picture.src = news.picture.url;
      this.proportion = news.picture.proportion;
    }
  }

  draw(shown) {
    const { pen, width, height } = fresh(this.canvas);
    if (!this.facts || !this.steps.length || height < 20) return;
    const step = this.steps[this.steps.length - 1];
    if (this.proportion) this.drawPicture(pen, width, height);
    else if (this.facts.task === "pong") this.drawPong(pen, width, height, shown);
    else this.drawBars(pen, width, height, step);
    if (!step.playing) this.drawHeld(pen, width, height);
  }

  drawPicture(pen, width, height) {
    const wide = Math.min(width, height * this.proportion), high = wide / this.proportion;
    if (this.picture.complete && this.picture.naturalWidth) {
      pen.imageSmoothingEnabled = true;
      pen.drawImage(this.picture, (width - wide) / 2, (height - high) / 2, wide, high);
    }
  }

  drawPong(pen, width, height, shown) {
    const ink = colours(), wide = Math.min(width, height * 4 / 3), high = wide * 3 / 4;
    const left = (width - wide) / 2, top = (height - high) / 2, unit = wide / 100;
    const ball = unit * 1.8, play = { left: left + unit * 4, right: left + wide - ball, top: top + ball, bottom: top + high - ball };
    const x = (v) => play.left + v * (play.right - play.left), y = (v) => play.bottom - v * (play.bottom - play.top);
    const [when, event] = this.flash, fade = 1 - (shown - when) / FLASH_S;
    pen.fillStyle = ink.ground;
    pen.fillRect(left, top, wide, high);
    pen.strokeStyle = ink.edge;
    pen.strokeRect(left + 0.5, top + 0.5, wide - 1, high - 1);
    this.drawTrail(pen, shown, x, y, ball);
    const [bx, by, , , paddle] = this.between(shown), half = (this.facts.paddle || 0.2) / 2;
    const [low, up] = [top + high * (1 - paddle + half), top + high * (1 - paddle - half)];
    pen.fillStyle = fade > 0 && event === "hit" ? ink.predictable : ink.ink;
    pen.fillRect(left, up, unit * 2, low - up);
    disc(pen, ink.accent, x(bx), y(by), ball);
    if (fade > 0 && fade <= 1 && (event === "hit" || event === "miss")) {
      pen.globalAlpha = fade;
      line(pen, event === "hit" ? ink.predictable : ink.random, [[left + 2, top], [left + 2, top + high]], 4);
      pen.font = colours().font(1.6);
      write(pen, event, left + unit * 6, top + unit * 9, "left", event === "hit" ? ink.predictable : ink.random);
      pen.globalAlpha = 1;
    }
  }

  // Draw where the ball has been since it was served.
  drawTrail(pen, shown, x, y, ball) {
    for (let k = this.steps.length - 1; k > 0; k--) {
      const [{ s, seen }, before] = [this.steps[k], this.steps[k - 1]], age = (shown - s) / KEPT_S;
      if (age > 1 || jumped(before.seen, seen)) break;
      if (age < 0) continue;
      pen.globalAlpha = 0.3 * (1 - age);
      line(pen, colours().accent, [before, this.steps[k]].map(({ seen: [a, b] }) => [x(a), y(b)]), ball * (1.6 - age));
    }
    pen.globalAlpha = 1;
  }

  // Return the observation at a moment between two that were told; none in between where the ball jumped.
  between(shown) {
    const k = this.steps.findIndex(({ s }) => s >= shown);
    if (k <= 0) return this.steps[k < 0 ? this.steps.length - 1 : 0].seen;
    const [before, after] = [this.steps[k - 1], this.steps[k]];
    if (jumped(before.seen, after.seen)) return before.seen;
    const share = (shown - before.s) / Math.max(1e-6, after.s - before.s);
    return after.seen.map((v, i) => before.seen[i] + (v - before.seen[i]) * share);
  }

  drawBars(pen, width, height, { seen, action }) {
    const ink = colours(), size = ink.size;
    const named = (values, names, what) => values.map((v, k) => [names[k] || `${what} ${k + 1}`, v]);
    const bars = [
      ...named(seen, this.facts.observation_names, "observation").slice(0, MOST_BARS - action.length),
      ...named(action, this.facts.action_names, "action"),
    ];
    const row = Math.min(size * 2.2, height / bars.length), middle = width * 0.66, reach = width * 0.24;
    bars.forEach(([name, value], k) => {
      const y = row * (k + 0.65), isAction = k >= bars.length - action.length;
      write(pen, plain(name), width * 0.38, y, "right");
      pen.fillStyle = isAction ? ink.accent : ink.spike;
      const long = Math.tanh(value) * reach;
      pen.fillRect(Math.min(middle, middle + long), y - row * 0.36, Math.abs(long), row * 0.46);
      write(pen, minus(value.toFixed(2)), width - 2, y, "right", ink.ink);
    });
    line(pen, ink.edge, [[middle, 0], [middle, row * bars.length]]);
  }

  drawHeld(pen, width, height) {
    const ink = colours();
    pen.font = ink.font(1.1);
    const [when, event] = this.flash, words = `held: feedback${Number.isFinite(when) ? ` after ${plain(event)}` : ""}`;
    const wide = pen.measureText(words).width + 2 * ink.size, high = 2.2 * ink.size;
    pen.fillStyle = ink.held;
    pen.fillRect((width - wide) / 2, (height - high) / 2, wide, high);
    write(pen, words, width / 2, height / 2 + ink.size * 0.38, "center", ink.ink);
  }
}

const jumped = (before, after) => Math.abs(after[0] - before[0]) > 0.15 || Math.abs(after[1] - before[1]) > 0.3;

function disc(pen, colour, x, y, r) {
  pen.fillStyle = colour;
  pen.beginPath();
  pen.arc(x, y, r, 0, 7);
  pen.fill();
}
