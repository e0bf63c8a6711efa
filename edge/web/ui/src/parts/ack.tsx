/** Acknowledge (or reset) an alarm with a note; hidden from roles that may not. */

import { signal } from "@preact/signals";
import { useState } from "preact/hooks";
import { mayAcknowledge, Problem, send } from "../api";
import { freshId } from "../ids";
import { takeAlarm } from "../model";
import { priorityOf } from "../states";
import { say, words } from "../words";
import type { Alarm } from "../wire";
import { PriorityBadge } from "./badge";
import { Dialog } from "./dialog";

type Act = "ack" | "reset";

/** What can be done with an alarm in its state: acknowledge first, reset once a latched one is acknowledged. */
export function actOf(alarm: Alarm): Act | null {
  if (!mayAcknowledge()) return null;
  if (!alarm.acked) return "ack";
  return alarm.latched && alarm.state.startsWith("latched") ? "reset" : null;
}

/**
 * The one question that is open. It holds the alarm it was asked about: when a newer alarm takes
 * the place under the hand, the answer still goes to the one that was read.
 */
const question = signal<{ alarm: Alarm; act: Act } | null>(null);

export function AckButton({ alarm, big = false }: { alarm: Alarm; big?: boolean }) {
  const act = actOf(alarm);
  if (!act) return null;
  const ask = () => {
    question.value = { alarm, act };
  };
  return (
    <button type="button" class={`button primary ack ${big ? "huge" : "large"}`} onClick={ask} data-testid={act}>
      {words.value.alarms[act]}
    </button>
  );
}

/** Stands once on the page, outside of the cards that come and go. */
export function AckQuestion() {
  const asked = question.value;
  if (!asked) return null;
  const close = () => {
    question.value = null;
  };
  return <AckDialog key={asked.alarm.id} alarm={asked.alarm} act={asked.act} close={close} />;
}

function AckDialog({ alarm, act, close }: { alarm: Alarm; act: Act; close: () => void }) {
  const t = words.value.alarms;
  const [note, write] = useState("");
  const [busy, setBusy] = useState(false);
  const [failure, fail] = useState("");
  const [noteId] = useState(() => freshId("note"));
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    fail("");
    try {
      takeAlarm(await send<Alarm>(`alarms/${encodeURIComponent(alarm.id)}/${act}`, { note: note.trim() }));
      close();
    } catch (error) {
      fail(error instanceof Problem ? error.text : String(error));
      setBusy(false);
    }
  };
  return (
    <Dialog title={act === "ack" ? t.ackTitle : t.resetTitle} close={close}>
      <form onSubmit={(event) => void submit(event)}>
        <p class="dialog-alarm">
          <PriorityBadge level={priorityOf(alarm)} />
          <strong>{say(alarm.title)}</strong>
          <span>{alarm.scope_name}</span>
        </p>
        <p class="dialog-lead">{act === "ack" ? t.ackLead : t.resetLead}</p>
        <label for={noteId}>{t.note}</label>
        <textarea id={noteId} rows={2} maxLength={500} value={note} placeholder={t.noteHint} onInput={(event) => write(event.currentTarget.value)} />
        <div class="quick">
          {t.quick.map((text) => (
            <button key={text} type="button" class="chip" onClick={() => write(text)}>
              {text}
            </button>
          ))}
        </div>
        {failure ? (
          <p class="form-error" role="alert">
            {failure}
          </p>
        ) : null}
        <div class="dialog-buttons">
          <button type="button" class="button large" onClick={close}>
            {words.value.common.cancel}
          </button>
          <button type="submit" class="button primary large" disabled={busy} data-first data-testid="confirm">
            {t[act]}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
