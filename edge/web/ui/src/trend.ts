/** A point's past for the trend: asked from /history in a resolution that fits the range. */

import { list } from "./api";
import { millisOf } from "./format";
import type { Device, Point, Sample, Value } from "./wire";

export type RangeName = "m15" | "h1" | "h24" | "d7";

interface Range {
  ms: number;
  /** A duration in the API's words; null asks for every stored reading. */
  step: string | null;
  stepMs: number;
}

export const RANGES: Record<RangeName, Range> = {
  m15: { ms: 15 * 60_000, step: null, stepMs: 0 },
  h1: { ms: 3_600_000, step: null, stepMs: 0 },
  h24: { ms: 86_400_000, step: "5m", stepMs: 300_000 },
  d7: { ms: 7 * 86_400_000, step: "30m", stepMs: 1_800_000 },
};

/** Columns of equal length; null marks a gap. `low` and `high` are null where no band is known. */
export interface Trend {
  since: number;
  until: number;
  at: number[];
  value: (number | null)[];
  low: (number | null)[];
  high: (number | null)[];
  /** True when each value stands for a whole step. */
  stepped: boolean;
}

function numeric(value: Value | null): number | null {
  if (typeof value === "number") return value;
  return typeof value === "boolean" ? Number(value) : null;
}

/** Counters only ever grow: their mean over a step says nothing, the last reading does. */
function isCounter(point: Point): boolean {
  return /^(energy|volume|passes|reactive_energy)/.test(point.name) || point.unit === "kWh";
}

/** The aggregations that make a trend of a point: what is drawn, and the band around it. */
function aggregations(point: Point): { value: string; band: boolean } {
  if (point.type === "switch") return { value: "last", band: false };
  return isCounter(point) ? { value: "last", band: false } : { value: "mean", band: true };
}

async function samples(device: Device, point: Point, since: number, until: number, step: string | null, agg: string): Promise<Sample[]> {
  const query = new URLSearchParams({
    device: device.id,
    point: point.name,
    since: new Date(since).toISOString(),
    until: new Date(until).toISOString(),
  });
  if (step) {
    query.set("step", step);
    query.set("agg", agg);
  }
  return list<Sample>(`history?${query.toString()}`);
}

export async function loadTrend(device: Device, point: Point, name: RangeName, until: number): Promise<Trend> {
  const { ms, step, stepMs } = RANGES[name];
  const since = until - ms;
  const wanted = aggregations(point);
  const ask = (agg: string) => samples(device, point, since, until, step, agg);
  const band = step !== null && wanted.band;
  const [main, lows, highs] = await Promise.all([ask(wanted.value), band ? ask("min") : [], band ? ask("max") : []]);
  const low = byTime(lows);
  const high = byTime(highs);
  const trend: Trend = { since, until, at: [], value: [], low: [], high: [], stepped: step !== null };
  for (const sample of main) {
    const at = millisOf(sample.at);
    if (at === null) continue;
    const value = sample.quality === "bad" ? null : numeric(sample.value);
    push(trend, at, value, gapMs(device, stepMs), low.get(at) ?? null, high.get(at) ?? null);
  }
  return trend;
}

function byTime(items: Sample[]): Map<number, number | null> {
  return new Map(items.map((sample) => [millisOf(sample.at) ?? 0, numeric(sample.value)]));
}

/** A longer silence than this breaks the line: what was not read is not drawn. */
function gapMs(device: Device, stepMs: number): number {
  return Math.max(2.5 * stepMs, 3 * (device.every_s ?? 60) * 1000, 10_000);
}

function push(trend: Trend, at: number, value: number | null, gap: number, low: number | null, high: number | null): void {
  const last = trend.at[trend.at.length - 1];
  if (last !== undefined && at <= last) return;
  if (last !== undefined && at - last > gap) {
    trend.at.push(last + 1);
    trend.value.push(null);
    trend.low.push(null);
    trend.high.push(null);
  }
  trend.at.push(at);
  trend.value.push(value);
  trend.low.push(low);
  trend.high.push(high);
}

/** The trend with one live reading more, its window moved along; only for unstepped ranges. */
export function extended(trend: Trend, device: Device, at: number, value: Value | null): Trend {
  const until = Math.max(trend.until, at);
  const since = until - (trend.until - trend.since);
  const next: Trend = { ...trend, since, until, at: [...trend.at], value: [...trend.value], low: [...trend.low], high: [...trend.high] };
  push(next, at, numeric(value), gapMs(device, 0), null, null);
  return next;
}

/** Lowest, mean and highest of what is shown; null when there is no number. */
export function statistics(trend: Trend): { low: number; mean: number; high: number } | null {
  const values = trend.value.filter((value): value is number => value !== null);
  if (!values.length) return null;
  const of = (column: (number | null)[], pick: (...items: number[]) => number, fallback: number[]) =>
    [...column.filter((value): value is number => value !== null), ...fallback].reduce((a, b) => pick(a, b));
  return {
    low: of(trend.low, Math.min, values),
    mean: values.reduce((a, b) => a + b, 0) / values.length,
    high: of(trend.high, Math.max, values),
  };
}
