/** The school as this page holds it: site, spaces, devices and the latest of everything live. */

import { type Signal, batch, computed, signal } from "@preact/signals";
import { list, get } from "./api";
import { learnTime, now } from "./clock";
import { millisOf, setTimeZone } from "./format";
import type { Alarm, Destination, Device, Health, Line, Point, Reading, Site, Space } from "./wire";

export const site = signal<Site | null>(null);
export const spaces = signal<Space[]>([]);
export const devices = signal<Device[]>([]);
export const alarms = signal<ReadonlyMap<string, Alarm>>(new Map());
export const lines = signal<Line[]>([]);
export const destinations = signal<Destination[]>([]);

/** Whether the present state was ever read: until then nothing may be called quiet or well. */
export const stateKnown = signal(false);

/** The last word on each device's communication, from the model and then from its line. */
export const healths = signal<ReadonlyMap<string, Health>>(new Map());

/** One signal for each point, so that a new value repaints its own cell only. */
const readings = new Map<string, Signal<Reading | null>>();

export const spaceById = computed(() => new Map(spaces.value.map((space) => [space.id, space])));
export const deviceById = computed(() => new Map(devices.value.map((device) => [device.id, device])));

/** Keys told by the stream while a snapshot was under way: newer than the snapshot. */
let touched: Set<string> | null = null;

export function readingOf(device: string, point: string): Signal<Reading | null> {
  const key = `${device}/${point}`;
  let found = readings.get(key);
  if (!found) {
    found = signal<Reading | null>(null);
    readings.set(key, found);
  }
  return found;
}

/** Device -> when its newest good value was measured; read with `goodAge`, which ticks with the clock. */
const goodAt = new Map<string, number>();

function noteGood(reading: Reading): void {
  if (reading.quality === "bad") return;
  const at = millisOf(reading.at) ?? 0;
  if (at > (goodAt.get(reading.device) ?? 0)) goodAt.set(reading.device, at);
}

/** Ms since a device last gave any good value; null when it never did. Looked at again every second. */
export function goodAge(device: Device): number | null {
  const told = millisOf(healths.value.get(device.id)?.last_good ?? device.health.last_good);
  const at = Math.max(goodAt.get(device.id) ?? 0, told ?? 0);
  return at === 0 ? null : Math.max(0, now.value - at);
}

const listeners = new Set<(reading: Reading) => void>();

/** Calls back with every new reading (for the trend's right edge); returns the way to stop. */
export function onReading(listener: (reading: Reading) => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function takeReadings(items: Reading[]): void {
  batch(() => {
    for (const reading of items) {
      touched?.add(`r/${reading.device}/${reading.point}`);
      readingOf(reading.device, reading.point).value = reading;
      noteGood(reading);
      for (const listener of listeners) listener(reading);
    }
  });
}

export function takeAlarm(alarm: Alarm): void {
  if (!alarm.id) return;
  touched?.add(`a/${alarm.id}`);
  const next = new Map(alarms.value).set(alarm.id, alarm);
  if (next.size > KEPT_ALARMS) {
    for (const [id, other] of next) {
      if (!isOpen(other)) next.delete(id);
      if (next.size <= KEPT_ALARMS) break;
    }
  }
  alarms.value = next;
}

/** A closed alarm stays on a page that never reloads (the wall) only while there is room. */
const KEPT_ALARMS = 500;

/** Open means: not both back to normal and acknowledged, and in no list of its own. */
export function isOpen(alarm: Alarm): boolean {
  return !["normal", "shelved", "suppressed", "out_of_service"].includes(alarm.state);
}

export function takeLine(line: Line): void {
  touched?.add(`l/${line.id}`);
  batch(() => {
    lines.value = replaced(lines.value, line);
    takeHealths([line]);
  });
}

export function takeDestination(destination: Destination): void {
  touched?.add(`s/${destination.id}`);
  destinations.value = replaced(destinations.value, destination);
}

function replaced<T extends { id: string }>(items: T[], item: T): T[] {
  const at = items.findIndex((other) => other.id === item.id);
  return at < 0 ? [...items, item] : items.map((other, index) => (index === at ? item : other));
}

function takeHealths(from: Line[]): void {
  const next = new Map(healths.value);
  for (const line of from) {
    for (const { device, ...health } of line.devices) {
      next.set(device, health);
    }
  }
  healths.value = next;
}

/** Reads what does not change while the gateway runs one configuration. */
export async function loadModel(): Promise<void> {
  const [theSite, theSpaces, theDevices] = await Promise.all([
    get<Site>("site"),
    list<Space>("spaces"),
    list<Device>("devices"),
  ]);
  setTimeZone(theSite.timezone);
  learnTime(theSite.now);
  batch(() => {
    site.value = theSite;
    spaces.value = theSpaces;
    devices.value = theDevices;
    healths.value = new Map(theDevices.map((device) => [device.id, device.health]));
  });
}

/** Reads the present state of everything live; what the stream tells meanwhile wins. */
export async function loadState(): Promise<void> {
  const mark = new Set<string>();
  touched = mark;
  try {
    const [theReadings, theAlarms, theLines, theDestinations] = await Promise.all([
      list<Reading>("readings"),
      list<Alarm>("alarms?state=open"),
      list<Line>("lines"),
      list<Destination>("sync"),
    ]);
    batch(() => {
      for (const reading of theReadings) {
        if (!mark.has(`r/${reading.device}/${reading.point}`)) readingOf(reading.device, reading.point).value = reading;
        noteGood(reading);
      }
      const kept = [...alarms.value].filter(([id]) => mark.has(`a/${id}`));
      alarms.value = new Map([...theAlarms.map((alarm): [string, Alarm] => [alarm.id, alarm]), ...kept]);
      lines.value = merged(theLines, lines.value, mark, "l");
      destinations.value = merged(theDestinations, destinations.value, mark, "s");
      takeHealths(lines.value);
      stateKnown.value = true;
    });
  } finally {
    if (touched === mark) touched = null;
  }
}

function merged<T extends { id: string }>(loaded: T[], known: T[], mark: Set<string>, prefix: string): T[] {
  return loaded.map((item) => (mark.has(`${prefix}/${item.id}`) ? (known.find(({ id }) => id === item.id) ?? item) : item));
}

/** After this many ms a good reading no longer shows the present: three periods, a minute at least. */
export function staleAfter(device: Device): number {
  return Math.max(3 * (device.every_s ?? 0) * 1000, 60_000);
}

export interface Shown {
  reading: Reading | null;
  /** `none`: never read. `bad`: the last read failed. `stale`: too old to count as the present. */
  quality: "good" | "stale" | "bad" | "none";
  ageMs: number | null;
}

/** A point's reading judged at this second: what was good a while ago is not shown as live. */
export function shown(device: Device, point: Point): Shown {
  const reading = readingOf(device.id, point.name).value;
  if (!reading) return { reading, quality: "none", ageMs: null };
  const at = millisOf(reading.at);
  const ageMs = at === null ? null : now.value - at;
  const old = ageMs !== null && ageMs > staleAfter(device);
  return { reading, quality: reading.quality === "good" && old ? "stale" : reading.quality, ageMs };
}
