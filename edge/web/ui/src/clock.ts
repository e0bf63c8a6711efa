/** The gateway's clock as this page knows it; ages are measured against it, not the PC's clock. */

import { signal } from "@preact/signals";

/** Server time in ms since the epoch, renewed every second. */
export const now = signal(Date.now());

let offset = 0;

/** Takes a time told by the server just now. */
export function learnTime(iso: string): void {
  const told = Date.parse(iso);
  if (Number.isFinite(told)) {
    offset = told - Date.now();
    now.value = told;
  }
}

window.setInterval(() => {
  now.value = Date.now() + offset;
}, 1000);
