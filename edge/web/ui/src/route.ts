/** Hash routes: `#/device/em-b1?point=co2` is page "device", argument "em-b1". No server rewrite needed. */

import { signal } from "@preact/signals";

export interface Route {
  page: string;
  argument: string;
  query: URLSearchParams;
}

function parse(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [page = "", ...rest] = path.split("/");
  return { page, argument: safelyDecoded(rest.join("/")), query: new URLSearchParams(query) };
}

function safelyDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const route = signal<Route>(parse(window.location.hash));

window.addEventListener("hashchange", () => {
  const before = route.value;
  route.value = parse(window.location.hash);
  if (before.page !== route.value.page || before.argument !== route.value.argument) window.scrollTo(0, 0);
});

/** The address of a page. */
export function to(page: string, argument = "", query: Record<string, string> = {}): string {
  const search = new URLSearchParams(query).toString();
  return `#/${page}${argument && "/" + encodeURIComponent(argument)}${search && "?" + search}`;
}

/** Changes the query of the present page without a new history entry. */
export function refine(query: Record<string, string>): void {
  const { page, argument } = route.value;
  window.history.replaceState(null, "", to(page, argument, query));
  route.value = parse(window.location.hash);
}

/** Pages on which a missing alarm is a danger: the stream stays open even in a hidden tab. */
export function isAlarmPage(page: string): boolean {
  return page === "alarms" || page === "wall";
}
