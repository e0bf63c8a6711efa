/**
 * This page as a desk: tells the gateway every ten seconds whether it can be heard, and learns
 * whether a siren sounds. Driven by the stream's beats: browsers slow the timers of hidden tabs.
 */

import { computed, effect, signal } from "@preact/signals";
import { mayAcknowledge, send, session } from "./api";
import { isAlarmPage, route } from "./route";
import { audio, wantsSound } from "./sound";
import { unackedAlarms } from "./states";
import { beats } from "./stream";
import type { DeskState, Silenced } from "./wire";

/** A little less than ten seconds, so that every second beat tells. */
const EVERY_MS = 9_000;
/** The relay needs a moment behind the alarm. */
const SIREN_MS = 1_500;

/** Whether an alarm would be heard here now. */
export const audible = computed(() => wantsSound.value && audio.value === "running");

/** Whether a siren of the school sounds, as last told. */
export const sirenSounds = signal(false);

const onDesk = computed(() => session.value !== null && mayAcknowledge() && isAlarmPage(route.value.page));
const waiting = computed(() => unackedAlarms.value.length);
let toldAt = -EVERY_MS;

async function tell(): Promise<void> {
  toldAt = performance.now();
  try {
    const page = route.peek().page === "wall" ? "wall" : "alarms";
    const state = await send<DeskState>("desk", { audio_ok: audible.peek(), page });
    sirenSounds.value = state.sounding;
  } catch {
    // The link strip shows that the gateway is not reached, and the gateway misses us by itself.
  }
}

/** Mutes the sirens until another alarm comes; the alarms stay. */
export async function silenceSirens(): Promise<void> {
  await send<Silenced>("siren/silence", { note: "" });
  sirenSounds.value = false;
}

/** Starts telling; called once. */
export function startDesk(): void {
  effect(() => {
    void beats.value;
    if (onDesk.value && performance.now() - toldAt >= EVERY_MS) void tell();
  });
  // A click that lets sound through is told at once.
  effect(() => {
    void audible.value;
    if (onDesk.value) void tell();
  });
  effect(() => {
    void waiting.value;
    if (!onDesk.value) return undefined;
    const timer = window.setTimeout(() => void tell(), SIREN_MS);
    return () => window.clearTimeout(timer);
  });
}
