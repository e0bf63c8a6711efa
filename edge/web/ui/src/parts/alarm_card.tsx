/** One alarm in full: level, what, where, since when, what it means, what to do, who was told. */

import { useComputed } from "@preact/signals";
import { now } from "../clock";
import { millisOf, momentText, spanText, valueText, withUnit } from "../format";
import { deviceById, isOpen } from "../model";
import { to } from "../route";
import { priorityOf } from "../states";
import { look, say, words } from "../words";
import type { Alarm, Delivery } from "../wire";
import { AckButton } from "./ack";
import { PriorityBadge } from "./badge";

/** More alarms than these would push a room's values off the screen. */
const MOST_CARDS = 2;

/** "for 12 min", or how long it lasted; `alone` where nothing else says that it is over. */
export function Lasting({ alarm, alone = false }: { alarm: Alarm; alone?: boolean }) {
  const text = useComputed(() => {
    const raised = millisOf(alarm.raised_at);
    if (raised === null) return "";
    const cleared = millisOf(alarm.cleared_at);
    const t = words.value.alarms;
    if (cleared === null) return t.lasting(spanText(now.value - raised));
    return (alone ? t.clearedAfter : t.lasted)(spanText(cleared - raised));
  });
  return <span class="tabular">{text}</span>;
}

/** Someone must still come: not acknowledged, and not gone by itself. */
function isAwaited(alarm: Alarm): boolean {
  return !alarm.acked && (alarm.cleared_at === null || alarm.latched);
}

function Response({ alarm }: { alarm: Alarm }) {
  const late = useComputed(() => {
    const raised = millisOf(alarm.raised_at);
    if (raised === null || !alarm.respond_within_s || !isAwaited(alarm)) return "";
    const over = now.value - raised - alarm.respond_within_s * 1000;
    return over > 0 ? words.value.alarms.overdue(spanText(over)) : "";
  });
  if (late.value) return <span class="overdue">{late}</span>;
  if (!alarm.respond_within_s || !isAwaited(alarm)) return null;
  return <span>{words.value.alarms.within(spanText(alarm.respond_within_s * 1000))}</span>;
}

export function triggerText(alarm: Alarm): string {
  if (alarm.value === null || alarm.value === undefined) return "";
  const device = alarm.device ? deviceById.value.get(alarm.device) : undefined;
  const point = device?.points.find(({ name }) => name === alarm.point);
  const text = valueText(alarm.value, point, alarm.point ?? "");
  return typeof alarm.value === "number" ? withUnit(text, alarm.unit) : text;
}

/** "desk.0.wecom" as people call it: whose channel, and of what kind. */
function channelText(channel: string): string {
  const [desk = "", , kind] = channel.split(".");
  if (!kind) return channel;
  return `${look(words.value.owners, desk)} · ${look(words.value.channels, kind)}`;
}

export function Deliveries({ alarm }: { alarm: Alarm }) {
  const t = words.value.alarms;
  if (!alarm.deliveries.length) return <span class="muted">{t.noDelivery}</span>;
  // An alarm is pushed when raised and when it clears: alike outcomes of one channel stand as one.
  const groups = new Map<string, Delivery[]>();
  for (const delivery of alarm.deliveries) {
    const key = `${channelText(delivery.channel)} ${t.delivery[delivery.state]}`;
    groups.set(key, [...(groups.get(key) ?? []), delivery]);
  }
  return (
    <>
      {[...groups].map(([text, alike]) => (
        <span key={text} class={`delivery ${alike[0]?.state}`} title={alike.map(({ detail }) => detail).filter(Boolean).join("; ") || undefined}>
          {text}
          {alike.length > 1 ? ` ×${alike.length}` : ""}
        </span>
      ))}
    </>
  );
}

function Facts({ alarm }: { alarm: Alarm }) {
  const t = words.value.alarms;
  const trigger = triggerText(alarm);
  const raised = millisOf(alarm.raised_at);
  const cleared = millisOf(alarm.cleared_at);
  const today = now.peek();
  return (
    <div class="alarm-facts">
      <span>
        {t.raised} <b class="tabular">{momentText(raised, today)}</b>
      </span>
      {cleared === null ? null : (
        <span>
          {t.cleared} <b class="tabular">{momentText(cleared, today)}</b>
        </span>
      )}
      <Lasting alarm={alarm} />
      {trigger ? (
        <span>
          {t.value} <b class="tabular">{trigger}</b>
        </span>
      ) : null}
      <Response alarm={alarm} />
      {alarm.owner ? (
        <span>
          {t.owner} {look(words.value.owners, alarm.owner)}
        </span>
      ) : null}
    </div>
  );
}

/** The first alarms in full, and where the others are: what the page is about follows below. */
export function SomeAlarms({ alarms }: { alarms: Alarm[] }) {
  const shown = alarms.length > MOST_CARDS + 1 ? alarms.slice(0, MOST_CARDS) : alarms;
  return (
    <div class="alarm-list">
      {shown.map((alarm) => (
        <AlarmCard key={alarm.id} alarm={alarm} />
      ))}
      {alarms.length > shown.length ? (
        <a class="alarm-others" href={to("alarms")}>
          {words.value.alarms.others(alarms.length - shown.length)}
        </a>
      ) : null}
    </div>
  );
}

export function AlarmCard({ alarm }: { alarm: Alarm }) {
  const t = words.value.alarms;
  const level = priorityOf(alarm);
  const today = now.peek();
  return (
    <article class={`alarm level-${level} ${alarm.acked ? "acked" : "unacked"} ${isOpen(alarm) ? "" : "closed"}`} data-testid="alarm">
      <div class="alarm-main">
        <div class="alarm-top">
          <PriorityBadge level={level} />
          <span class="alarm-state">{look(t.states, alarm.state)}</span>
          {alarm.stale ? <span class="alarm-stale">{t.staleData}</span> : null}
        </div>
        <h2>
          {say(alarm.title)}
          <span class="alarm-place">{alarm.scope_name}</span>
        </h2>
        <Facts alarm={alarm} />
        {say(alarm.consequence) || say(alarm.guide) ? (
          <dl class="alarm-advice">
            {say(alarm.consequence) ? (
              <div>
                <dt>{t.consequence}</dt>
                <dd>{say(alarm.consequence)}</dd>
              </div>
            ) : null}
            {say(alarm.guide) ? (
              <div>
                <dt>{t.guide}</dt>
                <dd>{say(alarm.guide)}</dd>
              </div>
            ) : null}
          </dl>
        ) : null}
        <div class="alarm-foot">
          <span class="muted">{t.deliveries}</span>
          <Deliveries alarm={alarm} />
          {alarm.device ? <a href={to("device", alarm.device, alarm.point ? { point: alarm.point } : {})}>{alarm.device}</a> : null}
        </div>
        {alarm.acked && alarm.acked_by ? (
          <p class="alarm-note">
            {t.ackedBy(alarm.acked_by, momentText(millisOf(alarm.acked_at), today))}
            {alarm.note ? ` — ${alarm.note}` : ""}
          </p>
        ) : null}
      </div>
      <div class="alarm-act">
        <AckButton alarm={alarm} />
      </div>
    </article>
  );
}
