/** Every destination: what waits, what went, what was refused, and why it stands still if it does. */

import { useComputed } from "@preact/signals";
import { now } from "../clock";
import { ageText, countText, millisOf, numberText, stampText } from "../format";
import { destinations } from "../model";
import { words } from "../words";
import type { Destination, Time } from "../wire";
import { Comparison, differs } from "../parts/comparison";
import { Heading } from "../parts/heading";
import { CheckIcon, ClockIcon, WarnIcon } from "../parts/icons";
import { Empty } from "../parts/notice";
import { Table } from "../parts/table";

/** Older than this, what waits is a backlog and no longer the next batch. */
const BEHIND_MS = 60_000;

function Age({ time, none }: { time: Time | null; none: string }) {
  const text = useComputed(() => {
    const at = millisOf(time);
    return at === null ? none : ageText(now.value - at);
  });
  return <>{text}</>;
}

function StateMark({ destination }: { destination: Destination }) {
  const t = words.value.sync;
  const late = useComputed(() => {
    const oldest = millisOf(destination.oldest_pending);
    return oldest !== null && now.value - oldest > BEHIND_MS;
  });
  const blocked = destination.blocked || destination.hours_trouble !== "";
  if (blocked || differs(destination)) {
    return (
      <span class="badge state-abnormal">
        <WarnIcon size={15} />
        {blocked ? t.blocked : t.differs}
      </span>
    );
  }
  const behind = late.value;
  return (
    <span class={`badge ${behind ? "state-offline" : "state-ok"}`}>
      {behind ? <ClockIcon size={15} /> : <CheckIcon size={15} />}
      {behind ? t.behind : t.flowing}
    </span>
  );
}

function Figures({ destination }: { destination: Destination }) {
  const t = words.value.sync;
  const none = words.value.common.none;
  return (
    <dl class="figures">
      <div>
        <dt>{t.pending}</dt>
        <dd data-testid="pending">{countText(destination.pending)}</dd>
      </div>
      <div>
        <dt>{t.oldest}</dt>
        <dd>
          <Age time={destination.oldest_pending} none={none} />
        </dd>
      </div>
      <div>
        <dt>{t.lastSuccess}</dt>
        <dd>
          <Age time={destination.last_success} none={words.value.age.never} />
        </dd>
      </div>
      <div>
        <dt>{t.rate}</dt>
        <dd>
          {destination.rate_per_s === null ? none : numberText(destination.rate_per_s, destination.rate_per_s < 10 ? 1 : 0)}
          <small>{t.perSecond}</small>
        </dd>
      </div>
      <div>
        <dt>{t.sent}</dt>
        <dd>{countText(destination.sent)}</dd>
      </div>
      <div class={destination.quarantined ? "warn" : undefined}>
        <dt>{t.quarantined}</dt>
        <dd>{countText(destination.quarantined)}</dd>
      </div>
      {destination.hours_pending === null ? null : (
        <div>
          <dt>{t.hours}</dt>
          <dd data-testid="hours">
            {countText(destination.hours_pending)}
            <small>{t.hour(destination.hours_pending)}</small>
          </dd>
        </div>
      )}
      {destination.received === null ? null : (
        <div>
          <dt>{t.received}</dt>
          <dd>{countText(destination.received)}</dd>
        </div>
      )}
    </dl>
  );
}

function Quarantine({ destination }: { destination: Destination }) {
  const t = words.value.sync;
  if (!destination.quarantine.length) return <p class="muted">{t.noQuarantine}</p>;
  return (
    <>
      <h3>{t.quarantineTitle}</h3>
      <p class="muted">{t.quarantineLead}</p>
      <Table
        caption={t.quarantineTitle}
        rows={destination.quarantine}
        keyOf={(row) => row.at + row.line}
        columns={[
          { name: t.time, head: true, cell: (row) => <span class="tabular">{stampText(millisOf(row.at) ?? 0)}</span> },
          { name: t.status, number: true, cell: (row) => row.status },
          { name: t.reason, cell: (row) => row.reason },
          { name: t.content, cell: (row) => <code>{row.line}</code> },
        ]}
      />
    </>
  );
}

function Trouble({ title, reason }: { title: string; reason: string | null }) {
  return (
    <div class="callout bad" role="alert">
      <WarnIcon size={20} />
      <div>
        <strong>{title}</strong>
        <p>{reason}</p>
      </div>
    </div>
  );
}

function DestinationCard({ destination }: { destination: Destination }) {
  const t = words.value.sync;
  return (
    <section class="card" data-testid="destination">
      <div class="card-top">
        <h2>
          {destination.id}
          {destination.stand_in ? <span class="stand-in">{t.standIn}</span> : null}
          <small>{destination.url}</small>
        </h2>
        <StateMark destination={destination} />
      </div>
      {destination.stand_in ? <p class="muted">{t.standInHint}</p> : null}
      {destination.blocked ? <Trouble title={t.blocked} reason={destination.reason} /> : null}
      {destination.hours_trouble ? <Trouble title={t.hoursTrouble} reason={destination.hours_trouble} /> : null}
      <Figures destination={destination} />
      <Comparison destination={destination} />
      <Quarantine destination={destination} />
    </section>
  );
}

export function SyncPage() {
  const t = words.value.sync;
  return (
    <>
      <Heading title={t.title} lead={t.lead} />
      {destinations.value.length ? (
        <div class="cards">
          {destinations.value.map((destination) => (
            <DestinationCard key={destination.id} destination={destination} />
          ))}
        </div>
      ) : (
        <Empty title={t.none} />
      )}
    </>
  );
}
