/** A point's trend: range, curve or table, the newest reading appended as it comes. */

import { useEffect, useRef, useState } from "preact/hooks";
import { Problem } from "../api";
import { now } from "../clock";
import { numberText, pointName, stampText, switchText, unitText, withUnit } from "../format";
import { onReading } from "../model";
import { extended, loadTrend, RANGES, statistics, type RangeName, type Trend } from "../trend";
import { language, words } from "../words";
import type { Device, Point } from "../wire";
import type { ChartHandle } from "./chart";
import { Choice } from "./choice";
import { Empty, Failed, Loading } from "./notice";

const RANGE_NAMES: RangeName[] = ["m15", "h1", "h24", "d7"];
const TABLE_ROWS = 200;

interface Props {
  device: Device;
  point: Point;
}

/** The trend, kept up to date: appended live when raw, read again each step when aggregated. */
function useTrend({ device, point }: Props, range: RangeName) {
  const [trend, setTrend] = useState<Trend | null>(null);
  const [failure, fail] = useState("");
  const [attempt, retry] = useState(0);
  useEffect(() => {
    let current = true;
    const load = async () => {
      try {
        const loaded = await loadTrend(device, point, range, now.peek());
        if (current) {
          setTrend(loaded);
          fail("");
        }
      } catch (error) {
        if (current) fail(error instanceof Problem ? error.text : String(error));
      }
    };
    setTrend(null);
    void load();
    const { stepMs } = RANGES[range];
    const timer = stepMs ? window.setInterval(() => void load(), stepMs) : undefined;
    const stop = stepMs
      ? () => undefined
      : onReading((reading) => {
          if (reading.device !== device.id || reading.point !== point.name) return;
          setTrend((held) => held && extended(held, device, Date.parse(reading.at), reading.quality === "good" ? reading.value : null));
        });
    return () => {
      current = false;
      window.clearInterval(timer);
      stop();
    };
  }, [device.id, point.name, range, attempt]);
  return { trend, failure, again: () => retry(attempt + 1) };
}

function Curve({ device, point, trend, broken }: Props & { trend: Trend; broken: () => void }) {
  const box = useRef<HTMLDivElement>(null);
  const handle = useRef<ChartHandle | null>(null);
  const latest = useRef(trend);
  latest.current = trend;
  useEffect(() => {
    let current = true;
    void import("./chart")
      .then(({ makeChart }) => {
        if (!current || !box.current) return;
        const t = words.peek().device;
        handle.current = makeChart(box.current, latest.current, {
          texts: { time: t.time, value: pointName(point), low: t.low, high: t.high },
          decimals: point.decimals,
          unit: unitText(point.unit),
          stepped: point.type === "switch",
          words: { on: switchText(point.name, true), off: switchText(point.name, false) },
        });
      })
      .catch(broken);
    return () => {
      current = false;
      handle.current?.destroy();
      handle.current = null;
    };
  }, [device.id, point.name, language.value, trend.stepped]);
  useEffect(() => handle.current?.show(trend), [trend]);
  return <div class={`chart ${trend.low.some((value) => value !== null) ? "" : "no-band"}`} ref={box} role="img" aria-label={pointName(point)} />;
}

function Rows({ point, trend }: { point: Point; trend: Trend }) {
  const t = words.value.device;
  const known = trend.at.map((at, index) => ({ at, value: trend.value[index] ?? null })).filter(({ value }) => value !== null);
  const rows = known.slice(-TABLE_ROWS).reverse();
  return (
    <div class="trend-table">
      <p class="muted">{t.rows(rows.length, known.length)}</p>
      <table>
        <thead>
          <tr>
            <th scope="col">{t.time}</th>
            <th scope="col" class="number">
              {withUnit(pointName(point), point.unit)}
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ at, value }) => (
            <tr key={at}>
              <td class="tabular">{stampText(at)}</td>
              <td class="number">{point.type === "switch" ? switchText(point.name, value === 1) : numberText(value ?? NaN, point.decimals)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function TrendPanel({ device, point }: Props) {
  const t = words.value.device;
  const [range, setRange] = useState<RangeName>("h1");
  const [view, setView] = useState("chart");
  const [broken, setBroken] = useState(false);
  const { trend, failure, again } = useTrend({ device, point }, range);
  const figures = trend && point.type === "number" ? statistics(trend) : null;
  const say = (value: number) => withUnit(numberText(value, point.decimals), point.unit);
  const asTable = broken || view === "table" || point.type === "text";
  return (
    <section class="card trend" aria-label={t.trend}>
      <div class="card-top">
        <h2>
          {t.trend}
          <small>{pointName(point)}</small>
        </h2>
        <div class="trend-tools">
          <Choice label={t.range.label} chosen={range} choose={(value) => setRange(value as RangeName)} options={RANGE_NAMES.map((name) => ({ value: name, text: t.range[name] }))} />
          {broken ? null : (
            <Choice label={t.view} chosen={view} choose={setView} options={[{ value: "chart", text: t.chart }, { value: "table", text: t.table }]} />
          )}
        </div>
      </div>
      {broken ? <p class="muted">{t.chartFailed}</p> : null}
      <div class="trend-body" data-testid="trend">
        {failure ? (
          <Failed text={failure} retry={again} />
        ) : !trend ? (
          <Loading />
        ) : trend.value.every((value) => value === null) ? (
          <Empty title={t.noHistory} />
        ) : asTable ? (
          <Rows point={point} trend={trend} />
        ) : (
          <Curve device={device} point={point} trend={trend} broken={() => setBroken(true)} />
        )}
      </div>
      {figures && !asTable ? (
        <p class="trend-foot muted">
          <span class="tabular">{t.stats(say(figures.low), say(figures.mean), say(figures.high))}</span>
          <span class="screen-wide">{t.zoomHint}</span>
        </p>
      ) : null}
    </section>
  );
}
