// Whether the list follows what happens, and what waits to be shown. Always there, so that it moves no row when it speaks.
import type { ReactNode } from "react";
import { count } from "../ui/format.ts";
import { MOST_WAITING } from "./rows.ts";

interface NewBarProps {
  live: boolean;
  /** Why new rows wait; undefined if they come at once. */
  why: string | undefined;
  waiting: number;
  overflow: boolean;
  paused: boolean;
  onShow(): void;
  onGoOn(): void;
  /** What the order means, if it is not that of the api. */
  note: string | undefined;
  order: ReactNode;
  onMore: (() => void) | undefined;
}

export function NewBar({ live, why, waiting, overflow, paused, onShow, onGoOn, note, order, onMore }: NewBarProps) {
  const words = !live ? "Changes do not arrive; read every few seconds" : why ?? "Live";
  return (
    <div className="newbar">
      <i className={`livedot${live && !why ? "" : " off"}`} aria-hidden="true" />
      <span role="status">{words}</span>
      {(waiting > 0 || overflow) && (
        <button type="button" className="btn slim" onClick={onShow}>Show {overflow ? `${count(MOST_WAITING)}+` : count(waiting)} new</button>
      )}
      {paused && <button type="button" className="btn slim" onClick={onGoOn}>Go on</button>}
      {order}
      {note && <span className="end">{note}</span>}
      {onMore && <button type="button" className="btn slim" onClick={onMore}>Load 500 more</button>}
    </div>
  );
}
