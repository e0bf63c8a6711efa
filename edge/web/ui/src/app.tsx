/** Which page stands: setup, login, or one of the routes behind a session and a loaded model. */

import { useEffect, useState } from "preact/hooks";
import { get, Problem, session } from "./api";
import { loadModel, site, stateKnown } from "./model";
import { route } from "./route";
import { words } from "./words";
import type { Session, SetupState } from "./wire";
import { AlarmsPage } from "./pages/alarms";
import { DevicePage } from "./pages/device";
import { Login, Setup } from "./pages/enter";
import { LinesPage } from "./pages/lines";
import { Overview } from "./pages/overview";
import { SpacePage } from "./pages/space";
import { SyncPage } from "./pages/sync";
import { WallPage } from "./pages/wall";
import { AckQuestion } from "./parts/ack";
import { Failed, Loading } from "./parts/notice";
import { Shell } from "./parts/shell";

const RETRY_MS = 5000;

type Gate = "asking" | "setup" | "open";

/** Asks whether the gateway is set up and who we are; keeps asking while it cannot be reached. */
function useGate() {
  const [gate, setGate] = useState<Gate>("asking");
  const [failure, fail] = useState("");
  const [attempt, again] = useState(0);
  useEffect(() => {
    let timer: number | undefined;
    const ask = async () => {
      try {
        const { needed, signed_in: signedIn } = await get<SetupState>("setup");
        if (!needed && signedIn !== false) {
          try {
            session.value = await get<Session>("session");
          } catch (error) {
            if (!(error instanceof Problem) || error.status !== 401) throw error;
          }
        }
        fail("");
        setGate(needed ? "setup" : "open");
      } catch (error) {
        fail(error instanceof Problem ? error.text : String(error));
        timer = window.setTimeout(() => again(attempt + 1), RETRY_MS);
      }
    };
    void ask();
    return () => window.clearTimeout(timer);
  }, [attempt]);
  return { gate, failure, opened: () => setGate("open") };
}

function useModel(wanted: boolean) {
  const [failure, fail] = useState("");
  const [attempt, again] = useState(0);
  useEffect(() => {
    if (!wanted) return undefined;
    let timer: number | undefined;
    loadModel().then(
      () => fail(""),
      (error: unknown) => {
        fail(error instanceof Problem ? error.text : String(error));
        timer = window.setTimeout(() => again(attempt + 1), RETRY_MS);
      },
    );
    return () => window.clearTimeout(timer);
  }, [wanted, attempt]);
  return failure;
}

function Page() {
  const { page, argument } = route.value;
  if (!stateKnown.value) return <Loading />;
  switch (page) {
    case "space":
      return <SpacePage key={argument} id={argument} />;
    case "device":
      return <DevicePage key={argument} id={argument} />;
    case "alarms":
      return <AlarmsPage />;
    case "lines":
      return <LinesPage />;
    case "sync":
      return <SyncPage />;
    default:
      return <Overview />;
  }
}

export function App() {
  const { gate, failure, opened } = useGate();
  const known = session.value !== null;
  const modelFailure = useModel(known);
  // The words are read here so that a language switch repaints even what holds no text itself.
  void words.value;
  if (gate === "asking") {
    return <div class="enter">{failure ? <Failed text={failure} /> : <Loading />}</div>;
  }
  if (gate === "setup" && !known) return <Setup done={opened} />;
  if (!known) return <Login />;
  if (!site.value) {
    return <div class="enter">{modelFailure ? <Failed text={modelFailure} /> : <Loading />}</div>;
  }
  return (
    <>
      {route.value.page === "wall" ? (
        <WallPage />
      ) : (
        <Shell>
          <Page />
        </Shell>
      )}
      <AckQuestion />
    </>
  );
}
