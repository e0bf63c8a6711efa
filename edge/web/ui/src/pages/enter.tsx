/** Before the first page: first-run setup with the token, and sign-in. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { expired, Problem, send, session } from "../api";
import { freshId } from "../ids";
import { isAlarmPage, route } from "../route";
import { words } from "../words";
import type { Session } from "../wire";
import { CheckIcon, SchoolIcon } from "../parts/icons";
import { LanguageButton } from "../parts/shell";

interface FieldProps {
  label: string;
  value: string;
  write: (text: string) => void;
  secret?: boolean;
  complete: string;
  focus?: boolean;
}

function Field({ label, value, write, secret = false, complete, focus = false }: FieldProps) {
  const t = words.value.login;
  const [id] = useState(() => freshId("field"));
  const [plain, show] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (focus) input.current?.focus();
  }, []);
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <div class="field-row">
        <input
          id={id}
          ref={input}
          type={(secret && !plain ? "password" : "text") as "text"}
          value={value}
          required
          autocomplete={complete}
          autocapitalize="off"
          spellcheck={false}
          onInput={(event) => write(event.currentTarget.value)}
        />
        {secret ? (
          <button type="button" class="ghost" onClick={() => show(!plain)} aria-pressed={plain}>
            {plain ? t.hide : t.show}
          </button>
        ) : null}
      </div>
    </div>
  );
}

function Frame({ title, children }: { title: string; children: ComponentChildren }) {
  const t = words.value;
  useEffect(() => {
    document.title = `${title} · ${t.product}`;
  }, [title, t.product]);
  return (
    <main class="enter">
      <div class="enter-card">
        <div class="enter-top">
          <span class="brand-mark">
            <SchoolIcon size={26} />
          </span>
          <span class="enter-product">{t.product}</span>
          <LanguageButton />
        </div>
        <h1>{title}</h1>
        {children}
      </div>
    </main>
  );
}

/** One submission at a time, its failure in words. */
function useSubmission(act: () => Promise<void>) {
  const [busy, setBusy] = useState(false);
  const [failure, fail] = useState<Problem | null>(null);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    fail(null);
    try {
      await act();
    } catch (error) {
      fail(error instanceof Problem ? error : new Problem(0, "", String(error), null));
      setBusy(false);
    }
  };
  return { busy, failure, submit };
}

function entered(found: Session): void {
  expired.value = false;
  session.value = found;
}

export function Login() {
  const t = words.value.login;
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  const { busy, failure, submit } = useSubmission(async () => {
    entered(await send<Session>("session", { user: user.trim(), password }));
  });
  const onWall = expired.value && isAlarmPage(route.value.page);
  return (
    <div class={onWall ? "enter-danger" : undefined}>
      <Frame title={t.title}>
        {expired.value ? (
          <p class={onWall ? "form-error" : "form-note"} role="alert">
            {onWall ? t.expiredWall : t.expired}
          </p>
        ) : null}
        <form onSubmit={(event) => void submit(event)} data-testid="login">
          <Field label={t.user} value={user} write={setUser} complete="username" focus />
          <Field label={t.password} value={password} write={setPassword} secret complete="current-password" />
          {failure ? (
            <p class="form-error" role="alert">
              {failure.text}
            </p>
          ) : null}
          <button type="submit" class="button primary large wide" disabled={busy}>
            {t.submit}
          </button>
        </form>
      </Frame>
    </div>
  );
}

/** The part of the password rule that can be told here; the server alone decides. */
function checks(user: string, password: string, again: string) {
  const classes = [/[a-z]/, /[A-Z]/, /[0-9]/, /[^a-zA-Z0-9]/].filter((kind) => kind.test(password)).length;
  const name = user.trim().toLowerCase();
  return {
    length: password.length >= 10,
    classes: classes >= 3,
    notUser: password !== "" && (name.length <= 2 ? password.toLowerCase() !== name : !password.toLowerCase().includes(name)),
    same: password !== "" && password === again,
  };
}

export function Setup({ done }: { done: () => void }) {
  const t = words.value.setup;
  const [token, setToken] = useState(new URLSearchParams(window.location.search).get("token") ?? "");
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const met = checks(user, password, again);
  const { busy, failure, submit } = useSubmission(async () => {
    if (password !== again) throw new Problem(422, "", t.mismatch, null);
    const found = await send<Session>("setup", { token: token.trim(), user: user.trim(), password });
    done();
    entered(found);
  });
  return (
    <Frame title={t.title}>
      <p class="form-note">{t.lead}</p>
      <form onSubmit={(event) => void submit(event)} data-testid="setup">
        <Field label={t.token} value={token} write={setToken} complete="off" focus />
        <Field label={t.user} value={user} write={setUser} complete="username" />
        <Field label={t.password} value={password} write={setPassword} secret complete="new-password" />
        <Field label={t.again} value={again} write={setAgain} secret complete="new-password" />
        <p class="rule">{t.rule}</p>
        <ul class="checks">
          {(Object.keys(met) as (keyof typeof met)[]).map((name) => (
            <li key={name} class={met[name] ? "met" : undefined}>
              <CheckIcon size={15} />
              {t[name]}
            </li>
          ))}
        </ul>
        {failure ? (
          <p class="form-error" role="alert">
            {failure.text}
          </p>
        ) : null}
        <button type="submit" class="button primary large wide" disabled={busy}>
          {t.submit}
        </button>
      </form>
    </Frame>
  );
}
