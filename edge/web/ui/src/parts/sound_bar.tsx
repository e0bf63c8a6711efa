/** Whether the alarm can be heard: asks for the one click that browsers demand, shows when it is off. */

import { useState } from "preact/hooks";
import { Problem } from "../api";
import { audible, silenceSirens, sirenSounds } from "../desk";
import { audio, enableSound, toggleSound, wantsSound } from "../sound";
import { words } from "../words";
import { MuteIcon, SoundIcon } from "./icons";

/** The bar stands until sound really runs (or was switched off by a person, which it says). */
export function SoundBar() {
  const t = words.value.sound;
  if (!wantsSound.value) {
    return (
      <div class="sound-bar off" role="status">
        <MuteIcon size={20} />
        {t.offStrip}
      </div>
    );
  }
  if (audio.value === "running") return null;
  if (audio.value === "missing") {
    return (
      <div class="sound-bar off" role="status">
        <MuteIcon size={20} />
        {t.unsupported}
      </div>
    );
  }
  return (
    <button type="button" class="sound-bar" onClick={() => void enableSound()} data-testid="enable-sound">
      <SoundIcon size={20} />
      <strong>{t.enable}</strong>
      <span>{t.enableLead}</span>
    </button>
  );
}

/** Says whether an alarm would be heard now; a click makes it so, or mutes what is heard. */
export function SoundButton() {
  const t = words.value.sound;
  const on = audible.value;
  const change = () => (wantsSound.value && audio.value === "blocked" ? void enableSound() : toggleSound());
  return (
    <button type="button" class="button" aria-pressed={on} onClick={change} data-testid="sound-state">
      {on ? <SoundIcon size={18} /> : <MuteIcon size={18} />}
      {on ? t.on : t.off}
    </button>
  );
}

/** Stands while a siren of the school sounds: mutes it, the alarms stay. */
export function SirenButton() {
  const [failure, fail] = useState("");
  if (!sirenSounds.value) return null;
  const silence = () =>
    silenceSirens().then(
      () => fail(""),
      (error: unknown) => fail(error instanceof Problem ? error.text : String(error)),
    );
  return (
    <button type="button" class="button siren" onClick={() => void silence()} title={failure} data-testid="silence">
      <MuteIcon size={18} />
      {failure || words.value.sound.silence}
    </button>
  );
}
