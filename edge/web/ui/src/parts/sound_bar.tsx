/** Whether the alarm can be heard: asks for the one click that browsers demand, shows when it is off. */

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

export function SoundButton() {
  const t = words.value.sound;
  const on = wantsSound.value;
  return (
    <button type="button" class="button" aria-pressed={on} onClick={toggleSound}>
      {on ? <SoundIcon size={18} /> : <MuteIcon size={18} />}
      {on ? t.on : t.off}
    </button>
  );
}
