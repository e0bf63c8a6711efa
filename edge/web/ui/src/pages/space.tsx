/** One space: all its devices with all their values, and the alarms that concern it. */

import { kindName, numberText } from "../format";
import { devices, spaceById } from "../model";
import { to } from "../route";
import { alarmsOf, buildingOf, healthOf } from "../states";
import { words } from "../words";
import type { Device } from "../wire";
import { SomeAlarms } from "../parts/alarm_card";
import { DeviceBadge } from "../parts/badge";
import { Heading } from "../parts/heading";
import { Empty } from "../parts/notice";
import { KeyValue } from "../parts/reading";

function DeviceCard({ device }: { device: Device }) {
  return (
    <a class="card device-card" href={to("device", device.id)}>
      <span class="tile-top">
        <span class="tile-name">{kindName(device)}</span>
        <DeviceBadge state={healthOf(device).state} />
      </span>
      <span class="tile-kind">
        {device.id} · {device.maker} {device.model}
      </span>
      <span class="key-values wide">
        {device.points.map((point) => (
          <KeyValue key={point.name} device={device} point={point} />
        ))}
      </span>
    </a>
  );
}

export function SpacePage({ id }: { id: string }) {
  const t = words.value.space;
  const back = { href: to(""), text: words.value.overview.title };
  const space = spaceById.value.get(id);
  if (!space) {
    return (
      <>
        <Heading title={id} back={back} />
        <Empty title={t.missing} />
      </>
    );
  }
  const here = devices.value.filter((device) => device.space === id);
  const alarms = alarmsOf({ space, devices: here });
  const building = buildingOf(space);
  const facts = [
    building && building.id !== id ? building.name : "",
    kindName(space),
    space.area_m2 ? t.area(numberText(space.area_m2, 0)) : "",
    space.seats ? t.seats(space.seats) : "",
  ].filter(Boolean);
  return (
    <>
      <Heading title={space.name} lead={facts.join(" · ")} back={back} />
      {alarms.length ? (
        <section class="section">
          <h2>{t.alarms}</h2>
          <SomeAlarms alarms={alarms} />
        </section>
      ) : null}
      <section class="section">
        <h2>{t.devices}</h2>
        {here.length ? (
          <div class="device-cards">
            {here.map((device) => (
              <DeviceCard key={device.id} device={device} />
            ))}
          </div>
        ) : (
          <Empty title={t.none} />
        )}
      </section>
    </>
  );
}
