/** The alarm's sound: a pattern by priority that loops until nothing is unacknowledged. */

import { computed, effect, signal } from "@preact/signals";
import { recall, remember } from "./memory";
import { isAlarmPage, route } from "./route";
import { priorityOf, unackedAlarms } from "./states";
import { link } from "./stream";

/** Frequencies in Hz and lengths in ms of one round; silence fills the rest of `every`. */
interface Pattern {
  tones: { hz: number; ms: number }[];
  every: number;
}

const PATTERNS: Record<1 | 2 | 3 | 4, Pattern> = {
  1: { tones: [{ hz: 960, ms: 180 }, { hz: 770, ms: 180 }, { hz: 960, ms: 180 }, { hz: 770, ms: 180 }], every: 1200 },
  2: { tones: [{ hz: 880, ms: 220 }, { hz: 880, ms: 220 }], every: 2500 },
  3: { tones: [{ hz: 660, ms: 260 }], every: 5000 },
  4: { tones: [{ hz: 520, ms: 200 }], every: 10000 },
};
const DEAF: Pattern = { tones: [{ hz: 300, ms: 500 }], every: 4000 };

export const wantsSound = signal(recall("sound") !== "off");

/** `blocked`: the browser waits for a click; `missing`: it has no audio at all. */
export const audio = signal<"blocked" | "running" | "missing">("blocked");

let context: AudioContext | null = null;

/** What must be heard now; a returned alarm (condition gone) is silent by ISA-18.2. */
const pattern = computed<Pattern | null>(() => {
  if (!isAlarmPage(route.value.page) || !wantsSound.value) return null;
  if (link.value === "deaf") return DEAF;
  const loud = unackedAlarms.value.filter((alarm) => alarm.state !== "returned_unacknowledged").map(priorityOf);
  return loud.length ? PATTERNS[Math.min(...loud) as 1 | 2 | 3 | 4] : null;
});

export function toggleSound(): void {
  wantsSound.value = !wantsSound.value;
  remember("sound", wantsSound.value ? "on" : "off");
  if (wantsSound.value) void enableSound();
}

/** Asks the browser for audio; succeeds inside a click, or at once on a kiosk that permits it. */
export async function enableSound(): Promise<void> {
  const Maker = window.AudioContext;
  if (!Maker) {
    audio.value = "missing";
    return;
  }
  if (!context) {
    context = new Maker();
    context.onstatechange = follow;
  }
  try {
    if (context.state === "suspended") await context.resume();
  } catch {
    // Still blocked: the bar stays.
  }
  follow();
}

function follow(): void {
  audio.value = context?.state === "running" ? "running" : "blocked";
}

function play(round: Pattern): void {
  if (!context || context.state !== "running") return;
  let at = context.currentTime + 0.02;
  for (const { hz, ms } of round.tones) {
    const tone = context.createOscillator();
    const level = context.createGain();
    const end = at + ms / 1000;
    tone.type = "triangle";
    tone.frequency.value = hz;
    level.gain.setValueAtTime(0, at);
    level.gain.linearRampToValueAtTime(0.5, at + 0.015);
    level.gain.setValueAtTime(0.5, end - 0.03);
    level.gain.linearRampToValueAtTime(0, end);
    tone.connect(level).connect(context.destination);
    tone.start(at);
    tone.stop(end);
    at = end + 0.04;
  }
}

/** Starts following the alarms; called once. */
export function startSound(): void {
  effect(() => {
    const round = pattern.value;
    if (!round || audio.value !== "running") return undefined;
    play(round);
    const timer = window.setInterval(() => play(round), round.every);
    return () => window.clearInterval(timer);
  });
  effect(() => {
    if (isAlarmPage(route.value.page) && wantsSound.value && !context) void enableSound();
  });
  // On the finished click: the bar goes away with it, and must not move a button under the pressing finger.
  for (const gesture of ["click", "keydown"]) {
    window.addEventListener(gesture, () => {
      if (isAlarmPage(route.value.page) && wantsSound.value && audio.value !== "running") void enableSound();
    });
  }
}
