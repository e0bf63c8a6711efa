/** Warns on the alarm pages before the session runs out, so that the screen does not go blind unnoticed. */

import { useComputed } from "@preact/signals";
import { session } from "../api";
import { now } from "../clock";
import { clockText, millisOf } from "../format";
import { words } from "../words";
import { ClockIcon } from "./icons";

/** The alarm pages renew the session every 4 min to 15 min ahead: less than this is the absolute end. */
const WARN_MS = 9 * 60_000;

export function SessionStrip() {
  const text = useComputed(() => {
    const until = millisOf(session.value?.expires_at);
    if (until === null || until - now.value > WARN_MS) return "";
    return words.value.stream.expires(clockText(until, false));
  });
  if (!text.value) return null;
  return (
    <div class="sound-bar off" role="status">
      <ClockIcon size={20} />
      {text}
    </div>
  );
}
