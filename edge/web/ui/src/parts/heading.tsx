/** A page's heading with an optional way back, and the browser's title with it. */

import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { site } from "../model";
import { words } from "../words";
import { BackIcon } from "./icons";

interface Props {
  title: string;
  lead?: ComponentChildren;
  back?: { href: string; text: string };
  children?: ComponentChildren;
}

export function Heading({ title, lead, back, children }: Props) {
  const owner = site.value?.name ?? words.value.product;
  useEffect(() => {
    document.title = `${title} · ${owner}`;
  }, [title, owner]);
  return (
    <div class="heading">
      <div class="heading-text">
        {back ? (
          <a class="back" href={back.href}>
            <BackIcon size={16} />
            {back.text}
          </a>
        ) : null}
        <h1>{title}</h1>
        {lead ? <div class="lead">{lead}</div> : null}
      </div>
      {children ? <div class="heading-tools">{children}</div> : null}
    </div>
  );
}
