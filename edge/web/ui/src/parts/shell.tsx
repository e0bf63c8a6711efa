/** The frame of every page but the wall: name, navigation, link strip, clock, language, sign-out. */

import type { ComponentChildren } from "preact";
import { useComputed } from "@preact/signals";
import { remove, session, signedOut, expired } from "../api";
import { now } from "../clock";
import { clockText, dateText } from "../format";
import { site } from "../model";
import { route, to } from "../route";
import { unackedAlarms } from "../states";
import { link } from "../stream";
import { switchLanguage, words } from "../words";
import { BellIcon, HomeIcon, LineIcon, SchoolIcon, SyncIcon, WarnIcon } from "./icons";
import { LinkStrip } from "./link_strip";

const PAGES = [
  { page: "", name: "overview", icon: HomeIcon, also: ["space", "device"] },
  { page: "alarms", name: "alarms", icon: BellIcon, also: [] as string[] },
  { page: "lines", name: "lines", icon: LineIcon, also: [] as string[] },
  { page: "sync", name: "sync", icon: SyncIcon, also: [] as string[] },
] as const;

export function LanguageButton() {
  const t = words.value;
  return (
    <button type="button" class="ghost language" onClick={switchLanguage} aria-label={t.languageLabel} data-testid="language">
      {t.language}
    </button>
  );
}

async function signOut(): Promise<void> {
  try {
    await remove("session");
  } finally {
    signedOut();
    expired.value = false;
  }
}

function Clock() {
  const time = useComputed(() => clockText(now.value));
  const date = useComputed(() => dateText(now.value));
  return (
    <span class="clock" title={date.value}>
      <time>{time}</time>
    </span>
  );
}

function Navigation() {
  const t = words.value.nav;
  const waiting = unackedAlarms.value.length;
  return (
    <nav class="nav" aria-label={t.label}>
      {PAGES.map(({ page, name, icon: Mark, also }) => {
        const here = route.value.page === page || (also as readonly string[]).includes(route.value.page);
        return (
          <a key={name} href={to(page)} aria-current={here ? "page" : undefined}>
            <Mark size={20} />
            <span>{t[name]}</span>
            {name === "alarms" && waiting > 0 ? <span class="nav-count">{waiting}</span> : null}
          </a>
        );
      })}
    </nav>
  );
}

export function Shell({ children }: { children: ComponentChildren }) {
  const t = words.value;
  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>
        {t.skip}
      </a>
      <header class="top">
        <a class="brand" href={to("")}>
          <span class="brand-mark">
            <SchoolIcon size={22} />
          </span>
          <span class="brand-text">
            <strong>{site.value?.name ?? t.product}</strong>
            <small>{t.product}</small>
          </span>
        </a>
        {site.value?.demo ? (
          <span class="demo-mark" title={t.demoHint}>
            {t.demo}
          </span>
        ) : null}
        <Navigation />
        <div class="top-right">
          <LinkStrip />
          <Clock />
          <LanguageButton />
          <span class="who">
            <span class="who-name">{session.value?.user}</span>
            <small>{session.value ? t.roles[session.value.role] : ""}</small>
          </span>
          <button type="button" class="ghost sign-out" onClick={() => void signOut()}>
            {t.user.logout}
          </button>
        </div>
      </header>
      {link.value === "deaf" ? (
        <div class="deaf-banner" role="alert">
          <WarnIcon size={20} />
          {t.stream.lostBanner}
        </div>
      ) : null}
      <main id="main" class="main" tabIndex={-1}>
        {children}
      </main>
      <footer class="foot">
        <span>
          {t.product} {site.value?.version}
        </span>
        <a href="api/v1/docs">{t.common.apiDocs}</a>
        <a href="THIRD-PARTY.txt">{t.common.licences}</a>
        <span class="foot-who">
          {session.value?.user} · {session.value ? t.roles[session.value.role] : ""} ·{" "}
          <button type="button" onClick={() => void signOut()}>
            {t.user.logout}
          </button>
        </span>
      </footer>
    </div>
  );
}
