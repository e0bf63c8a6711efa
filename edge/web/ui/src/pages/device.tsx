/** One device: its points now, one point's trend, and how well it communicates. */

import { useComputed } from "@preact/signals";
import { ageText, countText, kindName, periodText, pointName, replyText, spanText, unitText } from "../format";
import { deviceById, goodAge, spaceById } from "../model";
import { refine, route, to } from "../route";
import { alarmsOf, healthOf, keyPoints } from "../states";
import { words } from "../words";
import type { Device, Point } from "../wire";
import { SomeAlarms } from "../parts/alarm_card";
import { DeviceBadge } from "../parts/badge";
import { Cause, ErrorBars } from "../parts/counters";
import { Heading } from "../parts/heading";
import { CheckIcon, ClockIcon, OfflineIcon, WarnIcon } from "../parts/icons";
import { Empty } from "../parts/notice";
import { useShown } from "../parts/reading";
import { Table } from "../parts/table";
import { TrendPanel } from "../parts/trend";

interface CellProps {
  device: Device;
  point: Point;
}

const QUALITY_ICONS = { good: CheckIcon, stale: ClockIcon, bad: WarnIcon, none: OfflineIcon };

function QualityCell({ device, point }: CellProps) {
  const { quality, reason } = useShown(device, point);
  const Mark = QUALITY_ICONS[quality.value];
  const word = quality.value === "none" ? words.value.common.noData : words.value.quality[quality.value];
  return (
    <span class={`quality q-${quality.value}`}>
      <Mark size={15} />
      <span>
        {word}
        {reason.value ? <small>{reason.value}</small> : null}
      </span>
    </span>
  );
}

function ValueCell({ device, point }: CellProps) {
  const { text, quality } = useShown(device, point);
  return (
    <span class={`value q-${quality.value}`}>
      <span class={point.type === "number" ? "number" : "word"}>{text.value}</span>
      <span class="unit">{unitText(point.unit)}</span>
    </span>
  );
}

function AgeCell({ device, point }: CellProps) {
  const { age } = useShown(device, point, true);
  return <span class="tabular">{age}</span>;
}

/** A text has no curve; everything else can be looked at over time. */
function hasTrend(point: Point): boolean {
  return point.type !== "text";
}

function PointName({ point, chosen }: { point: Point; chosen: boolean }) {
  const name = pointName(point);
  const derived = point.equivalent ? <small class="derived">{words.value.overview.equivalent}</small> : null;
  if (!hasTrend(point)) {
    return (
      <span class="point-name">
        {name}
        {derived}
      </span>
    );
  }
  return (
    <button type="button" class="point-name" aria-pressed={chosen} title={words.value.device.choose(name)} onClick={() => refine({ point: point.name })}>
      {name}
      {derived}
    </button>
  );
}

function Points({ device, chosen }: { device: Device; chosen: Point | undefined }) {
  const t = words.value.device;
  return (
    <section class="card" aria-label={t.points}>
      <div class="card-top">
        <h2>{t.points}</h2>
      </div>
      <Table
        caption={t.points}
        rows={device.points}
        keyOf={(point) => point.name}
        chosen={(point) => point === chosen}
        columns={[
          { name: t.point, head: true, cell: (point) => <PointName point={point} chosen={point === chosen} /> },
          { name: t.value, number: true, cell: (point) => <ValueCell device={device} point={point} /> },
          { name: t.quality, cell: (point) => <QualityCell device={device} point={point} /> },
          { name: t.age, cell: (point) => <AgeCell device={device} point={point} /> },
        ]}
      />
    </section>
  );
}

function LastGood({ device }: { device: Device }) {
  const text = useComputed(() => {
    const age = goodAge(device);
    return age === null ? words.value.age.never : ageText(age, true);
  });
  return <>{text}</>;
}

/** How far a device's own clock is from the gateway's. */
function clockOffText(ms: number): string {
  const t = words.value.device;
  if (Math.abs(ms) < 500) return t.clockRight;
  return ms > 0 ? t.clockAhead(spanText(ms + 500)) : t.clockBehind(spanText(500 - ms));
}

function HealthCard({ device }: { device: Device }) {
  const t = words.value.device;
  const health = healthOf(device);
  return (
    <section class="card" aria-label={t.health}>
      <div class="card-top">
        <h2>{t.health}</h2>
        <DeviceBadge state={health.state} />
      </div>
      <Cause code={health.cause} />
      <dl class="figures">
        <div>
          <dt>{t.lastGood}</dt>
          <dd>
            <LastGood device={device} />
          </dd>
        </div>
        <div>
          <dt>{t.ok}</dt>
          <dd>{countText(health.ok)}</dd>
        </div>
        <div>
          <dt>
            {t.latency} · {t.p50}
          </dt>
          <dd>{replyText(health.latency_p50_ms)}</dd>
        </div>
        <div>
          <dt>
            {t.latency} · {t.p95}
          </dt>
          <dd>{replyText(health.latency_p95_ms)}</dd>
        </div>
        {health.clock_offset_ms !== null && (
          <div>
            <dt>{t.ownClock}</dt>
            <dd>{clockOffText(health.clock_offset_ms)}</dd>
          </div>
        )}
      </dl>
      <h3>{t.errors}</h3>
      <ErrorBars errors={health.errors} />
      <dl class="facts">
        <div>
          <dt>{t.line}</dt>
          <dd>
            <a href={to("lines")}>{device.line}</a>
          </dd>
        </div>
        <div>
          <dt>{t.protocol}</dt>
          <dd>{device.protocol}</dd>
        </div>
        <div>
          <dt>{t.profile}</dt>
          <dd>{device.profile}</dd>
        </div>
        <div>
          <dt>{t.every}</dt>
          <dd>{periodText(device.every_s)}</dd>
        </div>
      </dl>
    </section>
  );
}

export function DevicePage({ id }: { id: string }) {
  const t = words.value.device;
  const device = deviceById.value.get(id);
  if (!device) {
    return (
      <>
        <Heading title={id} back={{ href: to(""), text: words.value.overview.title }} />
        <Empty title={t.missing} />
      </>
    );
  }
  const space = spaceById.value.get(device.space);
  const wanted = route.value.query.get("point");
  const drawable = device.points.filter(hasTrend);
  const chosen = drawable.find(({ name }) => name === wanted) ?? keyPoints([{ ...device, points: drawable }], 1)[0]?.point;
  const alarms = space ? alarmsOf({ space, meters: true, devices: [device] }) : [];
  return (
    <>
      <Heading
        title={`${kindName(device)} ${device.id}`}
        lead={[space?.name, `${device.maker} ${device.model}`.trim()].filter(Boolean).join(" · ")}
        back={space ? { href: to("space", space.id), text: space.name } : { href: to(""), text: words.value.overview.title }}
      />
      {alarms.length ? <SomeAlarms alarms={alarms} /> : null}
      <div class="device-layout">
        <div class="device-main">
          {chosen ? <TrendPanel device={device} point={chosen} /> : null}
          <Points device={device} chosen={chosen} />
        </div>
        <HealthCard device={device} />
      </div>
    </>
  );
}
