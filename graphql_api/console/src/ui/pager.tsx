// Steps through a long list, a page at a time.
import type { ReactNode } from "react";
import { count } from "./format.ts";
import { Icon, type IconName } from "./icon.tsx";

interface PagerProps {
  /** What is counted, in the plural: rows. */
  what: string;
  offset: number;
  /** How many a page has. */
  size: number;
  total: number;
  onMove(offset: number): void;
  children?: ReactNode;
}

export function Pager({ what, offset, size, total, onMove, children }: PagerProps) {
  const last = Math.max(0, Math.floor((total - 1) / size) * size);
  const steps: [IconName, string, number, boolean][] = [
    ["first", "First page", 0, offset === 0],
    ["left", "Previous page", Math.max(0, offset - size), offset === 0],
    ["right", "Next page", Math.min(last, offset + size), offset >= last],
    ["last", "Last page", last, offset >= last],
  ];
  return (
    <div className="foot">
      <span aria-live="polite">
        {total === 0 ? `No ${what}` : <>{what[0]!.toUpperCase() + what.slice(1)} <b>{count(offset + 1)} to {count(Math.min(offset + size, total))}</b> of {count(total)}</>}
      </span>
      {children}
      {total > size && (
        <span className="row end pages">
          {steps.map(([icon, label, to, off]) => (
            <button key={icon} type="button" className="btn icon quiet slim" aria-label={label} title={label} disabled={off} onClick={() => onMove(to)}>
              <Icon name={icon} />
            </button>
          ))}
        </span>
      )}
    </div>
  );
}
