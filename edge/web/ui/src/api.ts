/** Calls to the HTTP API; failures are `Problem`s with a code that the words know. */

import { signal } from "@preact/signals";
import { spanText } from "./format";
import { look, words } from "./words";
import type { List, Session } from "./wire";

/** Relative, so that the page also works behind a reverse proxy's path. */
export const BASE = "api/v1";

export const session = signal<Session | null>(null);

/** True after a session ended under us (as against: never signed in). */
export const expired = signal(false);

/** A failed call: HTTP status (0 = no connection), the server's code, and seconds to wait if told. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly waitSeconds: number | null,
  ) {
    super(detail || code || String(status));
  }

  /** The failure in the chosen language. */
  get text(): string {
    const t = words.value.errors;
    const wait = this.waitSeconds === null ? "" : " " + t.wait(spanText(this.waitSeconds * 1000));
    const known = look(t, this.code);
    if (known !== this.code) return known + wait;
    return this.detail || t.unknown(this.status);
  }
}

const BY_STATUS: Record<number, string> = {
  0: "network",
  400: "invalid",
  401: "unauthorized",
  403: "forbidden",
  404: "not_found",
  409: "conflict",
  422: "invalid",
  423: "locked",
  429: "rate_limited",
  500: "server",
  502: "unavailable",
  503: "unavailable",
  504: "unavailable",
};

async function problemOf(response: Response): Promise<Problem> {
  let code = "";
  let detail = "";
  try {
    const body = (await response.json()) as Record<string, unknown>;
    // A refused password says in `fault` which part of the rule it breaks.
    const named = body["fault"] ?? body["code"];
    code = typeof named === "string" ? named : "";
    detail = typeof body["detail"] === "string" ? body["detail"] : "";
  } catch {
    // A proxy's error page: the status alone must do.
  }
  const wait = Number(response.headers.get("Retry-After") ?? NaN);
  const known = look(words.value.errors, code) === code ? "" : code;
  return new Problem(
    response.status,
    known || BY_STATUS[response.status] || code,
    detail,
    Number.isFinite(wait) && wait > 0 ? wait : null,
  );
}

async function call(method: string, path: string, body?: object): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (method !== "GET") headers["X-Campus-Edge"] = "1";
  if (body) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(`${BASE}/${path}`, {
      method,
      headers,
      body: body ? JSON.stringify(body) : undefined,
      credentials: "same-origin",
      cache: "no-store",
    });
  } catch {
    throw new Problem(0, "network", "", null);
  }
  if (response.ok) return response;
  if (response.status === 401 && session.value) signedOut();
  throw await problemOf(response);
}

export async function get<T>(path: string): Promise<T> {
  return (await call("GET", path)).json() as Promise<T>;
}

export async function send<T>(path: string, body: object): Promise<T> {
  return (await call("POST", path, body)).json() as Promise<T>;
}

export async function remove(path: string): Promise<void> {
  await call("DELETE", path);
}

/** All items of a list, following `next` for at most `pages` pages. */
export async function list<T>(path: string, pages = 20): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < pages; page += 1) {
    const joint = path.includes("?") ? "&" : "?";
    const answer: List<T> = await get<List<T>>(cursor ? `${path}${joint}cursor=${encodeURIComponent(cursor)}` : path);
    items.push(...answer.items);
    cursor = answer.next;
    if (!cursor) break;
  }
  return items;
}

/** The session ended (expired, revoked, signed out elsewhere): back to the login page. */
export function signedOut(): void {
  expired.value = true;
  session.value = null;
}

export function mayAcknowledge(): boolean {
  const role = session.value?.role;
  return role === "operator" || role === "engineer" || role === "admin";
}
