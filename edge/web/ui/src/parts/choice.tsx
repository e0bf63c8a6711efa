/** A row of buttons of which one is chosen. */

export interface Option {
  value: string;
  text: string;
  count?: number;
}

interface Props {
  label: string;
  options: Option[];
  chosen: string;
  choose: (value: string) => void;
}

export function Choice({ label, options, chosen, choose }: Props) {
  return (
    <div class="choice" role="group" aria-label={label}>
      {options.map(({ value, text, count }) => (
        <button key={value} type="button" aria-pressed={value === chosen} onClick={() => choose(value)}>
          {text}
          {count === undefined ? null : <span class="choice-count">{count}</span>}
        </button>
      ))}
    </div>
  );
}
