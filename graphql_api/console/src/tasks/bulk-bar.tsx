// What can be done with the selected tasks; it names only what applies.
import type { TaskState } from "@dask-graphql/client";
import { count as counts } from "../ui/format.ts";
import { Icon, type IconName } from "../ui/icon.tsx";
import { Menu } from "../ui/overlay.tsx";
import { applicable, isSelected, type Selection } from "./bulk.ts";
import type { Format } from "./export.tsx";
import { type Action, ACTIONS } from "./operations.ts";
import type { Actions } from "./use-actions.tsx";

const ICONS: Record<Action, IconName> = { retry: "again", cancel: "stop", withdraw: "logout", forget: "x" };

interface BulkBarProps {
  selection: Selection;
  stateOf(taskId: string): TaskState | undefined;
  actions: Actions;
  /** Selects all that the filter means; undefined if nothing more is meant. */
  all: { label: string; choose(): void } | undefined;
  onExport(format: Format): void;
  onClear(): void;
}

export function BulkBar({ selection, stateOf, actions, all, onExport, onClear }: BulkBarProps) {
  if (!isSelected(selection)) return null;
  const number = "ids" in selection ? selection.ids.size : selection.count;
  const words = "ids" in selection ? `${counts(selection.ids.size)} selected` : number === null ? "All that match" : `All ${counts(number)} selected`;
  const refused = applicable(selection, stateOf).map(([action]) => actions.refusedBecause(action)).find((why) => why !== undefined);
  return (
    <div className="bulkplace">
      <div className="bulk" role="toolbar" aria-label={words}>
        <b className="strong" role="status">{words}</b>
        {all && <button type="button" className="btn quiet slim" onClick={all.choose}>{all.label}</button>}
        {applicable(selection, stateOf).map(([action, applies]) => (
          <button
            key={action} type="button" className={`btn${action === "forget" || action === "cancel" ? " danger" : ""}${action === "withdraw" ? " desk" : ""}`} disabled={actions.busy || actions.refusedBecause(action) !== undefined}
            onClick={() => void actions.start(action, selection)} title={actions.refusedBecause(action)}
          >
            <Icon name={ICONS[action]} />
            {ACTIONS[action].label}{applies !== null && applies !== number && ` ${counts(applies)}`}
          </button>
        ))}
        <Menu className="btn desk wide" icon="download" label="Export" title="Save the selected tasks">
          <button type="button" onClick={() => onExport("CSV")}>As CSV</button>
          <button type="button" onClick={() => onExport("JSON")}>As JSON</button>
        </Menu>
        <button type="button" className="btn icon quiet slim" aria-label="Clear the selection (Esc)" title="Clear the selection (Esc)" onClick={onClear}><Icon name="x" /></button>
        {refused && <p className="muted small">{refused}</p>}
      </div>
    </div>
  );
}
