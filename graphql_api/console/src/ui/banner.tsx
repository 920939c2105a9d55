// What a part of a page shows when it has nothing, or cannot know.
import type { ReactNode } from "react";
import { Icon, type IconName } from "./icon.tsx";

interface BannerProps {
  kind: "failed" | "warning" | "running";
  icon?: IconName;
  title: ReactNode;
  children?: ReactNode;
  /** Buttons at the end. */
  actions?: ReactNode;
}

export const Banner = ({ kind, icon = kind === "running" ? "info" : kind, title, children, actions }: BannerProps) => (
  <div className={`banner s-${kind}`} role={kind === "failed" ? "alert" : "status"}>
    <Icon name={icon} />
    <div className="grow">
      <p className="strong">{title}</p>
      {children}
    </div>
    {actions}
  </div>
);

/** Why there is nothing here, and the one step that helps. */
export const Empty = ({ icon, title, children, actions }: { icon: IconName; title: string; children?: ReactNode; actions?: ReactNode }) => (
  <div className="empty">
    <span className="glyph"><Icon name={icon} /></span>
    <h2>{title}</h2>
    {children && <p>{children}</p>}
    {actions && <div className="row">{actions}</div>}
  </div>
);

/** Grey bars in place of rows; shown only once loading has taken 300 ms. */
export const Loading = ({ what, rows = 5 }: { what: string; rows?: number }) => (
  <div className="loading" role="status" aria-label={`Loading ${what}`}>
    {Array.from({ length: rows }, (_, index) => (
      <span key={index} className="skel" style={{ width: `${40 + ((index * 37) % 50)}%` }} />
    ))}
  </div>
);
