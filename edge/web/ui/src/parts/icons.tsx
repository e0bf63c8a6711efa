/** Drawn here as inline SVG: no font, no image request, follows the text's colour. */

import type { ComponentChildren } from "preact";

interface Props {
  size?: number;
}

function Icon({ size = 18, children, filled = false }: Props & { children: ComponentChildren; filled?: boolean }) {
  return (
    <svg
      class="icon"
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill={filled ? "currentColor" : "none"}
      stroke={filled ? "none" : "currentColor"}
      stroke-width="2"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {children}
    </svg>
  );
}

export const HomeIcon = (p: Props) => (
  <Icon {...p}>
    <path d="M3 11.5 12 4l9 7.5" />
    <path d="M5.5 9.5V20h13V9.5" />
    <path d="M10 20v-6h4v6" />
  </Icon>
);
export const BellIcon = (p: Props) => (
  <Icon {...p}>
    <path d="M6 10a6 6 0 0 1 12 0c0 5 2 6.5 2 6.5H4S6 15 6 10Z" />
    <path d="M10 20a2.2 2.2 0 0 0 4 0" />
  </Icon>
);
export const LineIcon = (p: Props) => (
  <Icon {...p}>
    <path d="M3 12h18" />
    <circle cx="7" cy="12" r="2.2" fill="currentColor" />
    <circle cx="17" cy="12" r="2.2" fill="currentColor" />
    <path d="M12 12V5M12 12v7" />
  </Icon>
);
export const SyncIcon = (p: Props) => (
  <Icon {...p}>
    <path d="M7 18a4.5 4.5 0 0 1-.6-8.96A6 6 0 0 1 18 8.5a4.5 4.5 0 0 1-.5 9" />
    <path d="M12 20v-8M9 14.5l3-3 3 3" />
  </Icon>
);
export const WallIcon = (p: Props) => (
  <Icon {...p}>
    <rect x="3" y="4.5" width="18" height="12" rx="1.5" />
    <path d="M9 20.5h6" />
  </Icon>
);
export const CheckIcon = (p: Props) => (
  <Icon {...p}>
    <circle cx="12" cy="12" r="9" />
    <path d="m8 12.3 2.8 2.8L16 9.5" />
  </Icon>
);
export const WarnIcon = (p: Props) => (
  <Icon {...p}>
    <path d="M12 3.8 21.5 20h-19L12 3.8Z" />
    <path d="M12 10v4.5M12 17.2v.1" />
  </Icon>
);
export const OfflineIcon = (p: Props) => (
  <Icon {...p}>
    <circle cx="12" cy="12" r="9" />
    <path d="m6 18 12-12" />
  </Icon>
);
export const ClockIcon = (p: Props) => (
  <Icon {...p}>
    <circle cx="12" cy="12" r="9" />
    <path d="M12 7v5.2l3.4 2" />
  </Icon>
);
export const SearchIcon = (p: Props) => (
  <Icon {...p}>
    <circle cx="11" cy="11" r="6.5" />
    <path d="m16 16 4.5 4.5" />
  </Icon>
);
export const SoundIcon = (p: Props) => (
  <Icon {...p}>
    <path d="M4 9.5v5h3.5L12 18.5v-13L7.5 9.5H4Z" />
    <path d="M15.5 9a4 4 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11" />
  </Icon>
);
export const MuteIcon = (p: Props) => (
  <Icon {...p}>
    <path d="M4 9.5v5h3.5L12 18.5v-13L7.5 9.5H4Z" />
    <path d="m16 9.5 5 5M21 9.5l-5 5" />
  </Icon>
);
export const BackIcon = (p: Props) => (
  <Icon {...p}>
    <path d="m14.5 5-7 7 7 7" />
  </Icon>
);
export const SchoolIcon = (p: Props) => (
  <Icon {...p}>
    <path d="M12 3v4" />
    <path d="M12 3.3h4.2l-1 1.4 1 1.4H12" />
    <path d="m4 12 8-5 8 5" />
    <path d="M5.5 11.2V20h13v-8.8" />
    <path d="M10 20v-4.5h4V20" />
  </Icon>
);

/** Octagon, triangle, diamond, circle: the level is told by the shape as well as colour and word. */
export function PriorityIcon({ level, size = 18 }: Props & { level: 1 | 2 | 3 | 4 }) {
  const shape = {
    1: <path d="M8 2h8l6 6v8l-6 6H8l-6-6V8l6-6Z" />,
    2: <path d="M12 2 23 21.5H1L12 2Z" />,
    3: <path d="m12 1.5 10.5 10.5L12 22.5 1.5 12 12 1.5Z" />,
    4: <circle cx="12" cy="12" r="10.5" />,
  }[level];
  return (
    <Icon size={size} filled>
      {shape}
      {level === 4 ? (
        <path d="M11 10.5h2v7h-2zM11 6.5h2v2.2h-2z" class="icon-cut" />
      ) : (
        <path d={level === 2 ? "M11 9h2v6h-2zM11 16.6h2v2.2h-2z" : "M11 6.2h2v7.3h-2zM11 15.4h2v2.2h-2z"} class="icon-cut" />
      )}
    </Icon>
  );
}
