// The banner of alarms: what is wrong now, and the last few alarms with their time and policy.

import { clock } from "./panels.js";

const SHOWN = 3;
const $ = (id) => document.getElementById(id);

let told = 0;

export function forgetAlarms() {
  told = 0;
  $("alarms").hidden = true;
}

// Changed only when there is something new: a reader of screens would say it all again.
export function showAlarms({ active, count, recent }) {
  if (count === told) return;
  told = count;
  $("alarms").hidden = !count;
  $("alarms").className = active.length ? "on" : "";
  $("alarms-now").textContent = active.length ? `▲ Alarm: ${active.join(", ")}` : "Alarms, all over";
  const stands = new Map(active.map((watch) => [watch, recent.findLast((alarm) => alarm.watch === watch)]));
  const latest = recent.slice(-SHOWN).reverse();
  $("alarm-list").replaceChildren(...latest.map((alarm) => entry(alarm, stands.get(alarm.watch) === alarm)));
  const earlier = count - latest.length;
  $("alarms-earlier").textContent = earlier > 0 ? `${earlier} earlier, in the recording` : "";
}

function entry({ watch, state, at, at_s, policy, meaning }, stands) {
  const item = document.createElement("li");
  if (!stands) item.className = "past";
  const when = part("time", new Date(at).toLocaleTimeString([], { hour12: false }), "");
  [when.dateTime, when.title] = [at, at];
  item.append(
    part("b", `${watch} ${state}`, ""), when, part("span", `at ${clock(at_s)}`, "dim"),
    part("span", `policy ${policy}`, "policy"), part("span", meaning, "meaning"),
  );
  return item;
}

function part(tag, text, kind) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

$("hide-alarms").addEventListener("click", () => { $("alarms").hidden = true; });
