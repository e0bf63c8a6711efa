/** The chosen language: Chinese first, English one click away, remembered by this browser. */

import { computed, effect, signal } from "@preact/signals";
import type { Text } from "../wire";
import { recall, remember } from "../memory";
import { en } from "./en";
import { zh } from "./zh";

export type Language = "zh" | "en";

export const language = signal<Language>(recall("language") === "en" ? "en" : "zh");

/** The texts of the chosen language; reading `.value` in a component follows a switch. */
export const words = computed(() => (language.value === "en" ? en : zh));

effect(() => {
  document.documentElement.lang = language.value === "en" ? "en" : "zh-CN";
});

export function switchLanguage(): void {
  language.value = language.value === "zh" ? "en" : "zh";
  remember("language", language.value);
}

/** A server-side bilingual text in the chosen language, or the other one when empty. */
export function say(text: Text | null | undefined): string {
  if (!text) return "";
  return language.value === "en" ? text.en || text.zh : text.zh || text.en;
}

/** The text for a code from the server; the code itself when this version does not know it. */
export function look(table: object, code: string): string {
  const found = (table as Record<string, unknown>)[code];
  return typeof found === "string" ? found : code;
}
