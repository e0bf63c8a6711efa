/** A modal question. Own element: the browsers on old school PCs lack <dialog>. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { freshId } from "../ids";

interface Props {
  title: string;
  close: () => void;
  children: ComponentChildren;
}

const FOCUSABLE = "button:not([disabled]), input, textarea, a[href]";

export function Dialog({ title, close, children }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const titleId = useRef(freshId("dialog"));
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    const first = box.current?.querySelector<HTMLElement>("[data-first]") ?? box.current?.querySelector<HTMLElement>(FOCUSABLE);
    first?.focus();
    return () => before?.focus?.();
  }, []);
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "Escape") close();
    if (event.key !== "Tab") return;
    const inside = [...(box.current?.querySelectorAll<HTMLElement>(FOCUSABLE) ?? [])];
    const edge = event.shiftKey ? inside[0] : inside[inside.length - 1];
    if (document.activeElement === edge) {
      event.preventDefault();
      (event.shiftKey ? inside[inside.length - 1] : inside[0])?.focus();
    }
  };
  return (
    <div class="veil" onClick={(event) => event.target === event.currentTarget && close()}>
      <div class="dialog" role="dialog" aria-modal="true" aria-labelledby={titleId.current} ref={box} onKeyDown={onKey}>
        <h2 id={titleId.current}>{title}</h2>
        {children}
      </div>
    </div>
  );
}
