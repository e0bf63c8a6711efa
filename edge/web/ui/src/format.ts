/** Numbers, units, ages and times as people read them. */

import { language, look, words } from "./words";
import type { Point, Value } from "./wire";

/** UCUM units as they are printed; others stand as they are. */
const UNITS: Record<string, string> = {
  Cel: "°C",
  "[ppm]": "ppm",
  "ug/m3": "µg/m³",
  "mg/m3": "mg/m³",
  m3: "m³",
  "m3/h": "m³/h",
  "W/m2": "W/m²",
  "dB(A)": "dB(A)",
  deg: "°",
  "kW.h": "kWh",
  "1": "",
  bool: "",
  text: "",
};

export function unitText(unit: string | null | undefined): string {
  return unit ? (UNITS[unit] ?? unit) : "";
}

/** A number with a fixed count of decimals and grouped thousands, the same in both languages. */
export function numberText(value: number, decimals: number): string {
  if (!Number.isFinite(value)) return words.value.common.none;
  const [whole = "", fraction] = Math.abs(value).toFixed(decimals).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  const sign = value < 0 && /[1-9]/.test(whole + (fraction ?? "")) ? "−" : "";
  return sign + grouped + (fraction ? "." + fraction : "");
}

export function countText(value: number): string {
  return numberText(value, 0);
}

/** "1,234 次": how often. */
export function countsText(times: number): string {
  return words.value.common.counts(countText(times));
}

/** A switch in words that fit its point: a door is open, a button is pressed. */
export function switchText(point: string, on: boolean): string {
  const table = words.value.switches;
  const kind = (Object.keys(table) as (keyof typeof table)[]).find((key) => point === key || point.startsWith(key + "_") || point.endsWith("_" + key));
  return table[kind ?? "generic"][on ? "on" : "off"];
}

/** The value without its unit, by the vocabulary's type and decimals. */
export function valueText(value: Value | null | undefined, point: Point | undefined, name = ""): string {
  if (value === null || value === undefined) return words.value.common.none;
  if (typeof value === "boolean") return switchText(point?.name ?? name, value);
  if (typeof value === "number") return numberText(value, point?.decimals ?? 1);
  return value;
}

export function withUnit(text: string, unit: string | null | undefined): string {
  const printed = unitText(unit);
  return printed ? `${text} ${printed}` : text;
}

/** A point's name in the chosen language; a switch that is named by one of its states has a neutral one. */
export function pointName(point: Pick<Point, "zh" | "en" | "name" | "type">): string {
  const neutral = point.type === "switch" ? look(words.value.switchNames, point.name) : point.name;
  if (neutral !== point.name) return neutral;
  return (language.value === "en" ? point.en : point.zh) || point.name;
}

export function kindName(kind: { kind: string; kind_zh: string; kind_en: string }): string {
  return (language.value === "en" ? kind.kind_en : kind.kind_zh) || kind.kind;
}

export function millisOf(time: string | null | undefined): number | null {
  const at = time ? Date.parse(time) : NaN;
  return Number.isFinite(at) ? at : null;
}

/** How long ago, coarse enough to change seldom: ten-second steps below a minute unless `exact`. */
export function ageText(ms: number, exact = false): string {
  const t = words.value.age;
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) {
    if (exact) return seconds < 1 ? t.now : t.seconds(seconds);
    return seconds < 10 ? t.now : t.seconds(Math.floor(seconds / 10) * 10);
  }
  if (seconds < 3600) return t.minutes(Math.floor(seconds / 60));
  if (seconds < 48 * 3600) return t.hours(Math.floor(seconds / 3600));
  return t.days(Math.floor(seconds / 86400));
}

export function spanText(ms: number): string {
  const t = words.value.span;
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return t.seconds(seconds);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return t.minutes(minutes);
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return t.hours(hours, minutes % 60);
  return t.days(Math.floor(hours / 24), hours % 24);
}

/** "500 ms", "30 s", "5 min": a polling period. */
export function periodText(seconds: number | null): string {
  if (seconds === null) return words.value.common.none;
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : spanText(seconds * 1000);
}

export function latencyText(ms: number | null): string {
  if (ms === null) return words.value.common.none;
  return ms < 10 ? `${ms.toFixed(ms === 0 ? 0 : 1)} ms` : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** How long a device takes to reply; none replies in no time at all. */
export function replyText(ms: number | null): string {
  return ms !== null && ms < 1 ? "< 1 ms" : latencyText(ms);
}

let zone: string | undefined;

/** Times are shown in the school's zone, wherever the browser stands. */
export function setTimeZone(name: string): void {
  try {
    new Intl.DateTimeFormat("en-GB", { timeZone: name });
    zone = name;
  } catch {
    zone = undefined; // an old browser without this zone falls back to its own
  }
}

export function timeZone(): string | undefined {
  return zone;
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** The fields of an instant in the school's zone, zero-padded, independent of the browser's locale. */
function parts(at: number): Record<"year" | "month" | "day" | "hour" | "minute" | "second" | "weekday", string> {
  const key = zone ?? "";
  let format = formats.get(key);
  if (!format) {
    format = new Intl.DateTimeFormat("en-GB", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      weekday: "short",
    });
    formats.set(key, format);
  }
  const found: Record<string, string> = {};
  for (const part of format.formatToParts(at)) found[part.type] = part.value;
  return found as ReturnType<typeof parts>;
}

export function clockText(at: number, seconds = true): string {
  const p = parts(at);
  return `${p.hour}:${p.minute}${seconds ? ":" + p.second : ""}`;
}

const WEEKDAYS: Record<string, string> = { Mon: "一", Tue: "二", Wed: "三", Thu: "四", Fri: "五", Sat: "六", Sun: "日" };

/** "11月24日" or "24 Nov"-like short date, for axes and lists. */
export function dayText(at: number): string {
  const p = parts(at);
  return language.value === "en" ? `${p.month}-${p.day}` : `${Number(p.month)}月${Number(p.day)}日`;
}

export function dateText(at: number): string {
  const p = parts(at);
  if (language.value === "en") return `${p.weekday} ${p.year}-${p.month}-${p.day}`;
  return `${p.year}年${Number(p.month)}月${Number(p.day)}日 星期${WEEKDAYS[p.weekday] ?? ""}`;
}

/** A moment: the time alone when it is today, with the day otherwise. */
export function momentText(at: number | null, today: number): string {
  if (at === null) return words.value.common.none;
  return dayText(at) === dayText(today) ? clockText(at) : `${dayText(at)} ${clockText(at)}`;
}

export function stampText(at: number): string {
  const p = parts(at);
  return `${p.year}-${p.month}-${p.day} ${p.hour}:${p.minute}:${p.second}`;
}

/** Why a reading is not good: `timeout`, `exception:2` and their kin in words; a sentence stays one. */
export function reasonText(reason: string): string {
  if (!/^[a-z_]+(:\w+)?$/.test(reason)) return reason;
  const t = words.value.reasons;
  const [name = "", code] = reason.split(":");
  const found = look(t, name);
  return code ? t.code(found, code) : found;
}
