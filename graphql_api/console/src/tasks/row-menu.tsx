// What can be done with one task: one menu for all rows, which the browser places at the button that opened it.
import { isFinal } from "@dask-graphql/client";
import { useRef } from "react";
import { address } from "../app/route.ts";
import { copy } from "../ui/copy.tsx";
import { Icon } from "../ui/icon.tsx";
import { addressOf, type Filters } from "./filters.ts";
import { type Action, ACTIONS } from "./operations.ts";
import type { Row } from "./rows.ts";
import type { Actions } from "./use-actions.tsx";

export const copyLink = (to: string): void => void copy(new URL(to, location.href).href, "Link");

export function RowMenu({ id, row, filters, actions }: { id: string; row: Row | undefined; filters: Filters; actions: Actions }) {
  const menu = useRef<HTMLDivElement>(null);
  const item = (action: Action, icon: "again" | "stop" | "x" | "logout") => {
    const states: readonly string[] = ACTIONS[action].states;
    return row && states.includes(row.state) && (
      <button type="button" disabled={actions.refusedBecause(action) !== undefined} title={actions.refusedBecause(action)} onClick={() => void actions.start(action, { ids: new Set([row.taskId]) })}>
        <Icon name={icon} />{ACTIONS[action].label}
      </button>
    );
  };
  return (
    <div ref={menu} id={id} className="menu" popover="auto" onClick={() => menu.current?.hidePopover()}>
      {row && (
        <>
          <a href={`#/tasks/${row.taskId}`}><Icon name="right" />Open</a>
          <button type="button" onClick={() => copyLink(`#/tasks/${row.taskId}`)}><Icon name="link" />Copy the link</button>
          {item("retry", "again")}
          {isFinal(row.state) && <a href={address(["types", row.name], { from: row.taskId })}><Icon name="edit" />Edit and run</a>}
          {item("cancel", "stop")}
          {item("withdraw", "logout")}
          {item("forget", "x")}
          <hr />
          {!filters.type.includes(row.name) && <a href={addressOf({ ...filters, type: [row.name] })}><Icon name="filter" />Only {row.name}</a>}
          {row.error && <a href={addressOf({ ...filters, error: [row.error.code] })}><Icon name="filter" />Only {row.error.code}</a>}
          {row.submittedBy && <a href={addressOf({ ...filters, by: row.submittedBy })}><Icon name="filter" />Only of {row.submittedBy}</a>}
        </>
      )}
    </div>
  );
}
