/**
 * One event stream a tab: opened while the page is seen (always on the alarm pages), watched for
 * silence, reopened with backoff, and followed by a fresh snapshot each time it opens.
 */

import { computed, effect, signal } from "@preact/signals";
import { BASE, get, Problem, session } from "./api";
import { learnTime, now } from "./clock";
import { loadModel, loadState, site, stateKnown, takeAlarm, takeDestination, takeLine, takeReadings } from "./model";
import { isAlarmPage, route } from "./route";
import type { Alarm, Destination, Line, Reading, Session, Site } from "./wire";

/** The gateway beats every 5 s: three missed beats mean that we are deaf. */
const DEAF_AFTER_MS = 15_000;
/** Well below the server's idle limit of 15 min. */
const RENEW_MS = 4 * 60_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 10_000;

const seen = signal(document.visibilityState !== "hidden");
const open = signal(false);

/** Counts the gateway's beats: a timer that also runs in hidden tabs. */
export const beats = signal(0);

const wanted = computed(() => session.value !== null && site.value !== null && (seen.value || isAlarmPage(route.value.page)));

/** Monotonic ms of the last event, or of the first attempt before any event came. */
let heardAt = 0;
let triedAt = 0;
let everHeard = false;
let opened = false;
let source: EventSource | null = null;
let retry: number | undefined;
let retryMs = FIRST_RETRY_MS;

/** Ms since the gateway was last heard, measured on the monotonic clock. */
export const silence = computed(() => {
  void now.value;
  return wanted.value ? performance.now() - heardAt : 0;
});

/** `deaf` is the dangerous one: the page looks alive and is not. */
export const link = computed<"paused" | "connecting" | "connected" | "deaf">(() => {
  if (!wanted.value) return "paused";
  if (silence.value > DEAF_AFTER_MS) return "deaf";
  return open.value ? "connected" : "connecting";
});

export function hasHeard(): boolean {
  return everHeard;
}

function heard(): void {
  heardAt = performance.now();
  everHeard = true;
  retryMs = FIRST_RETRY_MS;
}

function on<T>(stream: EventSource, name: string, take: (data: T) => void): void {
  stream.addEventListener(name, (event) => {
    if (stream !== source) return;
    heard();
    take(JSON.parse((event as MessageEvent<string>).data) as T);
  });
}

function connect(): void {
  disconnect();
  triedAt = performance.now();
  const stream = new EventSource(`${BASE}/stream`);
  source = stream;
  on<{ session_expires_at: string | null }>(stream, "hello", (hello) => {
    open.value = true;
    if (session.value && hello.session_expires_at) {
      session.value = { ...session.value, expires_at: hello.session_expires_at };
    }
    void resync();
  });
  on<Reading[]>(stream, "reading", takeReadings);
  on<Alarm>(stream, "alarm", takeAlarm);
  on<Line>(stream, "line", takeLine);
  on<Destination>(stream, "sync", takeDestination);
  // We were too slow or away too long: something is missing from what the stream told.
  on<object>(stream, "resync", () => void resync());
  on<{ now: string }>(stream, "beat", (beat) => {
    learnTime(beat.now);
    beats.value += 1;
  });
  stream.onerror = () => {
    if (stream === source) reconnectLater();
  };
}

function disconnect(): void {
  window.clearTimeout(retry);
  source?.close();
  source = null;
  open.value = false;
}

/** Own reconnect: a browser gives up for good on any answer that is not a stream (a 502, a 401). */
function reconnectLater(): void {
  disconnect();
  // Without a stream (too many are open, say) the page still shows what was so when it was opened.
  if (wanted.value && !stateKnown.value) void loadState().catch(() => undefined);
  retry = window.setTimeout(() => void reconnect(), retryMs * (0.75 + Math.random() / 2));
  retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
}

async function reconnect(): Promise<void> {
  if (!wanted.value) return;
  try {
    session.value = await get<Session>("session");
  } catch (error) {
    if (error instanceof Problem && error.status === 401) return; // the login page takes over
    if (wanted.value) reconnectLater();
    return;
  }
  if (wanted.value) connect();
}

async function renewSession(): Promise<void> {
  try {
    session.value = await get<Session>("session");
  } catch {
    // A 401 has already led to the login page; anything else shows on the link strip.
  }
}

/** Snapshot behind every opening; a restarted gateway may run another configuration. */
async function resync(): Promise<void> {
  try {
    // The first opening follows the model at once; behind a later one the gateway may be another.
    if (opened && (await get<Site>("site")).started_at !== site.value?.started_at) await loadModel();
    opened = true;
    await loadState();
  } catch (error) {
    if (error instanceof Problem && error.status !== 401) reconnectLater();
  }
}

/** Starts the machinery; called once. */
export function startStream(): void {
  document.addEventListener("visibilitychange", () => {
    seen.value = document.visibilityState !== "hidden";
  });
  effect(() => {
    if (wanted.value) {
      heardAt = performance.now();
      retryMs = FIRST_RETRY_MS;
      connect();
    } else {
      disconnect();
    }
  });
  // The stream alone does not keep a session alive. An alarm screen is meant to stand all day:
  // asking who we are counts as use, until the session's absolute end.
  window.setInterval(() => {
    if (wanted.value && isAlarmPage(route.value.page)) void renewSession();
  }, RENEW_MS);
  // A half-open connection gives no error: silence alone tells.
  window.setInterval(() => {
    if (wanted.value && source && performance.now() - Math.max(heardAt, triedAt) > DEAF_AFTER_MS) reconnectLater();
  }, 5_000);
}
