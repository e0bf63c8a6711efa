/** Every line: is it there, how busy is it, and how does each device on it behave. */

import { useComputed } from "@preact/signals";
import { now } from "../clock";
import { countsText, countText, kindName, latencyText, millisOf, numberText, reasonText, replyText, spanText } from "../format";
import { deviceById, lines, spaceById } from "../model";
import { to } from "../route";
import { words } from "../words";
import type { Line, LineDevice } from "../wire";
import { DeviceBadge } from "../parts/badge";
import { causeText } from "../parts/counters";
import { Heading } from "../parts/heading";
import { CheckIcon, OfflineIcon } from "../parts/icons";
import { Empty } from "../parts/notice";
import { Table } from "../parts/table";

/** What the gateway has made good itself. */
const HARMLESS = new Set(["duplicate", "late"]);

/** Above this share of the time a half-duplex line has little room left for retries. */
const BUSY = 0.8;

function Since({ line }: { line: Line }) {
  const text = useComputed(() => {
    const since = millisOf(line.since);
    return since === null ? "" : words.value.lines.since(spanText(now.value - since));
  });
  return <>{text}</>;
}

/** The counters that have a column; whatever else was counted is summed up under "other". */
const COLUMNS = ["timeout", "crc", "exception"] as const;

function countOf(row: LineDevice, column: (typeof COLUMNS)[number] | "other"): number {
  const columnOf = (reason: string) => {
    const name = reason.split(":")[0] ?? "";
    if (name === "refused") return "exception";
    if (name === "framing") return "crc";
    return (COLUMNS as readonly string[]).includes(name) ? name : "other";
  };
  return Object.entries(row.errors).reduce((sum, [reason, count]) => (columnOf(reason) === column ? sum + count : sum), 0);
}

function Count({ count }: { count: number }) {
  return <span class={count ? "tabular counted" : "tabular muted"}>{countText(count)}</span>;
}

function DeviceName({ id }: { id: string }) {
  const device = deviceById.value.get(id);
  const space = device && spaceById.value.get(device.space);
  return (
    <a href={to("device", id)} class="device-name">
      {id}
      {device ? <small>{[space?.name, kindName(device)].filter(Boolean).join(" · ")}</small> : null}
    </a>
  );
}

const SEVERITY = { silent: 0, degraded: 1, unknown: 2, ok: 3 };

/** What needs a person stands on top; the configuration's order otherwise. */
function worstFirst(rows: LineDevice[]): LineDevice[] {
  return rows.map((row, index) => ({ row, index })).sort((a, b) => SEVERITY[a.row.state] - SEVERITY[b.row.state] || a.index - b.index).map(({ row }) => row);
}

function latencies(row: LineDevice): string {
  if (row.latency_p50_ms === null) return words.value.common.none;
  return `${replyText(row.latency_p50_ms)} / ${replyText(row.latency_p95_ms)}`;
}

function Devices({ line }: { line: Line }) {
  const t = words.value.lines;
  if (!line.devices.length) return <p class="muted">{t.noDevices}</p>;
  return (
    <Table
      caption={`${t.title} ${line.id}`}
      rows={worstFirst(line.devices)}
      keyOf={(row) => row.device}
      columns={[
        { name: t.device, head: true, cell: (row) => <DeviceName id={row.device} /> },
        { name: t.state, cell: (row) => <DeviceBadge state={row.state} /> },
        { name: t.ok, number: true, cell: (row) => <span class="tabular">{countText(row.ok)}</span> },
        { name: t.timeout, number: true, quiet: (row) => !countOf(row, "timeout"), cell: (row) => <Count count={countOf(row, "timeout")} /> },
        { name: t.crc, number: true, quiet: (row) => !countOf(row, "crc"), cell: (row) => <Count count={countOf(row, "crc")} /> },
        { name: t.exception, number: true, quiet: (row) => !countOf(row, "exception"), cell: (row) => <Count count={countOf(row, "exception")} /> },
        { name: t.other, number: true, quiet: (row) => !countOf(row, "other"), cell: (row) => <Count count={countOf(row, "other")} /> },
        { name: t.latency, number: true, quiet: (row) => row.latency_p50_ms === null, cell: (row) => <span class="tabular">{latencies(row)}</span> },
        { name: t.cause, quiet: (row) => !row.cause, cell: (row) => causeText(row.cause)?.name ?? <span class="muted">{words.value.common.none}</span> },
      ]}
    />
  );
}

function Utilisation({ share }: { share: number | null }) {
  const t = words.value.lines;
  if (share === null) return <dd>{words.value.common.none}</dd>;
  const percent = share * 100;
  return (
    <dd>
      {numberText(percent, percent < 10 ? 1 : 0)}
      <small>%</small>
      <meter class={`use ${share > BUSY ? "high" : ""}`} min={0} max={1} value={Math.min(share, 1)} aria-label={t.utilisation} />
    </dd>
  );
}

/** What was wrong on the line itself, the most frequent first. */
function Faults({ faults }: { faults: Record<string, number> }) {
  const rows = Object.entries(faults)
    .filter(([, count]) => count > 0)
    .sort((a, b) => b[1] - a[1]);
  if (!rows.length) return null;
  return (
    <p class="line-faults" data-testid="faults">
      <span class="muted">{words.value.lines.faults}</span>
      {rows.map(([fault, count]) => (
        <span key={fault} class={HARMLESS.has(fault) ? undefined : "counted"}>
          {reasonText(fault)} {countsText(count)}
        </span>
      ))}
    </p>
  );
}

/** How busy a polled line is; devices that speak by themselves wait for nobody. */
function Load({ line }: { line: Line }) {
  const t = words.value.lines;
  return (
    <>
      <div>
        <dt>{t.utilisation}</dt>
        <Utilisation share={line.utilisation} />
      </div>
      <div>
        <dt>{t.queue}</dt>
        <dd>{latencyText(line.queue_age_ms)}</dd>
      </div>
    </>
  );
}

function LineCard({ line }: { line: Line }) {
  const t = words.value.lines;
  return (
    <section class={`card line-card ${line.connected ? "" : "down"}`} data-testid="line">
      <div class="card-top">
        <h2>
          {line.id}
          <small>{line.url}</small>
        </h2>
        <span class={`badge ${line.connected ? "state-ok" : "state-abnormal"}`}>
          {line.connected ? <CheckIcon size={15} /> : <OfflineIcon size={15} />}
          {line.connected ? t.connected : t.disconnected} <Since line={line} />
        </span>
      </div>
      <dl class="figures">
        <div>
          <dt>{t.kind[line.kind] ?? line.kind}</dt>
          <dd>{t.devices(line.devices.length)}</dd>
        </div>
        {line.kind === "mqtt" ? null : <Load line={line} />}
        <div>
          <dt>{t.exchanges[line.kind]}</dt>
          <dd>{countText(line.exchanges)}</dd>
        </div>
        <div>
          <dt>{t.lastError}</dt>
          <dd class="text">{line.last_error ? reasonText(line.last_error) : words.value.common.none}</dd>
        </div>
      </dl>
      <Faults faults={line.faults} />
      {(line.utilisation ?? 0) > BUSY ? <p class="callout-line">{t.busy}</p> : null}
      <Devices line={line} />
    </section>
  );
}

export function LinesPage() {
  const t = words.value.lines;
  return (
    <>
      <Heading title={t.title} lead={t.lead} />
      {lines.value.length ? (
        <div class="cards">
          {lines.value.map((line) => (
            <LineCard key={line.id} line={line} />
          ))}
        </div>
      ) : (
        <Empty title={t.none} />
      )}
    </>
  );
}
