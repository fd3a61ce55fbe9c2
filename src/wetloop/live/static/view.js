// The page: listens to the viewer's process, keeps the clock smooth, and draws.

import { forgetAlarms, showAlarms } from "./alarms.js";
import { plain, readColours } from "./canvas.js";
import { Game } from "./game.js";
import { ElectrodeMap, MARKS, clock, drawRallies, drawTiming, duration, short } from "./panels.js";
import { Raster } from "./raster.js";

const $ = (id) => document.getElementById(id);
const token = location.hash.slice(1);
const raster = new Raster($("raster")), map = new ElectrodeMap($("map")), game = new Game($("game"));
const parts = [raster, map, game];
const LOST = "Not sent: the viewer is not reached. To stop the stimulation, type wetloop stop --now on the rig\u2019s computer.";
const AGAIN_MS = 1000, SLOW_PANELS_MS = 250;

let socket, facts = null, figures = {}, episodes = [], session = -1;
let told = 0, step = 0, shown = 0, drawn = 0, slow = 0, frames = 0;

function connect() {
  socket = new WebSocket(`ws://${location.host}/socket`);
  socket.onmessage = ({ data }) => hear(JSON.parse(data));
  socket.onclose = () => { state("no connection", "bad"); setTimeout(connect, AGAIN_MS); };
}

function send(what, value) {
  if (socket.readyState !== WebSocket.OPEN) { notice(LOST); return; }
  socket.send(JSON.stringify({ do: what, value, token }));
}

function hear(message) {
  if (message.is === "facts") begin(message);
  else if (message.is === "reply") notice(message.text);
  else if (message.is === "waiting") wait();
  else if (message.session !== session) { if (facts) socket.close(); }
  else if (message.is === "news") add(message);
  else if (message.is === "figures") tell(message);
}

function wait() {
  state("waiting for a session");
  $("empty").hidden = false;
  document.querySelector("main").hidden = $("stop").disabled = true;
}

function begin(message) {
  $("empty").hidden = true;
  document.querySelector("main").hidden = false;
  [facts, session, episodes, figures, told, step] = [message, message.session, [], {}, 0, -1];
  parts.forEach((part) => part.begin(facts));
  forgetAlarms();
  state("loading");
  $("title").textContent = document.title = facts.title;
  $("file").textContent = facts.file;
  $("duration").textContent = ` / ${clock(facts.duration_s)}`;
  $("running-name").textContent = facts.rallies ? "hits in this rally" : "reward in this episode";
  $("rallies-name").firstChild.data = facts.rallies ? "Rallies " : "Episodes ";
  const regions = Array.from({ length: Math.max(...facts.regions) + 1 }, (_, k) => `${MARKS[k % MARKS.length]}\u00a0motor\u00a0${k + 1}`);
  $("regions").textContent = [...regions, "•\u00a0other"].join("  ");
  $("hint").textContent = facts.hint;
  $("transport").hidden = !facts.replayed;
  $("stop").hidden = facts.replayed;
  $("stop").disabled = !token;
  $("stop").title = token ? "Stop stimulation (S)" : "View only: this address has no token";
  $("seek").max = facts.duration_s;
  rows($("counts"), facts.event_names.slice(0, 6).map((name) => [plain(name), "0"]));
  $("legend").replaceChildren(...[["spike", "spike"], ...facts.kinds.map((kind) => [kind, `${kind} pulse`]), ["held", "task held"]].map(legend));
}

function legend([colour, name]) {
  const item = document.createElement("li"), key = document.createElement("i");
  key.style.background = `var(--${colour})`;
  if (colour === "held") key.style.width = "1em";
  item.append(key, name);
  return item;
}

function rows(list, pairs) {
  list.replaceChildren(...pairs.map(([name, value, warn, kind]) => {
    const [dt, dd, div] = ["dt", "dd", "div"].map((tag) => document.createElement(tag));
    [dt.textContent, dd.textContent] = [name, value];
    if (warn) dd.className = "warn";
    if (kind) div.className = kind;
    if (list.id === "health") div.style.display = "contents";
    div.append(dt, dd);
    return div;
  }));
}

function add(news) {
  if (news.step <= step) return;  // the greeting had it already
  step = news.step;
  if (news.anew || news.now_s < told) {
    parts.forEach((part) => part.forget());
    episodes = [];
    shown = news.now_s;
  }
  told = news.now_s;
  parts.forEach((part) => part.add(news));
  const last = episodes.length ? episodes[episodes.length - 1][0] : -1;
  episodes.push(...news.episodes.filter(([s]) => s > last));
  $("running").textContent = +news.running.toFixed(2);
  $("counts").querySelectorAll("dd").forEach((dd, k) => { dd.textContent = news.counts[k]; });
}

function state(words, mood = "") {
  if ($("state").textContent !== words) $("state").textContent = words;
  $("state").className = `pill ${mood}`;
}

function warn(list) {
  $("warnings").hidden = !list.length;
  $("warnings").textContent = `▲ ${list.length === 1 ? list[0][0] : `${list.length} warnings`}`;
  $("warnings").title = list.map(([name, value]) => `${name}: ${value}`).join(", ");
}

const GOOD = ["running", "replay"], BAD = ["tripped", "died"], OVER = ["ended", "died"];

function tell(message) {
  figures = message;
  const off = message.silenced && message.state === "running";
  state(off ? "stimulation off" : message.state,
    off || BAD.includes(message.state) ? "bad" : GOOD.includes(message.state) ? "good" : "");
  const known = (value, words) => (value === null ? "–" : words(value));
  $("rate").textContent = `${message.spikes_hz} spikes/s, ${message.pulses_hz} pulses/s`;
  $("quantiles").textContent = message.p50_us === null ? ("")
    : `p50 ${duration(message.p50_us)}, p99 ${duration(message.p99_us)}, longest ${duration(message.longest_us)}`;
  const sum = (counts) => Object.values(counts).reduce((a, b) => a + b, 0);
  const undelivered = Object.entries(message.refused).map(([why, n]) => [plain(why), short(n), false, "part"]);
  const told = [
    ["alarms", message.alarms.active.join(", ") || "none now", message.alarms.active.length > 0],
    ["late packets", short(message.late_blocks), message.late_blocks > 0],
    ["late decisions", `${short(message.late_decisions)} of ${short(message.decisions)}`, message.late_decisions > 0],
    ["lost samples", short(message.lost_samples), message.lost_samples > 0],
    ["dropped records", short(message.dropped_total), message.dropped_total > 0],
    ["refused by guard", short(message.guard_refusals), message.guard_refusals > 0],
    ["pulses delivered", `${short(sum(message.delivered))} of ${short(sum(message.delivered) + sum(message.refused))}`],
    ...undelivered,
    ...(facts.replayed ? [] : [
      ["held back", short(message.held_back), message.held_back > 0],
      ["late at rig", short(message.late_at_rig), message.late_at_rig > 0],
      ["behind on disk", known(message.lag_s, (s) => `${s.toFixed(1)} s`), message.lag_s > 5],
      ["disk lasts", known(message.disk_minutes, lasting), message.disk_minutes !== null && message.disk_minutes < 30],
    ]),
    ["file", known(message.written_mb, (mb) => `${mb.toFixed(1)} MB`)],
    ["viewers", `${message.pages}, nice ${message.nice}`],
  ];
  rows($("health"), told);
  showAlarms(message.alarms);
  warn(told.filter(([, , bad]) => bad));
  $("stop").disabled = !token || OVER.includes(message.state);
  $("play").textContent = message.paused ? "Play" : "Pause";
  if (message.speed && document.activeElement !== $("speed")) $("speed").value = message.speed;
  $("raster").setAttribute("aria-label", `Spikes and pulses of the last 5 seconds: ${$("rate").textContent}`);
  $("timing").setAttribute("aria-label", `Loop times: ${$("quantiles").textContent}, deadline ${duration(facts.period_us)}`);
}

const lasting = (minutes) => (minutes < 120 ? `${Math.round(minutes)} min` : minutes < 2880 ? `${Math.round(minutes / 60)} h` : `${Math.round(minutes / 1440)} days`);

function notice(words) {
  $("notice").textContent = words;
  $("notice").hidden = !words;
}

// Let the shown moment run evenly, a little behind what was told, so that uneven arrival does not show.
function advance(ms) {
  const speed = facts.replayed ? (figures.paused ? 0 : figures.speed || 1) : 1;
  const aim = told - (figures.paused ? 0 : 1.6 * facts.period_s * speed), step = Math.min(0.2, ms / 1000) * speed;
  const off = aim - (shown + step);
  shown = Math.abs(off) > 0.5 * Math.max(1, speed) ? aim : Math.min(told, shown + step + off * 0.08);
}

function draw(now) {
  requestAnimationFrame(draw);
  if (!facts) return;
  advance(now - drawn);
  drawn = now;
  raster.draw(shown);
  map.draw(shown);
  game.draw(shown);
  frames += 1;
  if (now - slow < SLOW_PANELS_MS) return;
  slow = now;
  $("elapsed").textContent = clock(shown);
  $("progress").style.width = `${Math.min(100, 100 * shown / facts.duration_s)}%`;
  $("top").textContent = Math.round(map.top);
  if (document.activeElement !== $("seek")) $("seek").value = shown;
  const mean = drawRallies($("rallies"), episodes, shown, figures.seen_from_s || 0, facts.rallies);
  $("mean").textContent = mean === null ? "" : `line: mean of the last ten, now ${mean.toFixed(2)}`;
  if (!figures.loop) return;
  drawTiming($("timing"), facts.edges_us, figures.loop, facts.period_us,
    facts.replayed ? "an accelerated session has no loop times" : "no packets yet");
  document.body.dataset.frames = frames;
}

function ask() {
  if (!$("stop").disabled && !$("stop").hidden && !$("confirm").open) $("confirm").showModal();
}

const seek = (s) => send("seek", s);
const faster = (by) => {
  const next = $("speed").selectedIndex + by;
  if ($("speed").options[next]) { $("speed").selectedIndex = next; send("speed", +$("speed").value); }
};
const KEYS = {
  " ": () => send("pause", !figures.paused),
  ArrowLeft: () => seek(told - 5), ArrowRight: () => seek(told + 5),
  Home: () => seek(0), End: () => seek(facts.duration_s),
  "+": () => faster(1), "-": () => faster(-1),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("confirm").open || !facts) return;
  if (event.key.toLowerCase() === "s") { event.preventDefault(); ask(); return; }
  if (!facts.replayed || !KEYS[event.key] || ["INPUT", "SELECT", "BUTTON"].includes(event.target.tagName)) return;
  event.preventDefault();
  KEYS[event.key]();
});
$("stop").addEventListener("click", ask);
$("warnings").addEventListener("click", () => { const panel = document.querySelector(".health"); panel.scrollIntoView(); panel.focus(); });
$("confirm").addEventListener("close", () => { if ($("confirm").returnValue === "stop") send("stop"); $("confirm").returnValue = ""; });
$("play").addEventListener("click", () => send("pause", !figures.paused));
$("seek").addEventListener("change", () => { seek(+$("seek").value); $("seek").blur(); });
$("speed").addEventListener("change", () => { send("speed", +$("speed").value); $("speed").blur(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", readColours);
addEventListener("resize", readColours);
readColours();
connect();
requestAnimationFrame(draw);
