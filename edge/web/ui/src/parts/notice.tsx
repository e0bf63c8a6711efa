/** Loading, failed, and empty: what stands where content would. */

import type { ComponentChildren } from "preact";
import { words } from "../words";

export function Loading() {
  return (
    <p class="loading" role="status">
      {words.value.common.loading}
    </p>
  );
}

export function Failed({ text, retry }: { text: string; retry?: () => void }) {
  const t = words.value.common;
  return (
    <div class="notice bad" role="alert">
      <span>{t.loadFailed(text)}</span>
      {retry ? (
        <button type="button" class="button" onClick={retry}>
          {t.retry}
        </button>
      ) : null}
    </div>
  );
}

export function Empty({ title, lead, children }: { title: string; lead?: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {lead ? <p class="empty-lead">{lead}</p> : null}
      {children}
    </div>
  );
}
