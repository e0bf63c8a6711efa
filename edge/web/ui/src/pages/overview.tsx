/** The whole school at a glance: buildings, rooms as tiles with one of three states, meters, weather. */

import { useComputed } from "@preact/signals";
import { useState } from "preact/hooks";
import { now } from "../clock";
import { ageText, countText, kindName, millisOf, pointName } from "../format";
import { destinations, devices } from "../model";
import { to } from "../route";
import { alarmsOf, healthOf, isPresent, keyPoints, newestAge, openAlarms, priorityOf, sections, stateOf, unackedAlarms } from "../states";
import type { Section, State, Tile } from "../states";
import { words } from "../words";
import type { Device } from "../wire";
import { StateBadge } from "../parts/badge";
import { causeText } from "../parts/counters";
import { Choice } from "../parts/choice";
import { Heading } from "../parts/heading";
import { PriorityIcon, SearchIcon } from "../parts/icons";
import { Empty } from "../parts/notice";
import { KeyValue, Value } from "../parts/reading";

function AlarmsKpi() {
  const t = words.value.overview;
  const open = openAlarms.value.length;
  const unacked = unackedAlarms.value.length;
  return (
    <a class={`kpi ${unacked ? "bad" : open ? "warn" : ""}`} href={to("alarms")}>
      <span class="kpi-label">{t.openAlarms}</span>
      <strong class="kpi-number">{open}</strong>
      <span class="kpi-note">{open === 0 ? t.noAlarms : unacked ? t.unacked(unacked) : t.allAcked}</span>
    </a>
  );
}

function DevicesKpi() {
  const t = words.value.overview;
  const all = devices.value.length;
  const ok = devices.value.filter((device) => healthOf(device).state === "ok").length;
  return (
    <a class={`kpi ${ok < all ? "warn" : ""}`} href={to("lines")}>
      <span class="kpi-label">{t.devices}</span>
      <strong class="kpi-number">{ok}</strong>
      <span class="kpi-note">{t.ofDevices(all)}</span>
    </a>
  );
}

function WeatherKpi() {
  const t = words.value.overview;
  const station = devices.value.find(({ kind }) => kind === "weather_station");
  const temperature = station?.points.find(({ name }) => name === "temperature");
  if (!station || !temperature) {
    return (
      <div class="kpi">
        <span class="kpi-label">{t.outdoor}</span>
        <strong class="kpi-number">{words.value.common.none}</strong>
        <span class="kpi-note">{t.noWeather}</span>
      </div>
    );
  }
  const others = keyPoints([station], 4).filter(({ point }) => point !== temperature).slice(0, 2);
  return (
    <a class="kpi" href={to("device", station.id)}>
      <span class="kpi-label">{t.outdoor}</span>
      <strong class="kpi-number">
        <Value device={station} point={temperature} />
      </strong>
      <span class="kpi-note kpi-values">
        {others.map(({ point }) => (
          <span key={point.name}>
            {pointName(point)} <Value device={station} point={point} />
          </span>
        ))}
      </span>
    </a>
  );
}

function SyncKpi() {
  const t = words.value.overview;
  const all = destinations.value;
  const pending = all.reduce((sum, { pending: waiting }) => sum + waiting, 0);
  const blocked = all.some((destination) => destination.blocked);
  const oldest = Math.min(...all.map(({ oldest_pending: time }) => millisOf(time) ?? Infinity));
  const note = useComputed(() => (Number.isFinite(oldest) ? words.value.overview.syncBehind(ageText(now.value - oldest)) : ""));
  return (
    <a class={`kpi ${blocked ? "bad" : ""}`} href={to("sync")}>
      <span class="kpi-label">{t.pending}</span>
      <strong class="kpi-number">{all.length ? countText(pending) : words.value.common.none}</strong>
      <span class="kpi-note">{!all.length ? t.noSync : blocked ? t.syncBlocked : pending === 0 ? t.syncOk : note.value || t.syncOk}</span>
    </a>
  );
}

function Updated({ of }: { of: Device[] }) {
  const text = useComputed(() => {
    const age = newestAge(of);
    return age === null ? words.value.common.noData : words.value.overview.updated(ageText(age));
  });
  return <span class="tile-age">{text}</span>;
}

function MeterRows({ of }: { of: Device[] }) {
  const rows = of.slice(0, 4);
  const alike = (device: Device) => of.filter(({ kind }) => kind === device.kind).length > 1;
  return (
    <div class="meter-rows">
      {rows.map((device) => (
        <div class="meter-row" key={device.id}>
          <span class="meter-name" title={device.id}>
            {alike(device) ? device.id : kindName(device)}
          </span>
          {keyPoints([device], 2).map(({ point }) => (
            <Value key={point.name} device={device} point={point} />
          ))}
        </div>
      ))}
      {of.length > rows.length ? <span class="muted">{words.value.common.more(of.length - rows.length)}</span> : null}
    </div>
  );
}

/** Said once for the tile instead of under each of its values. */
function WhyOffline({ of }: { of: Device[] }) {
  const t = words.value.overview;
  const cause = of.map((device) => causeText(healthOf(device).cause)).find(Boolean);
  return (
    <span class="tile-why">
      {t.offlineWhy}
      {cause ? ` · ${words.value.device.likely(cause.name)}` : ""}
    </span>
  );
}

function TileCard({ tile }: { tile: Tile }) {
  const t = words.value.overview;
  const state = stateOf(tile);
  const alarms = alarmsOf(tile);
  const kinds = [...new Map(tile.devices.map((device) => [device.kind, kindName(device)])).values()];
  const worst = alarms.length ? (Math.min(...alarms.map(priorityOf)) as 1 | 2 | 3 | 4) : null;
  const only = tile.devices.length === 1 ? tile.devices[0] : undefined;
  return (
    <a class={`tile tile-${state}`} href={only ? to("device", only.id) : to("space", tile.space.id)} data-testid="tile" data-state={state}>
      <span class="tile-top">
        <span class="tile-name">{tile.space.name}</span>
        <StateBadge state={state} />
      </span>
      <span class="tile-kind">{tile.meters ? kinds.join(" · ") : [...new Set([kindName(tile.space), ...kinds])].join(" · ")}</span>
      {tile.meters && !only ? (
        <MeterRows of={tile.devices} />
      ) : (
        <span class="key-values">
          {keyPoints(tile.devices, 4).map(({ device, point }) => (
            <KeyValue key={point.name} device={device} point={point} brief={state === "offline"} />
          ))}
        </span>
      )}
      {state === "offline" ? <WhyOffline of={tile.devices} /> : null}
      <span class="tile-foot">
        <Updated of={tile.devices} />
        {worst ? (
          <span class={`tile-alarms p${worst}`}>
            <PriorityIcon level={worst} size={14} />
            {alarms.some(isPresent) ? t.alarms(alarms.length) : t.toAcknowledge(alarms.length)}
          </span>
        ) : null}
      </span>
    </a>
  );
}

function titleOf(section: Section): string {
  const t = words.value.overview;
  if (section.kind === "energy") return t.energy;
  return section.building?.name ?? t.outside;
}

/** Name, ids and kinds in both languages: what a person may type. */
function matches(tile: Tile, wanted: string): boolean {
  if (!wanted) return true;
  const texts = [tile.space.name, tile.space.id, tile.space.kind_zh, tile.space.kind_en];
  for (const device of tile.devices) texts.push(device.id, device.kind_zh, device.kind_en, device.model);
  return texts.some((text) => text.toLowerCase().includes(wanted));
}

export function Overview() {
  const t = words.value.overview;
  const [text, search] = useState("");
  const [state, choose] = useState<string>("all");
  const wanted = text.trim().toLowerCase();
  const all = sections.value.flatMap((section) => section.tiles);
  const count = (of: State) => all.filter((tile) => stateOf(tile) === of).length;
  const found = sections.value
    .map((section) => ({
      section,
      tiles: section.tiles.filter((tile) => matches(tile, wanted) && (state === "all" || stateOf(tile) === state)),
    }))
    .filter(({ tiles }) => tiles.length > 0);
  const names = words.value.state;
  return (
    <>
      <Heading title={t.title} lead={t.legend} />
      <div class="kpis">
        <AlarmsKpi />
        <DevicesKpi />
        <WeatherKpi />
        <SyncKpi />
      </div>
      <div class="filters">
        <label class="search">
          <SearchIcon size={18} />
          <input type="search" value={text} placeholder={t.search} aria-label={t.search} onInput={(event) => search(event.currentTarget.value)} />
        </label>
        <Choice
          label={t.filter}
          chosen={state}
          choose={choose}
          options={[
            { value: "all", text: words.value.common.all, count: all.length },
            { value: "ok", text: names.ok, count: count("ok") },
            { value: "abnormal", text: names.abnormal, count: count("abnormal") },
            { value: "offline", text: names.offline, count: count("offline") },
          ]}
        />
      </div>
      {found.map(({ section, tiles }) => (
        <section key={section.key || "outside"} class="section" aria-label={titleOf(section)}>
          <h2>
            {titleOf(section)}
            <small>{t.rooms(tiles.length)}</small>
          </h2>
          <div class={`tiles ${section.kind}`}>
            {tiles.map((tile) => (
              <TileCard key={tile.key} tile={tile} />
            ))}
          </div>
        </section>
      ))}
      {found.length === 0 ? (
        <Empty title={t.empty}>
          <button
            type="button"
            class="button"
            onClick={() => {
              search("");
              choose("all");
            }}
          >
            {t.reset}
          </button>
        </Empty>
      ) : null}
    </>
  );
}

