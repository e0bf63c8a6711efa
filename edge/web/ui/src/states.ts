/** What the pages show of the model: tiles with three states, alarms in order, key values first. */

import { computed } from "@preact/signals";
import { alarms, deviceById, devices, goodAge, healths, isOpen, spaceById, spaces, staleAfter } from "./model";
import { millisOf } from "./format";
import type { Alarm, Device, Health, Point, Space } from "./wire";

export type State = "ok" | "abnormal" | "offline";

const METERS = new Set(["electricity_meter", "water_meter", "gas_meter", "heat_meter"]);

/** The points people look for first; the others follow in the profile's order. */
const FIRST = [
  "temperature",
  "co2",
  "humidity",
  "pm25",
  "gas_lel",
  "active_power",
  "flow",
  "energy_import",
  "volume",
  "wind_speed",
  "rainfall",
  "people",
  "passes_in",
  "passes_out",
  "pressed",
  "open",
  "on",
];

/** One tile of the overview: a space's rooms-and-plant side, or its meters. */
export interface Tile {
  key: string;
  space: Space;
  meters: boolean;
  devices: Device[];
}

export interface Section {
  key: string;
  /** The building; null for what stands outside of buildings and for the meters' section. */
  building: Space | null;
  kind: "building" | "outside" | "energy";
  tiles: Tile[];
}

export function isMeter(device: Device): boolean {
  return METERS.has(device.kind);
}

export function buildingOf(space: Space | undefined): Space | null {
  for (let here = space, depth = 0; here && depth < 12; depth += 1) {
    if (here.kind === "building") return here;
    here = here.in ? spaceById.value.get(here.in) : undefined;
  }
  return null;
}

/** Buildings in the configuration's order, then outdoors, then the meters as spaces of their own. */
export const sections = computed<Section[]>(() => {
  const result = new Map<string, Section>();
  const energy: Section = { key: "energy", building: null, kind: "energy", tiles: [] };
  for (const space of spaces.value) {
    const here = devices.value.filter((device) => device.space === space.id);
    const meters = here.filter(isMeter);
    const others = here.filter((device) => !isMeter(device));
    const building = buildingOf(space);
    const key = building?.id ?? "";
    if (!result.has(key)) result.set(key, { key, building, kind: building ? "building" : "outside", tiles: [] });
    if (others.length) result.get(key)?.tiles.push({ key: space.id, space, meters: false, devices: others });
    if (meters.length) energy.tiles.push({ key: `${space.id}/meters`, space, meters: true, devices: meters });
  }
  const all = [...result.values()];
  const ordered = [...all.filter((s) => s.kind === "building"), ...all.filter((s) => s.kind === "outside"), energy];
  return ordered.filter((section) => section.tiles.length > 0);
});

export function healthOf(device: Device): Health {
  return healths.value.get(device.id) ?? device.health;
}

export const openAlarms = computed(() => urgentFirst(sorted([...alarms.value.values()].filter(isOpen))));
export const unackedAlarms = computed(() => openAlarms.value.filter((alarm) => !alarm.acked));

/** Unacknowledged first, newest on top in each group. */
export function sorted(items: Alarm[]): Alarm[] {
  return items
    .slice()
    .sort((a, b) => Number(a.acked) - Number(b.acked) || (millisOf(b.raised_at) ?? 0) - (millisOf(a.raised_at) ?? 0));
}

/** No newer notice stands before an emergency that nobody has acknowledged. */
function urgentFirst(items: Alarm[]): Alarm[] {
  const isUrgent = (alarm: Alarm) => !alarm.acked && priorityOf(alarm) === 1;
  return [...items.filter(isUrgent), ...items.filter((alarm) => !isUrgent(alarm))];
}

/** The open alarms that concern a tile: by the device that raised them, else by the space itself. */
export function alarmsOf(tile: { space: Space; meters?: boolean; devices: Device[] }): Alarm[] {
  const ids = new Set(tile.devices.map((device) => device.id));
  return openAlarms.value.filter((alarm) => {
    const device = deviceById.value.get(alarm.scope) ? alarm.scope : (alarm.device ?? "");
    if (deviceById.value.has(device)) return ids.has(device);
    return alarm.scope === tile.space.id && !tile.meters;
  });
}

/** A device that gives no present value, whatever its line says of it. */
function isMute(device: Device): boolean {
  const { state } = healthOf(device);
  const age = goodAge(device);
  return state === "silent" || age === null || age > staleAfter(device);
}

/** The condition still holds, or nobody has yet seen on site that it is over. */
export function isPresent(alarm: Alarm): boolean {
  return alarm.state !== "returned_unacknowledged";
}

/** Offline when no device speaks; abnormal on any present alarm or any device that fails. */
function judged(tile: Tile): State {
  if (tile.devices.every(isMute)) return "offline";
  const failing = tile.devices.some((device) => isMute(device) || healthOf(device).state === "degraded");
  return failing || alarmsOf(tile).some(isPresent) ? "abnormal" : "ok";
}

/** Judged again every second, but a text: who reads it hears only of changes. */
const stateWords = computed(() => sections.value.flatMap((section) => section.tiles.map((tile) => `${tile.key}=${judged(tile)}`)).join(" "));

/** Tile key -> state. */
export const tileStates = computed(
  () => new Map(stateWords.value.split(" ").map((word) => word.split("=") as [string, State])),
);

export function stateOf(tile: Tile): State {
  return tileStates.value.get(tile.key) ?? "offline";
}

function rank(point: Point): number {
  const at = FIRST.indexOf(point.name);
  return at < 0 ? FIRST.length : at;
}

/** Up to `count` points of a tile, the most asked-for first, each name once. */
export function keyPoints(of: Device[], count: number): { device: Device; point: Point }[] {
  const all = of.flatMap((device) => device.points.map((point) => ({ device, point })));
  const ranked = all.map((item, index) => ({ item, index })).sort((a, b) => rank(a.item.point) - rank(b.item.point) || a.index - b.index);
  const names = new Set<string>();
  const result: { device: Device; point: Point }[] = [];
  for (const { item } of ranked) {
    if (names.has(item.point.name)) continue;
    names.add(item.point.name);
    result.push(item);
    if (result.length === count) break;
  }
  return result;
}

/** The age of the newest good value among a tile's devices; null when there never was one. */
export function newestAge(of: Device[]): number | null {
  const ages = of.map(goodAge).filter((age): age is number => age !== null);
  return ages.length ? Math.min(...ages) : null;
}

/** 1 (emergency) to 4 (notice), whatever form the server gave. */
export function priorityOf(alarm: Alarm): 1 | 2 | 3 | 4 {
  const found = Number(String(alarm.priority).replace(/\D/g, ""));
  return found === 1 || found === 2 || found === 3 ? found : 4;
}
