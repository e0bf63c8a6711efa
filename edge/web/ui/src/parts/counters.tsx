/** A device's errors by cause as bars, and the likely cause with what to check. */

import { countsText, reasonText } from "../format";
import { words } from "../words";
import { WarnIcon } from "./icons";

/** The words for a cause code; an unknown code stays visible as it came. */
export function causeText(code: string | null): { name: string; hint: string } | null {
  if (!code) return null;
  const table = words.value.causes as Record<string, { name: string; hint: string }>;
  return table[code] ?? { name: code, hint: words.value.causes.unknown.hint };
}

export function Cause({ code }: { code: string | null }) {
  const cause = causeText(code);
  if (!cause) return null;
  return (
    <div class="callout">
      <WarnIcon size={20} />
      <div>
        <strong>{words.value.device.likely(cause.name)}</strong>
        <p>{cause.hint}</p>
      </div>
    </div>
  );
}

export function ErrorBars({ errors }: { errors: Record<string, number> }) {
  const rows = Object.entries(errors)
    .filter(([, count]) => count > 0)
    .sort((a, b) => b[1] - a[1]);
  if (!rows.length) return <p class="muted">{words.value.device.noErrors}</p>;
  const most = rows[0]?.[1] ?? 1;
  return (
    <ul class="bars">
      {rows.map(([reason, count]) => (
        <li key={reason}>
          <span class="bar-label">{reasonText(reason)}</span>
          <meter class="bar" min={0} max={most} value={count} aria-label={reasonText(reason)} />
          <span class="bar-count">{countsText(count)}</span>
        </li>
      ))}
    </ul>
  );
}
