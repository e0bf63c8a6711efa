/** Small marks: a state or a level is always told by colour, shape and word together. */

import { words } from "../words";
import type { DeviceState } from "../wire";
import type { State } from "../states";
import { CheckIcon, ClockIcon, OfflineIcon, PriorityIcon, WarnIcon } from "./icons";

const STATE_ICONS = { ok: CheckIcon, abnormal: WarnIcon, offline: OfflineIcon };

export function StateBadge({ state }: { state: State }) {
  const Mark = STATE_ICONS[state];
  return (
    <span class={`badge state-${state}`}>
      <Mark size={15} />
      {words.value.state[state]}
    </span>
  );
}

const DEVICE_STATES: Record<DeviceState, { tone: State; icon: typeof CheckIcon }> = {
  ok: { tone: "ok", icon: CheckIcon },
  degraded: { tone: "abnormal", icon: WarnIcon },
  silent: { tone: "offline", icon: OfflineIcon },
  unknown: { tone: "offline", icon: ClockIcon },
};

export function DeviceBadge({ state }: { state: DeviceState }) {
  const { tone, icon: Mark } = DEVICE_STATES[state] ?? DEVICE_STATES.unknown;
  return (
    <span class={`badge state-${tone}`}>
      <Mark size={15} />
      {words.value.deviceState[state] ?? state}
    </span>
  );
}

export function PriorityBadge({ level, size = 16 }: { level: 1 | 2 | 3 | 4; size?: number }) {
  return (
    <span class={`priority p${level}`}>
      <PriorityIcon level={level} size={size} />
      {words.value.priority[`p${level}`]}
    </span>
  );
}
