/**
 * The trend as a picture: uPlot with 24-hour times in the school's zone and colours of the theme.
 * Loaded only when a trend is looked at; uPlot itself throws at load under an invalid browser
 * language, so whoever imports this must be ready for a failure.
 */

import uPlot from "uplot";
import { clockText, dayText, numberText, stampText, timeZone } from "../format";
import type { Trend } from "../trend";

export interface ChartHandle {
  show: (trend: Trend) => void;
  destroy: () => void;
}

export interface ChartTexts {
  time: string;
  value: string;
  low: string;
  high: string;
}

interface Options {
  texts: ChartTexts;
  decimals: number;
  unit: string;
  /** A switch: stepped, between off and on. */
  stepped: boolean;
  words: { on: string; off: string };
}

/** Day boundaries show the day, all other ticks the time; seconds only when zoomed far in. */
function ticks(_plot: uPlot, splits: number[], _axis: number, _space: number, step: number): string[] {
  return splits.map((second) => {
    const at = second * 1000;
    const time = clockText(at, step < 60);
    return step >= 86400 || time === "00:00" ? dayText(at) : time;
  });
}

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function series(options: Options): uPlot.Series[] {
  const line = colour("--accent");
  const shown = (value: number | null) => {
    if (value === null || value === undefined) return "–";
    if (options.stepped) return value >= 0.5 ? options.words.on : options.words.off;
    return `${numberText(value, options.decimals)} ${options.unit}`.trim();
  };
  const value = (_plot: uPlot, raw: number | null) => shown(raw);
  const edge: uPlot.Series = { stroke: "transparent", width: 0, points: { show: false }, value };
  return [
    { label: options.texts.time, value: (_plot, raw) => (raw === null || raw === undefined ? "–" : stampText(raw * 1000)) },
    {
      label: options.texts.value,
      stroke: line,
      width: 2,
      spanGaps: false,
      points: { size: 4, fill: line },
      paths: options.stepped ? uPlot.paths.stepped?.({ align: 1 }) : undefined,
      value,
    },
    { ...edge, label: options.texts.high },
    { ...edge, label: options.texts.low },
  ];
}

function axes(options: Options): uPlot.Axis[] {
  const common: uPlot.Axis = {
    stroke: colour("--ink-2"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { stroke: colour("--line"), width: 1 },
    font: "12px system-ui, sans-serif",
  };
  const label = (value: number) => (options.stepped ? (value === 1 ? options.words.on : value === 0 ? options.words.off : "") : trimmed(value));
  return [
    { ...common, values: ticks, space: 64 },
    { ...common, size: 58, values: (_plot, splits) => splits.map(label) },
  ];
}

/** An axis number without trailing noise: 0.30000000000000004 is 0.3. */
function trimmed(value: number): string {
  const short = Number(value.toFixed(4));
  const decimals = (String(short).split(".")[1] ?? "").length;
  return numberText(short, decimals);
}

type Columns = [number[], (number | null)[], (number | null)[], (number | null)[]];

function columns(trend: Trend): Columns {
  return [trend.at.map((at) => at / 1000), trend.value, trend.high, trend.low];
}

export function makeChart(box: HTMLElement, first: Trend, options: Options): ChartHandle {
  let trend = first;
  let plot: uPlot | null = null;
  const size = () => ({ width: Math.max(box.clientWidth, 200), height: box.clientWidth < 520 ? 220 : 300 });
  const build = () => {
    plot?.destroy();
    plot = new uPlot(
      {
        ...size(),
        series: series(options),
        axes: axes(options),
        bands: [{ series: [2, 3], fill: colour("--accent-veil") }],
        scales: {
          x: { time: true, range: (_plot, low, high) => [low ?? trend.since / 1000, high ?? trend.until / 1000], auto: false },
          y: options.stepped ? { range: [-0.1, 1.1] } : { range: padded },
        },
        tzDate: (second) => uPlot.tzDate(new Date(second * 1000), timeZone() ?? "UTC"),
        cursor: { y: false, points: { size: 8 } },
        legend: { live: true },
        padding: [12, 26, 0, 0],
      },
      columns(trend),
      box,
    );
    plot.setScale("x", extent(trend));
  };
  const scheme = window.matchMedia("(prefers-color-scheme: dark)");
  const onSize = () => plot?.setSize(size());
  build();
  scheme.addEventListener?.("change", build);
  window.addEventListener("resize", onSize);
  return {
    show: (next) => {
      if (!plot) return;
      const { min, max } = plot.scales["x"] ?? {};
      // Whoever zoomed in stays there; the window moves along only for those who look at all of it.
      const whole = min === trend.since / 1000 && max === trend.until / 1000;
      trend = next;
      plot.setData(columns(next), false);
      plot.setScale("x", whole ? extent(next) : { min: min ?? 0, max: max ?? 0 });
    },
    destroy: () => {
      scheme.removeEventListener?.("change", build);
      window.removeEventListener("resize", onSize);
      plot?.destroy();
    },
  };
}

function extent(trend: Trend): { min: number; max: number } {
  return { min: trend.since / 1000, max: trend.until / 1000 };
}

/** Some air above and below; a flat line stands in the middle instead of on the frame. */
function padded(_plot: uPlot, low: number | null, high: number | null): [number, number] {
  if (low === null || high === null) return [0, 1];
  const air = (high - low) * 0.12 || Math.max(Math.abs(high) * 0.05, 0.5);
  const floor = low >= 0 && low - air < 0 ? 0 : low - air;
  return [floor, high + air];
}
