/** The shapes of the HTTP API's JSON (/api/v1). Times are RFC 3339 UTC with milliseconds. */

export type Time = string;
export type Value = number | boolean | string;
export type Quality = "good" | "stale" | "bad";
export type Role = "viewer" | "operator" | "engineer" | "admin" | "auditor";

/** Every list answers `{items, next}`; `next` is the cursor of the following page. */
export interface List<T> {
  items: T[];
  next: string | null;
}

export interface Session {
  user: string;
  role: Role;
  /** When the session ends if no request comes. */
  expires_at: Time | null;
}

export interface SetupState {
  needed: boolean;
  /** Spares the question who we are where the gateway tells; asked all the same where it does not. */
  signed_in?: boolean;
}

export interface Site {
  id: string;
  name: string;
  district: string;
  timezone: string;
  version: string;
  started_at: Time;
  now: Time;
  demo: boolean;
}

export interface Space {
  id: string;
  name: string;
  kind: string;
  kind_zh: string;
  kind_en: string;
  in: string | null;
  area_m2: number | null;
  seats: number | null;
}

export interface Point {
  name: string;
  zh: string;
  en: string;
  unit: string;
  type: "number" | "switch" | "text";
  decimals: number;
  min: number | null;
  max: number | null;
  equivalent: boolean;
}

export type DeviceState = "ok" | "degraded" | "silent" | "unknown";

export interface Health {
  state: DeviceState;
  last_good: Time | null;
  ok: number;
  errors: Record<string, number>;
  latency_p50_ms: number | null;
  latency_p95_ms: number | null;
  cause: string | null;
  clock_offset_ms: number | null;
  clock_replaced: number;
}

export interface Device {
  id: string;
  space: string;
  line: string;
  protocol: string;
  profile: string;
  kind: string;
  kind_zh: string;
  kind_en: string;
  maker: string;
  model: string;
  every_s: number | null;
  priority: string;
  points: Point[];
  health: Health;
}

export interface Reading {
  device: string;
  point: string;
  value: Value | null;
  unit: string;
  at: Time;
  received_at: Time;
  quality: Quality;
  reason: string;
  origin: string;
}

export interface Sample {
  device: string;
  point: string;
  at: Time;
  value: Value | null;
  unit: string;
  quality: Quality;
}

export interface Text {
  zh: string;
  en: string;
}

export interface Delivery {
  channel: string;
  state: "pending" | "delivered" | "failed";
  at: Time | null;
  detail: string | null;
}

export interface Alarm {
  id: string;
  rule: string;
  scope: string;
  scope_name: string;
  condition: string;
  state: string;
  priority: number;
  acked: boolean;
  acked_by: string | null;
  acked_at: Time | null;
  note: string | null;
  latched: boolean;
  stale: boolean;
  raised_at: Time | null;
  cleared_at: Time | null;
  device: string | null;
  point: string | null;
  value: Value | null;
  unit: string | null;
  title: Text;
  consequence: Text | null;
  guide: Text | null;
  owner: string | null;
  respond_within_s: number | null;
  deliveries: Delivery[];
}

export interface LineDevice extends Health {
  device: string;
}

export interface Line {
  id: string;
  url: string;
  kind: "serial" | "tcp" | "mqtt";
  connected: boolean;
  since: Time | null;
  utilisation: number | null;
  queue_age_ms: number | null;
  last_error: string | null;
  /** Messages or exchanges since the start. */
  exchanges: number;
  /** What was wrong on the line itself, by a word. */
  faults: Record<string, number>;
  devices: LineDevice[];
}

export interface Quarantined {
  at: Time;
  line: string;
  status: number;
  reason: string;
}

/** A nightly comparison, in sum over its days: what differed (`differing` series), what lacked there, what
 * was sent again, and what differs `still`. `reason` says why not all was compared. */
export interface Compared {
  at: Time;
  same: boolean;
  days: number;
  values: number;
  differing: number;
  missing: number;
  resent: number;
  still: number;
  surplus: number;
  spots: number;
  spots_wrong: number;
  reason: string;
  permitted: boolean;
}

export interface Destination {
  id: string;
  url: string;
  stand_in: boolean;
  pending: number;
  oldest_pending: Time | null;
  last_success: Time | null;
  rate_per_s: number | null;
  sent: number;
  quarantined: number;
  quarantine: Quarantined[];
  blocked: boolean;
  reason: string | null;
  received: number | null;
  hours_pending: number | null;
  hours_trouble: string;
  comparing: boolean;
  compared: Compared | null;
}

/** `POST /desk`: whether no desk can be heard though one should, and whether a siren sounds. */
export interface DeskState {
  mute: boolean;
  sounding: boolean;
}

/** `POST /siren/silence`: of how many alarms. */
export interface Silenced {
  alarms: number;
}
