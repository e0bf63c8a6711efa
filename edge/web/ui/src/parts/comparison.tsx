/** What the nightly comparison with a destination came to, in a sentence or two. */

import { clockText, countText, dayText, millisOf } from "../format";
import { words } from "../words";
import type { Compared, Destination } from "../wire";
import { CheckIcon, ClockIcon, WarnIcon } from "./icons";

type Tone = "good" | "quiet" | "warn" | "bad";

interface Verdict {
  tone: Tone;
  text: string;
}

const MARKS = { good: CheckIcon, quiet: ClockIcon, warn: WarnIcon, bad: WarnIcon };

/** Whether the destination holds something else than this school after all was sent again. */
export function differs({ compared }: Destination): boolean {
  return compared !== null && (compared.still > 0 || compared.spots_wrong > 0);
}

function momentOf({ at }: Compared): string {
  const when = millisOf(at) ?? 0;
  return `${dayText(when)} ${clockText(when, false)}`;
}

function verdictOf(compared: Compared | null): Verdict {
  const t = words.value.sync.comparison;
  if (!compared) return { tone: "quiet", text: t.tonight };
  if (!compared.permitted) return { tone: "quiet", text: t.notPermitted };
  const when = momentOf(compared);
  if (compared.still) return { tone: "bad", text: t.still(when, compared.still) };
  if (compared.reason) return { tone: "warn", text: t.unfinished(when) };
  if (!compared.values) return { tone: "quiet", text: t.nothing(when) };
  if (compared.differing) return { tone: "good", text: t.mended(when, compared.differing, countText(compared.missing)) };
  return { tone: "good", text: t.same(when, compared.days, countText(compared.values)) };
}

/** What is to be said beside the verdict. */
function remarksOn(compared: Compared | null): string[] {
  const t = words.value.sync.comparison;
  if (!compared?.permitted) return [];
  return [
    compared.spots_wrong ? t.spots(compared.spots, compared.spots_wrong) : "",
    compared.surplus ? t.surplus(compared.surplus) : "",
    compared.reason ? t.answer(compared.reason) : "",
  ].filter(Boolean);
}

export function Comparison({ destination }: { destination: Destination }) {
  if (!destination.comparing) return null;
  const verdict = verdictOf(destination.compared);
  const tone = destination.compared?.spots_wrong ? "bad" : verdict.tone;
  const Mark = MARKS[tone];
  return (
    <div class={`callout ${tone}`} data-testid="comparison">
      <Mark size={20} />
      <div>
        <strong>{words.value.sync.comparison.title}</strong>
        {[verdict.text, ...remarksOn(destination.compared)].map((text) => (
          <p key={text}>{text}</p>
        ))}
      </div>
    </div>
  );
}
