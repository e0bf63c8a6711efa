/** "Connected, last heard 3 s ago": always in sight, never guessed. */

import { useComputed } from "@preact/signals";
import { ageText } from "../format";
import { words } from "../words";
import { hasHeard, link, silence } from "../stream";

export function LinkStrip() {
  const t = words.value.stream;
  const age = useComputed(() => ageText(silence.value, true));
  const state = link.value;
  const text = { paused: t.paused, connecting: t.connecting, connected: t.connected, deaf: t.lost }[state];
  return (
    <span class={`link-strip link-${state}`}>
      <span class="link-dot" aria-hidden="true" />
      <span class="link-word" role="status">
        {text}
      </span>
      {state !== "paused" && hasHeard() ? <span class="link-age">{t.heard(age.value)}</span> : null}
    </span>
  );
}
