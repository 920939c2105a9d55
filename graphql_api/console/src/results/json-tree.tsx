// JSON as a tree that opens where it is clicked, with a search.
import { type ReactNode, useDeferredValue, useMemo, useState } from "react";
import { canCopy, copy } from "../ui/copy.tsx";
import { count, counted } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";
import { Marked } from "../ui/marked.tsx";
import { membersOf, pathText, searchJson, type Step } from "./json-search.ts";
import { TextView } from "./text-view.tsx";

const SHOWN_MEMBERS = 50;
/** What is open at first. */
const OPEN_MEMBERS = 20;

/** Small values need no search. */
const SEARCHED_MEMBERS = 8;

export function JsonView({ value, name }: { value: unknown; name: string }) {
  const [view, setView] = useState<"tree" | "text">("tree");
  const [search, setSearch] = useState("");
  const wanted = useDeferredValue(search.trim().toLowerCase());
  if (typeof value !== "object" || value === null) return <Plain value={value} wanted="" />;
  return (
    <>
      <div className="row jsontools">
        {membersOf(value).length >= SEARCHED_MEMBERS && view === "tree" && (
          <div className="searchbox"><Icon name="search" /><input type="search" aria-label={`Search in ${name}`} placeholder="Search keys and values" value={search} onChange={(event) => setSearch(event.target.value)} /></div>
        )}
        <div className="seg end" role="group" aria-label="View">
          <button type="button" aria-pressed={view === "tree"} onClick={() => setView("tree")}>Tree</button>
          <button type="button" aria-pressed={view === "text"} onClick={() => setView("text")}>JSON</button>
        </div>
      </div>
      {view === "text" ? <TextView text={JSON.stringify(value, null, 2)} name={name} /> : wanted ? <FoundList value={value} wanted={wanted} /> : (
        <div className="treebox" tabIndex={0} role="region" aria-label={name}><Members value={value} path={[]} depth={0} /></div>
      )}
    </>
  );
}

function Members({ value, path, depth }: { value: object; path: Step[]; depth: number }) {
  const [shown, setShown] = useState(SHOWN_MEMBERS);
  const members = membersOf(value);
  return (
    <ul className="tree">
      {members.slice(0, shown).map(([step, member]) => <Node key={step} path={[...path, step]} value={member} depth={depth} />)}
      {members.length > shown && (
        <li><button type="button" className="linkbtn" onClick={() => setShown(shown + 10 * SHOWN_MEMBERS)}>{count(members.length - shown)} more</button></li>
      )}
    </ul>
  );
}

function Node({ path, value, depth }: { path: Step[]; value: unknown; depth: number }) {
  const branch = typeof value === "object" && value !== null;
  const size = branch ? membersOf(value).length : 0;
  const [open, setOpen] = useState(depth === 0 && size <= OPEN_MEMBERS);
  const label: ReactNode = path.at(-1);
  if (!branch || size === 0) return <li className="leaf"><span>{label} <Plain value={value} wanted="" /></span><NodeTools path={path} value={value} /></li>;
  return (
    <li>
      <details open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>{label} <span className="muted">{counted(size, Array.isArray(value) ? "item" : "field")}</span> <NodeTools path={path} value={value} /></summary>
        {open && <Members value={value} path={path} depth={depth + 1} />}
      </details>
    </li>
  );
}

function NodeTools({ path, value }: { path: Step[]; value: unknown }) {
  if (!canCopy) return null;
  const text = () => (typeof value === "string" ? value : JSON.stringify(value, null, 2));
  return (
    <span className="nodetools">
      <button type="button" className="linkbtn" aria-label={`Copy the path ${pathText(path)}`} onClick={(event) => { event.preventDefault(); void copy(pathText(path), "Path"); }}>path</button>
      <button type="button" className="linkbtn" aria-label={`Copy the value of ${pathText(path)}`} onClick={(event) => { event.preventDefault(); void copy(text(), "Value"); }}>value</button>
    </span>
  );
}

function FoundList({ value, wanted }: { value: object; wanted: string }) {
  const { found, more } = useMemo(() => searchJson(value, wanted), [value, wanted]);
  return (
    <>
      <p className="small muted" role="status">{found.length === 0 ? "Nothing found" : `${more ? "The first " : ""}${counted(found.length, "match").replace("matchs", "matches")}`}</p>
      <ul className="tree">
        {found.map(({ path, value: hit }) => (
          <li key={pathText(path)} className="leaf">
            <span><Marked text={pathText(path)} wanted={wanted} /> {typeof hit === "object" && hit !== null ? <span className="muted">{counted(membersOf(hit).length, Array.isArray(hit) ? "item" : "field")}</span> : <Plain value={hit} wanted={wanted} />}</span>
            <NodeTools path={path} value={hit} />
          </li>
        ))}
      </ul>
    </>
  );
}

const SHOWN_CHARACTERS = 300;

function Plain({ value, wanted }: { value: unknown; wanted: string }) {
  if (value === null || value === undefined) return <span className="null">null</span>;
  if (typeof value === "object") return <span className="muted">empty</span>;
  const text = String(value);
  return (
    <span className={typeof value === "string" ? "string" : "scalar"} title={text.length > SHOWN_CHARACTERS ? text.slice(0, 2000) : undefined}>
      <Marked text={text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text} wanted={wanted} />
    </span>
  );
}
