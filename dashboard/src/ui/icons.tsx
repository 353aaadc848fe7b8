// Line icons of 16 units, drawn in the colour of the text. They are decoration: the text beside them says what they mean.

import type { ReactNode } from "react";

const PATHS = {
  overview: <path d="M2 8.5 8 3l6 5.5M4 7.5V13h8V7.5" />,
  workloads: <path d="m8 1.8 5.5 3v6.4L8 14.2l-5.5-3V4.8zM2.7 5 8 7.8 13.3 5M8 7.8v6.2" />,
  deploy: <path d="M8 10.5V2.5M4.8 5.6 8 2.4l3.2 3.2M2.5 10v3.5h11V10" />,
  nodes: <path d="M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5h.1M5 11h.1" />,
  network: <path d="M8 8 3.5 4M8 8l5-3M8 8v5M3.5 4h.1M13 5h.1M8 13h.1M8 8h.1" />,
  events: <path d="M3 4h.1M3 8h.1M3 12h.1M6 4h7.5M6 8h7.5M6 12h7.5" />,
  scheduler: <path d="M2.5 3.5h4v4h-4zM9.5 3.5h4v4h-4zM2.5 10.5h4v2h-4zM9.5 10.5h4v2h-4z" />,
  topology: <path d="M8 2.5v4M8 6.5H4v3M8 6.5h4v3M2.5 9.5h3v3h-3zM10.5 9.5h3v3h-3zM6.5 1.5h3v2h-3z" />,
  operations: <path d="M13.5 8a5.5 5.5 0 1 1-1.8-4.1M13.5 2v3h-3" />,
  plans: <path d="M3 2.5h7l3 3v8H3zM5.5 9l1.8 1.8L11 7" />,
  audit: <path d="M3.5 2h9v12h-9zM5.5 5h5M5.5 8h5M5.5 11h3" />,
  secrets: <path d="M3.5 7.5h9v6h-9zM5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5" />,
  tokens: <path d="M6.2 9.8a3 3 0 1 1 1.4-1.4L13.5 2.5M11 5l2 2" />,
  console: <path d="M2 3h12v10H2zM4.5 6l2 2-2 2M8.5 10h3" />,
  resources: <path d="M2.5 4c0-1 2.5-1.8 5.5-1.8S13.5 3 13.5 4 11 5.8 8 5.8 2.5 5 2.5 4v8c0 1 2.5 1.8 5.5 1.8s5.5-.8 5.5-1.8V4M2.5 8c0 1 2.5 1.8 5.5 1.8S13.5 9 13.5 8" />,
  catalogue: <path d="M2.5 2.5h4.5v4.5h-4.5zM9 2.5h4.5v4.5h-4.5zM2.5 9h4.5v4.5h-4.5zM11.2 9v4.5M9 11.2h4.5" />,
  search: <path d="M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9M10.3 10.3l3.4 3.4" />,
  copy: <path d="M5.5 5.5h8v8h-8zM3.5 10.5h-1v-8h8v1" />,
  check: <path d="m3 8.5 3.3 3.3L13 4.8" />,
  close: <path d="m3.5 3.5 9 9M12.5 3.5l-9 9" />,
  menu: <path d="M2 4h12M2 8h12M2 12h12" />,
  light: <path d="M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6M8 1.5v1M8 13.5v1M1.5 8h1M13.5 8h1M3.4 3.4l.7.7M11.9 11.9l.7.7M12.6 3.4l-.7.7M4.1 11.9l-.7.7" />,
  down: <path d="m4 6 4 4 4-4" />,
  ok: <path d="M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2M5.4 8.2l1.9 1.9 3.4-3.7" />,
  warn: <path d="M8 2.2 14.4 13H1.6zM8 6.4v3M8 11.2h.1" />,
  bad: <path d="M5.5 2h5L14 5.5v5L10.5 14h-5L2 10.5v-5zM8 5v3.6M8 10.8h.1" />,
  info: <path d="M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2M8 7.4v3.4M8 5.2h.1" />,
  quiet: <path d="M8 3.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9" />,
  moving: <path d="M13.5 8A5.5 5.5 0 1 1 8 2.5" />,
  pause: <path d="M5 3.5v9M11 3.5v9" />,
  play: <path d="m4.5 3 8 5-8 5z" />,
  download: <path d="M8 2.5v8M4.8 7.4 8 10.6l3.2-3.2M2.5 11v2.5h11V11" />,
} satisfies Record<string, ReactNode>;

export type IconName = keyof typeof PATHS;

export function Icon({ name, className = "" }: { name: IconName; className?: string }) {
  return (
    <svg
      viewBox="0 0 16 16"
      aria-hidden="true"
      className={`size-4 shrink-0 fill-none stroke-current stroke-[1.5] [stroke-linecap:round] [stroke-linejoin:round] ${className}`}
    >
      {PATHS[name]}
    </svg>
  );
}
