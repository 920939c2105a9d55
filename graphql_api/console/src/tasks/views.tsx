// Saved views: names for addresses, kept on this device for the caller.
import { useEffect, useState, useSyncExternalStore } from "react";
import { request } from "../api/client.ts";
import { placeOf } from "../app/preferences.ts";
import { useSession } from "../app/session.ts";
import { inState } from "../cluster/watch.ts";
import { count } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";
import { Dialog } from "../ui/overlay.tsx";
import { addressOf, type Filters, NO_FILTERS, whereOf } from "./filters.ts";
import { COUNT } from "./operations.ts";

interface SavedView {
  name: string;
  address: string;
}

const FAILED_TODAY: Filters = { ...NO_FILTERS, state: ["FAILED"], since: "today" };

const BUILT_IN: readonly SavedView[] = [
  { name: "All", address: addressOf(NO_FILTERS) },
  { name: "My runs", address: addressOf({ ...NO_FILTERS, by: "me" }) },
  { name: "Failed today", address: addressOf(FAILED_TODAY) },
];

const MOST = 20;
const listeners = new Set<() => void>();
const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => void listeners.delete(listener);
};

function parse(json: string): SavedView[] {
  try {
    const views: unknown = JSON.parse(json);
    if (!Array.isArray(views)) return [];
    return views.filter((view): view is SavedView => typeof view?.name === "string" && typeof view.address === "string" && view.address.startsWith("#/tasks")).slice(0, MOST);
  } catch {
    return []; // written by something else
  }
}

function keepAt(place: string, views: SavedView[]): void {
  localStorage.setItem(place, JSON.stringify(views.slice(-MOST)));
  for (const listener of listeners) listener();
}

/** How many tasks failed today, read when the number of all that failed changes. */
function useFailedToday(): number | null {
  const { cluster } = useSession().watch;
  const failed = cluster && inState(cluster, "FAILED");
  const [number, setNumber] = useState<number | null>(null);
  useEffect(() => {
    if (failed === undefined) return;
    const timer = setTimeout(() => {
      request<{ tasks: { totalCount: number | null } }>(COUNT, { where: whereOf(FAILED_TODAY, "", Date.now()) }).then(
        ({ tasks }) => setNumber(tasks.totalCount), () => setNumber(null), // the list says what is wrong
      );
    }, 500);
    return () => clearTimeout(timer);
  }, [failed]);
  return number;
}

export function Views({ filters }: { filters: Filters }) {
  const place = placeOf("views", useSession().catalogue.caller);
  const saved = parse(useSyncExternalStore(subscribe, () => localStorage.getItem(place) ?? "[]"));
  const keep = (views: SavedView[]) => keepAt(place, views);
  const failedToday = useFailedToday();
  const [naming, setNaming] = useState(false);
  const here = addressOf(filters);
  const known = [...BUILT_IN, ...saved].some(({ address }) => address === here);
  const own = saved.find(({ address }) => address === here);
  return (
    <>
      <nav className="tabs" aria-label="Saved views">
        {[...BUILT_IN, ...saved].map(({ name, address }) => (
          <a key={`${name} ${address}`} href={address} aria-current={address === here ? "true" : undefined}>
            {name}
            {name === "Failed today" && failedToday ? <span className="count bad">{count(failedToday)}</span> : null}
          </a>
        ))}
        {!known && <button type="button" className="btn quiet slim" onClick={() => setNaming(true)}><Icon name="plus" />Save this view</button>}
        {own && <button type="button" className="btn quiet slim" onClick={() => keep(saved.filter((view) => view !== own))}><Icon name="x" />Remove “{own.name}”</button>}
      </nav>
      {naming && <NameDialog taken={[...BUILT_IN, ...saved].map(({ name }) => name)} onClose={() => setNaming(false)} onName={(name) => {
        keep([...saved, { name, address: here }]);
        setNaming(false);
      }} />}
    </>
  );
}

function NameDialog({ taken, onName, onClose }: { taken: string[]; onName(name: string): void; onClose(): void }) {
  const [name, setName] = useState("");
  const isTaken = taken.includes(name.trim());
  return (
    <Dialog title="Save this view" onClose={onClose} actions={<>
      <button type="button" className="btn" onClick={onClose}>Do not save</button>
      <button type="submit" form="view-name" className="btn primary" disabled={!name.trim() || isTaken}>Save</button>
    </>}>
      <form id="view-name" onSubmit={(event) => { event.preventDefault(); if (name.trim() && !isTaken) onName(name.trim()); }}>
        <label htmlFor="view-name-field">Name</label>
        <input id="view-name-field" className="input" value={name} maxLength={40} autoFocus onChange={(event) => setName(event.target.value)} />
      </form>
      <p className="muted">{isTaken ? "There is a view of this name." : "It keeps the filters and the order, on this device. To share a view, share its address."}</p>
    </Dialog>
  );
}
