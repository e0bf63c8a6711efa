/** A table that turns into labelled blocks on a phone (no sideways scrolling). */

import type { ComponentChildren } from "preact";

export interface Column<T> {
  name: string;
  /** Numbers stand to the right. */
  number?: boolean;
  /** The row's own name: a heading on the phone. */
  head?: boolean;
  /** Left out on the phone when there is nothing to say. */
  quiet?: (row: T) => boolean;
  cell: (row: T) => ComponentChildren;
}

interface Props<T> {
  caption: string;
  columns: Column<T>[];
  rows: T[];
  keyOf: (row: T) => string;
  chosen?: (row: T) => boolean;
}

export function Table<T>({ caption, columns, rows, keyOf, chosen }: Props<T>) {
  return (
    <table class="stack">
      <caption class="visually-hidden">{caption}</caption>
      <thead>
        <tr>
          {columns.map((column) => (
            <th key={column.name} scope="col" class={column.number ? "number" : undefined}>
              {column.name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={keyOf(row)} class={chosen?.(row) ? "chosen" : undefined}>
            {columns.map((column) => (
              <td
                key={column.name}
                data-label={column.name}
                class={[column.number && "number", column.head && "head", column.quiet?.(row) && "quiet"].filter(Boolean).join(" ") || undefined}
              >
                {column.cell(row)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
