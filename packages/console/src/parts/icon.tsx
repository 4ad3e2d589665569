/** Icons: 16 units, one stroke, in the colour of the text around them. */
import type { ReactNode } from "react";

const PATHS = {
  overview: "M2.5 13.5v-4M6.2 13.5v-8M9.8 13.5v-6M13.5 13.5v-11",
  explore: "M2.5 4h11M2.5 8h6M2.5 12h4M13.5 13.5l-1.9-1.9M12.2 9.9a2.1 2.1 0 1 1-4.2 0 2.1 2.1 0 0 1 4.2 0",
  integrity: "M8 2v3.5M8 5.5L4 9M8 5.5L12 9M2.5 9h3v3.5h-3zM10.5 9h3v3.5h-3z",
  settings:
    "M2.5 5h5.5M11.5 5h2M2.5 11h2M8 11h5.5M11.4 5a1.7 1.7 0 1 1-3.4 0 1.7 1.7 0 0 1 3.4 0M8 11a1.7 1.7 0 1 1-3.4 0A1.7 1.7 0 0 1 8 11",
  search: "M13.5 13.5l-3-3M11.7 7.1a4.6 4.6 0 1 1-9.2 0 4.6 4.6 0 0 1 9.2 0",
  clock: "M8 4.5V8l2.3 1.4M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0",
  down: "M4.5 6.5L8 10l3.5-3.5",
  right: "M6.5 4.5L10 8l-3.5 3.5",
  columns: "M2.5 3h11v10h-11zM6.2 3v10M9.8 3v10",
  save: "M8 2.5l1.7 3.5 3.8.5-2.8 2.7.7 3.8L8 11.2 4.6 13l.7-3.8L2.5 6.5l3.8-.5z",
  export: "M8 2.5v7M5 7l3 3 3-3M2.5 12.5h11",
  link: "M6.8 9.2a2.4 2.4 0 0 0 3.4 0l2-2a2.4 2.4 0 0 0-3.4-3.4l-.6.6M9.2 6.8a2.4 2.4 0 0 0-3.4 0l-2 2a2.4 2.4 0 0 0 3.4 3.4l.6-.6",
  plus: "M8 3.5v9M3.5 8h9",
  equal: "M4 6h8M4 10h8",
  unequal: "M4 6h8M4 10h8M10.5 3.5l-5 9",
  close: "M4.2 4.2l7.6 7.6M11.8 4.2l-7.6 7.6",
  check: "M3.5 8.5l3 3 6-7",
  sealed: "M8 1.8l5 1.9v4c0 3-2.1 5.3-5 6.5-2.9-1.2-5-3.5-5-6.5v-4zM5.7 7.9l1.7 1.7 3-3.3",
  context: "M2.5 3.5h11M2.5 12.5h11M5 6.5h6v3H5z",
  person: "M8 8a2.6 2.6 0 1 0 0-5.2A2.6 2.6 0 0 0 8 8M3 13.5c.4-2.5 2.4-3.8 5-3.8s4.6 1.3 5 3.8",
  theme: "M13.2 9.3A5.5 5.5 0 0 1 6.7 2.8a5.5 5.5 0 1 0 6.5 6.5",
  open: "M9.5 2.5h4v4M13.5 2.5l-6 6M11.5 9.5v4h-9v-9h4",
  warning: "M8 4v5M8 11.5v.5",
  differs: "M4 2.5v11M12 2.5v11M2 5h4M10 9h4M10 5h4M2 9h4",
  key: "M9.5 9.5l4-4M11.5 4.5l2 2M8.8 10.7a3 3 0 1 1-6 0 3 3 0 0 1 6 0",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  play: "M5 3.5l7 4.5-7 4.5z",
  copy: "M5.5 5.5h7v8h-7zM3.5 10.5v-8h7",
  keyboard: "M1.5 4.5h13v7h-13zM4 7h.01M6.7 7h.01M9.300 7h.01M12 7h.01M5 9.3h6",
  leave: "M9 2.5H3v11h6M6.5 8h7M11 5.5L13.5 8 11 10.5",
  facets: "M2.5 4h11M4.5 8h7M6.5 12h3",
} as const;

export type IconName = keyof typeof PATHS;

/** An icon beside a word; alone, its control needs a label. */
export function Icon({ name, size = 16 }: { readonly name: IconName; readonly size?: number }): ReactNode {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth={1.4}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
