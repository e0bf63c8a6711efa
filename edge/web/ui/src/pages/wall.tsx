/** The security desk's screen, readable at 3 m: the newest unacknowledged alarm fills it. */

import { useComputed } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { now } from "../clock";
import { clockText, dateText, millisOf, momentText } from "../format";
import { alarms, devices, site, stateKnown } from "../model";
import { to } from "../route";
import { healthOf, openAlarms, priorityOf } from "../states";
import { look, say, words } from "../words";
import type { Alarm } from "../wire";
import { AckButton } from "../parts/ack";
import { Lasting, triggerText } from "../parts/alarm_card";
import { PriorityBadge } from "../parts/badge";
import { DeafScreen } from "../parts/deaf_screen";
import { CheckIcon, PriorityIcon } from "../parts/icons";
import { LinkStrip } from "../parts/link_strip";
import { Loading } from "../parts/notice";
import { SessionStrip } from "../parts/session_strip";
import { LanguageButton } from "../parts/shell";
import { SirenButton, SoundBar, SoundButton } from "../parts/sound_bar";

const LEVELS = [1, 2, 3, 4] as const;
/** More cards than this are not readable at 3 m. */
const ROWS = 6;
/** A title of more letters than these is written smaller, so that what to do stays in sight. */
const LONG = 36;

function Clock() {
  const time = useComputed(() => clockText(now.value));
  const date = useComputed(() => dateText(now.value));
  return (
    <div class="wall-clock">
      <time class="tabular">{time}</time>
      <span>{date}</span>
    </div>
  );
}

function Counts() {
  return (
    <div class="wall-counts">
      {LEVELS.map((level) => {
        const count = openAlarms.value.filter((alarm) => priorityOf(alarm) === level).length;
        return (
          <span key={level} class={`wall-count p${level} ${count ? "" : "zero"}`}>
            <PriorityIcon level={level} size={26} />
            <b class="tabular">{count}</b>
            <small>{words.value.priority[`p${level}`]}</small>
          </span>
        );
      })}
    </div>
  );
}

function Hero({ alarm }: { alarm: Alarm }) {
  const t = words.value.alarms;
  const level = priorityOf(alarm);
  const trigger = triggerText(alarm);
  return (
    <article class={`hero level-${level}`} data-testid="hero">
      <div class="hero-top">
        <PriorityBadge level={level} size={40} />
        <span>{look(t.states, alarm.state)}</span>
      </div>
      <p class="hero-place">{alarm.scope_name}</p>
      <h2 class={say(alarm.title).length > LONG ? "long" : undefined}>{say(alarm.title)}</h2>
      <p class="hero-facts">
        <span class="tabular">{momentText(millisOf(alarm.raised_at), now.peek())}</span>
        <Lasting alarm={alarm} alone />
        {trigger ? <span class="tabular">{trigger}</span> : null}
      </p>
      {say(alarm.consequence) ? <p class="hero-guide hero-why">{say(alarm.consequence)}</p> : null}
      {say(alarm.guide) ? <p class="hero-guide">{say(alarm.guide)}</p> : null}
      <div class="hero-act">
        <AckButton alarm={alarm} big />
      </div>
    </article>
  );
}

/** Its button says that nobody has acknowledged it, and its time whether it is over: only else the state is said. */
const PLAIN = new Set(["unacknowledged", "returned_unacknowledged"]);

function Row({ alarm }: { alarm: Alarm }) {
  const level = priorityOf(alarm);
  return (
    <article class={`wall-row level-${level} ${alarm.acked ? "acked" : "unacked"}`}>
      <span class={`p${level}`}>
        <PriorityIcon level={level} size={34} />
      </span>
      <div class="wall-row-text">
        <b>{say(alarm.title)}</b>
        <span>
          {alarm.scope_name} · {words.value.priority[`p${level}`]}
          {PLAIN.has(alarm.state) ? "" : ` · ${look(words.value.alarms.states, alarm.state)}`}
        </span>
      </div>
      <div class="wall-row-time">
        <span class="tabular">{momentText(millisOf(alarm.raised_at), now.peek())}</span>
        <Lasting alarm={alarm} alone />
      </div>
      <AckButton alarm={alarm} />
    </article>
  );
}

function Calm() {
  const t = words.value.wall;
  const all = devices.value.length;
  const ok = devices.value.filter((device) => healthOf(device).state === "ok").length;
  const last = Math.max(...[...alarms.value.values()].map((alarm) => millisOf(alarm.raised_at) ?? 0));
  return (
    <div class="wall-calm" data-testid="calm">
      <CheckIcon size={160} />
      <h2>{t.calm}</h2>
      <p>{t.calmLead}</p>
      <p class="muted">
        {t.devices(ok, all)}
        {last > 0 ? ` · ${t.last(momentText(last, now.peek()))}` : ""}
      </p>
    </div>
  );
}

function fullscreen(): void {
  if (document.fullscreenElement) void document.exitFullscreen?.();
  else void document.documentElement.requestFullscreen?.().catch(() => undefined);
}

export function WallPage() {
  const t = words.value.wall;
  const title = `${t.title} · ${site.value?.name ?? ""}`;
  useEffect(() => {
    document.title = title;
    document.documentElement.classList.add("dark");
    return () => document.documentElement.classList.remove("dark");
  }, [title]);
  const ordered = openAlarms.value;
  const hero = ordered[0] && !ordered[0].acked ? ordered[0] : null;
  const others = hero ? ordered.slice(1) : ordered;
  const rows = others.slice(0, ROWS);
  return (
    <div class={`wall ${hero ? `wall-level-${priorityOf(hero)}` : ""}`}>
      <header class="wall-top">
        <div class="wall-name">
          <strong>{site.value?.name}</strong>
          <span>{t.title}</span>
        </div>
        <Counts />
        <Clock />
      </header>
      <div class="wall-bars">
        <SoundBar />
        <SessionStrip />
      </div>
      <main class={`wall-main ${hero && others.length ? "split" : ""}`}>
        {hero ? <Hero alarm={hero} /> : null}
        {!hero && !others.length ? stateKnown.value ? <Calm /> : <Loading /> : null}
        {others.length ? (
          <div class="wall-list">
            {rows.map((alarm) => (
              <Row key={alarm.id} alarm={alarm} />
            ))}
            {others.length > rows.length ? <p class="wall-more">{t.more(others.length - rows.length)}</p> : null}
          </div>
        ) : null}
      </main>
      <footer class="wall-foot">
        <LinkStrip />
        <span class="wall-tools">
          <SirenButton />
          <SoundButton />
          <button type="button" class="button" onClick={fullscreen}>
            {t.fullscreen}
          </button>
          <LanguageButton />
          <a class="button" href={to("alarms")}>
            {t.exit}
          </a>
        </span>
      </footer>
      <DeafScreen />
    </div>
  );
}
