// Every icon of the console: 16 by 16, drawn with the colour of the text around it.
import type { ReactNode } from "react";

const SHAPES = {
  idle: <circle cx="8" cy="8" r="6"/>,
  pinned: <path className="solid" d="m8 1.6 2 4 4.3.6-3.1 3 .8 4.4L8 11.5l-4 2.1.8-4.4-3.1-3L6 5.6z"/>,
  queued: <><circle cx="8" cy="8" r="6" strokeDasharray="2.6 2.1"/><path d="M8 5v3.2l2 1.3"/></>,
  running: <><circle cx="8" cy="8" r="6" opacity=".28"/><path d="M8 2a6 6 0 0 1 6 6"/></>,
  succeeded: <><circle cx="8" cy="8" r="6"/><path d="M5.2 8.2 7.2 10.2 10.9 6.1"/></>,
  failed: <><path className="solid" d="M5.1 1h5.8L15 5.1v5.8L10.9 15H5.1L1 10.9V5.1z"/><path className="cut" d="m5.6 5.6 4.8 4.8m0-4.8-4.8 4.8"/></>,
  cancelled: <><circle cx="8" cy="8" r="6"/><path d="M5.2 8h5.6"/></>,
  warning: <path d="M8 2.2 14.6 13.4H1.4zM8 6.6v3m0 1.9v.1"/>,
  search: <><circle cx="7" cy="7" r="4.5"/><path d="m10.4 10.4 3.4 3.4"/></>,
  filter: <path d="M2 4h12M4.5 8h7M7 12h2"/>,
  columns: <path d="M2.5 3h11v10h-11zM6.2 3v10M9.8 3v10"/>,
  rows: <path d="M2 3.5h12M2 6.5h12M2 9.5h12M2 12.5h12"/>,
  roomy: <path d="M2 4h12M2 8h12M2 12h12"/>,
  download: <path d="M8 2.5v7.2m-3-2.9 3 3 3-3M2.5 13.5h11"/>,
  upload: <path d="M8 10V2.8m-3 3 3-3 3 3M2.5 13.5h11"/>,
  pause: <path d="M5.5 3.5v9m5-9v9"/>,
  play: <path d="M5 3.2v9.6L12.6 8z"/>,
  plus: <path d="M8 3v10M3 8h10"/>,
  down: <path d="m4 6 4 4 4-4"/>,
  right: <path d="m6 4 4 4-4 4"/>,
  left: <path d="m10 4-4 4 4 4"/>,
  first: <path d="M4 4v8m8-8L8 8l4 4"/>,
  last: <path d="M12 4v8M4 4l4 4-4 4"/>,
  x: <path d="m4 4 8 8m0-8-8 8"/>,
  check: <path d="m3 8.5 3.2 3.2L13 5"/>,
  more: <><circle className="solid" cx="3.2" cy="8" r="1.3"/><circle className="solid" cx="8" cy="8" r="1.3"/><circle className="solid" cx="12.8" cy="8" r="1.3"/></>,
  copy: <path d="M5.5 5.5h8v8h-8zM3 10.5h-.5v-8h8V3"/>,
  link: <path d="M6.5 9.5a3 3 0 0 0 4.2 0l2.3-2.3A3 3 0 0 0 8.8 3l-.7.7M9.5 6.5a3 3 0 0 0-4.2 0L3 8.8A3 3 0 0 0 7.2 13l.7-.7"/>,
  again: <path d="M13 8a5 5 0 1 1-1.5-3.6L13 5.8M13 2.4v3.4H9.6"/>,
  edit: <path d="M2.5 13.5 3 10.6l7.6-7.6 2.4 2.4L5.4 13zM9 4.6 11.4 7"/>,
  stop: <path d="M4 4h8v8H4z"/>,
  code: <path d="m5.5 4.5-3.5 3.5 3.5 3.5m5-7 3.5 3.5-3.5 3.5"/>,
  tag: <path d="M2.5 2.5h5.3l5.7 5.7-5.3 5.3-5.7-5.7zM5.2 5.2v.1"/>,
  user: <><circle cx="8" cy="5.5" r="2.7"/><path d="M2.8 13.5a5.3 5.3 0 0 1 10.4 0"/></>,
  key: <><circle cx="5" cy="8" r="2.6"/><path d="M7.6 8h6.2M11.4 8v2.4"/></>,
  list: <path d="M2.5 4h.1M5.5 4h8M2.5 8h.1M5.5 8h8M2.5 12h.1M5.5 12h8"/>,
  types: <path d="M2.5 2.5h4.6v4.6H2.5zM8.9 2.5h4.6v4.6H8.9zM2.5 8.9h4.6v4.6H2.5zM8.9 8.9h4.6v4.6H8.9z"/>,
  cluster: <path d="M2.5 2.5h11v4h-11zM2.5 9.5h11v4h-11zM5 4.5h.1M5 11.5h.1"/>,
  audit: <path d="M4 2h6l3 3v9H4zM9.5 2v3.5H13M6.5 8.5h4M6.5 11h4"/>,
  sortdown: <path d="M8 3v10m-3.5-3.5L8 13l3.5-3.5"/>,
  info: <><circle cx="8" cy="8" r="6"/><path d="M8 7.4v3.4M8 5.1v.1"/></>,
  offline: <path d="M2 2l12 12M4.6 7.1A3 3 0 0 0 5 13h6.4M6.6 4.3A4 4 0 0 1 12 7.6a2.8 2.8 0 0 1 1.8 3"/>,
  file: <path d="M3.5 2h6l3 3v9h-9zM9 2v3.5h3.5"/>,
  sun: <><circle cx="8" cy="8" r="2.8"/><path d="M8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3M3.4 3.4l.9.9M11.7 11.7l.9.9M3.4 12.6l.9-.9M11.7 4.3l.9-.9"/></>,
  external: <path d="M9.5 2.5h4v4M13.5 2.5 7.5 8.5M11.5 9.5v4h-9v-9h4"/>,
  wrap: <path d="M2 4h12M2 8h9.5a2 2 0 0 1 0 4H9m1.6-1.6L9 12l1.6 1.6M2 12h4"/>,
  bell: <path d="M4 11V7a4 4 0 0 1 8 0v4l1.2 1.2H2.8zM6.8 14h2.4"/>,
  star: <path d="m8 2 1.8 3.8 4.2.5-3.1 2.9.8 4.1L8 11.2 4.3 13.3l.8-4.1L2 6.3l4.2-.5z"/>,
  inbox: <path d="M2.5 9 4.5 3h7l2 6v4h-11zM2.5 9h3l1 1.8h3l1-1.8h3"/>,
  zoom: <><circle cx="7" cy="7" r="4.5"/><path d="m10.4 10.4 3.4 3.4M5 7h4M7 5v4"/></>,
  power: <path d="M8 2v5.5M4.6 4.4a5 5 0 1 0 6.8 0"/>,
  logout: <path d="M6.5 2.5h-4v11h4M6 8h8m-3-3 3 3-3 3"/>,
  keyboard: <path d="M1.5 4h13v8h-13zM4 6.7h.1M6.7 6.7h.1M9.3 6.7h.1M12 6.7h.1M5 9.5h6"/>,
  chart: <path d="M2.5 2.5v11h11M5.5 11V8M8.5 11V5M11.5 11V7"/>,
} satisfies Record<string, ReactNode>;

export type IconName = keyof typeof SHAPES;

/** Decoration beside a word; a button with nothing but an icon has an `aria-label` of its own. */
export const Icon = ({ name, className = "" }: { name: IconName; className?: string }) => (
  <svg className={`i ${className}`} viewBox="0 0 16 16" aria-hidden="true">
    {SHAPES[name]}
  </svg>
);
