/** The whole screen in red when the stream is lost: a silent dead alarm screen is the worst failure. */

import { useComputed } from "@preact/signals";
import { now } from "../clock";
import { ageText, clockText } from "../format";
import { hasHeard, link, silence } from "../stream";
import { words } from "../words";
import { WarnIcon } from "./icons";

export function DeafScreen() {
  const t = words.value.stream;
  const heard = useComputed(() => {
    if (!hasHeard()) return words.value.stream.lostNever;
    return words.value.stream.lostHeard(ageText(silence.value, true), clockText(now.value - silence.value));
  });
  const time = useComputed(() => clockText(now.value));
  if (link.value !== "deaf") return null;
  return (
    <div class="deaf-screen" role="alert" data-testid="deaf">
      <WarnIcon size={96} />
      <strong>{t.lostTitle}</strong>
      <p>{t.lostText}</p>
      <p class="tabular">{heard}</p>
      <p class="deaf-foot">
        {t.lostRetry} <span class="tabular">{time}</span>
      </p>
    </div>
  );
}
