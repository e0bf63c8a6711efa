/** What this browser remembers between visits; works without, too (storage may be forbidden). */

const PREFIX = "campus-edge.";

export function recall(name: string): string | null {
  try {
    return window.localStorage.getItem(PREFIX + name);
  } catch {
    return null;
  }
}

export function remember(name: string, value: string): void {
  try {
    window.localStorage.setItem(PREFIX + name, value);
  } catch {
    // Private mode or a locked-down kiosk: the choice then lasts as long as the page.
  }
}
