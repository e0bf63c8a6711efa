/** The alarm list: emergencies and the newest unacknowledged on top, acknowledge with a note, open or all. */

import { useEffect, useState } from "preact/hooks";
import { list, Problem } from "../api";
import { alarms, isOpen } from "../model";
import { to } from "../route";
import { openAlarms, priorityOf, sorted, unackedAlarms } from "../states";
import { words } from "../words";
import type { Alarm } from "../wire";
import { AlarmCard } from "../parts/alarm_card";
import { Choice } from "../parts/choice";
import { DeafScreen } from "../parts/deaf_screen";
import { Heading } from "../parts/heading";
import { CheckIcon, WallIcon } from "../parts/icons";
import { Empty, Failed } from "../parts/notice";
import { SessionStrip } from "../parts/session_strip";
import { SirenButton, SoundBar, SoundButton } from "../parts/sound_bar";

const LEVELS = [1, 2, 3, 4] as const;

/** The closed ones are asked for only when wanted; live changes win over what was loaded. */
function useHistory(wanted: boolean) {
  const [loaded, keep] = useState<Alarm[]>([]);
  const [failure, fail] = useState("");
  useEffect(() => {
    if (!wanted) return;
    list<Alarm>("alarms?state=all", 3).then(
      (items) => {
        keep(items);
        fail("");
      },
      (error: unknown) => fail(error instanceof Problem ? error.text : String(error)),
    );
  }, [wanted]);
  return { loaded, failure };
}

export function AlarmsPage() {
  const t = words.value.alarms;
  const [which, choose] = useState("open");
  const [level, limit] = useState("0");
  const { loaded, failure } = useHistory(which === "all");
  const live = alarms.value;
  const everything = [...new Map([...loaded.map((alarm): [string, Alarm] => [alarm.id, alarm]), ...live]).values()];
  const all = which === "all" ? [...openAlarms.value, ...sorted(everything.filter((alarm) => !isOpen(alarm)))] : openAlarms.value;
  const items = level === "0" ? all : all.filter((alarm) => String(priorityOf(alarm)) === level);
  return (
    <>
      <Heading title={t.title} lead={t.summary(openAlarms.value.length, unackedAlarms.value.length)}>
        <SirenButton />
        <SoundButton />
        <a class="button" href={to("wall")}>
          <WallIcon size={18} />
          {t.openWall}
        </a>
      </Heading>
      <SoundBar />
      <SessionStrip />
      <div class="filters">
        <Choice label={t.filter} chosen={which} choose={choose} options={[{ value: "open", text: t.open }, { value: "all", text: t.all }]} />
        <Choice
          label={t.level}
          chosen={level}
          choose={limit}
          options={[
            { value: "0", text: words.value.common.all },
            ...LEVELS.map((n) => ({ value: String(n), text: words.value.priority[`p${n}`], count: all.filter((alarm) => priorityOf(alarm) === n).length })),
          ]}
        />
      </div>
      {failure ? <Failed text={failure} /> : null}
      {items.length ? (
        <div class="alarm-list">
          {items.map((alarm) => (
            <AlarmCard key={alarm.id} alarm={alarm} />
          ))}
        </div>
      ) : (
        <div class="calm">
          <CheckIcon size={44} />
          <Empty title={which === "all" ? t.noneAll : t.none} lead={t.noneLead} />
        </div>
      )}
      <DeafScreen />
    </>
  );
}
