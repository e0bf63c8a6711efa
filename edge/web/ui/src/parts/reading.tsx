/** A point's value as a cell that repaints alone; grey with its age when it is not the present. */

import { useComputed } from "@preact/signals";
import { ageText, pointName, reasonText, unitText, valueText } from "../format";
import { shown } from "../model";
import { words } from "../words";
import type { Device, Point } from "../wire";

interface Props {
  device: Device;
  point: Point;
}

/** Signals of strings: the cell is repainted when what it says changes, not every second. */
export function useShown(device: Device, point: Point, exact = false) {
  const text = useComputed(() => {
    const { reading, quality } = shown(device, point);
    return quality === "none" ? words.value.common.none : valueText(reading?.value, point);
  });
  const quality = useComputed(() => shown(device, point).quality);
  const age = useComputed(() => {
    const { ageMs } = shown(device, point);
    return ageMs === null ? words.value.age.never : ageText(ageMs, exact);
  });
  const reason = useComputed(() => {
    const { reading, quality: judged } = shown(device, point);
    if (judged === "good" || judged === "none" || !reading) return "";
    return reasonText(reading.reason || (judged === "stale" ? "stale" : ""));
  });
  return { text, quality, age, reason };
}

/** Value and unit alone. */
export function Value({ device, point }: Props) {
  const { text, quality } = useShown(device, point);
  const unit = unitText(point.unit);
  const bare = quality.value === "none" || text.value === words.value.common.none;
  return (
    <span class={`value q-${quality.value}`}>
      <span class={point.type === "number" ? "number" : "word"}>{text.value}</span>
      {unit && !bare ? <span class="unit">{unit}</span> : null}
    </span>
  );
}

/** Label above value; below it the age or the reason when the value is not the present, unless `brief`. */
export function KeyValue({ device, point, brief = false }: Props & { brief?: boolean }) {
  const { quality, age, reason } = useShown(device, point);
  const t = words.value.overview;
  return (
    <div class={`key-value q-${quality.value}`}>
      <span class="key-label">
        {pointName(point)}
        {point.equivalent ? <small class="derived">{t.equivalent}</small> : null}
      </span>
      <Value device={device} point={point} />
      {quality.value === "stale" ? <span class="key-note">{age.value}</span> : null}
      {quality.value === "bad" && !brief ? <span class="key-note bad">{reason.value}</span> : null}
    </div>
  );
}
