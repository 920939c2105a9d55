// The page of all tasks.
import { useCallback, useEffect, useId, useMemo, useRef, useState } from "react";
import { useNow } from "../api/poll.ts";
import { useKeys } from "../app/keyboard.ts";
import { prefer, usePreference } from "../app/preferences.ts";
import { go } from "../app/route.ts";
import { useMay, useSession } from "../app/session.ts";
import { Loading } from "../ui/banner.tsx";
import { count, counted } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";
import { Menu } from "../ui/overlay.tsx";
import { BulkBar } from "./bulk-bar.tsx";
import { isSelected, type Selection } from "./bulk.ts";
import { COLUMNS, sortedBy, sortedHere, toggleColumn, useColumns } from "./columns.ts";
import { Export, type Format } from "./export.tsx";
import { FilterBar } from "./filter-bar.tsx";
import { addressOf, isFiltered, OLDEST, readFilters, whereOf } from "./filters.ts";
import { Histogram } from "./histogram.tsx";
import { ListError, NoTasks } from "./list-states.tsx";
import { NewBar } from "./new-bar.tsx";
import { isOpen } from "./rows.ts";
import { copyLink, RowMenu } from "./row-menu.tsx";
import { type TableHandle, TaskTable } from "./table.tsx";
import { MOST_ROWS } from "./task-list.ts";
import { SortSelect } from "./sort-select.tsx";
import { hasStarted, started, Tour } from "./tour.tsx";
import { useActions } from "./use-actions.tsx";
import { useHold } from "./use-hold.ts";
import { useScale } from "./use-scale.ts";
import { useSelection } from "./use-selection.ts";
import { useTaskList } from "./use-task-list.ts";
import { Views } from "./views.tsx";

export function TasksPage({ query }: { query: URLSearchParams }) {
  const { catalogue, watch } = useSession();
  const address = query.toString();
  const filters = useMemo(() => readFilters(new URLSearchParams(address)), [address]);
  const { sort } = filters;
  const filterKey = addressOf({ ...filters, sort: "" });
  // The times of `since` are counted from when the filter was chosen: a list that begins anew each second would be none.
  const where = useMemo(() => whereOf(filters, catalogue.caller.name, Date.now()), [filterKey, catalogue.caller.name]);
  const local = sortedHere(sort);

  const [paused, setPaused] = useState(false);
  const [exporting, setExporting] = useState<{ selection: Selection; format: Format }>();
  const [skipped, setSkipped] = useState(hasStarted);
  const [menuRow, setMenuRow] = useState<string>();
  const [cursor, setCursor] = useState<string>();
  const menuId = useId();
  const body = useRef<HTMLTableSectionElement>(null);

  const chosen = useSelection(filterKey);
  const { held, why, hover } = useHold({ paused, selected: isSelected(chosen.selection), body });
  const { rows, total, loaded, busy, hasMore, reason, live, overflow, list, stale } = useTaskList(where, sort !== OLDEST, held);
  const now = useNow(rows.shown.some(({ state }) => isOpen(state)));
  // The order stays as it is until rows come or change; it does not follow each second.
  const shown = useMemo(() => sortedBy(rows.shown, sort, Date.now()), [rows.shown, local ? sort : ""]);
  const at = cursor === undefined ? -1 : shown.findIndex(({ taskId }) => taskId === cursor);
  const density = usePreference("density");
  const table = useRef<TableHandle>(null);
  const scale = useScale(rows.shown);
  const { shown: columns, hidden } = useColumns();
  const maySubmit = useMay("SUBMIT");

  useEffect(() => {
    if (rows.shown.length > 0) started();
  }, [rows.shown.length > 0]);
  // Rows that are sorted here would move with each page: a person asks for it.
  const readsOn = hasMore && !busy && !local && !reason && shown.length > 0;
  const onEnd = useCallback(() => {
    if (readsOn) void list.more();
  }, [readsOn, list]);

  const actions = useActions((action) => {
    if (action === "forget" || !("ids" in chosen.selection)) chosen.clear();
  });

  // The cursor, by keys: the link of its row has the focus, so that Enter opens it.
  const moved = useRef(false);
  const move = (step: number) => {
    const next = at < 0 ? (table.current?.first ?? 0) : Math.min(shown.length - 1, Math.max(0, at + step));
    const row = shown[next];
    if (!row) return;
    moved.current = true;
    setCursor(row.taskId);
    table.current?.reveal(next);
  };
  useEffect(() => {
    if (!moved.current) return;
    moved.current = false;
    body.current?.querySelector<HTMLElement>(`tr[data-id="${cursor}"] .strongname`)?.focus({ preventScroll: true });
  });
  const target = (): Selection | undefined =>
    isSelected(chosen.selection) ? chosen.selection : at >= 0 ? { ids: new Set([cursor!]) } : undefined;
  const choose = (taskId: string, range: boolean) => chosen.choose(taskId, range ? shown.map((row) => row.taskId) : undefined);
  useKeys({
    j: { what: "Next task", run: () => move(1) },
    k: { what: "Previous task", run: () => move(-1) },
    Enter: { what: "Open the task", run: () => at >= 0 && go(`#/tasks/${cursor}`) },
    x: { what: "Select", run: () => at >= 0 && choose(cursor!, false) },
    "Shift x": { what: "Select up to here", run: () => at >= 0 && choose(cursor!, true) },
    r: { what: "Run again", run: () => { const on = target(); if (on) void actions.start("retry", on); } },
    "Shift c": { what: "Cancel", run: () => { const on = target(); if (on) void actions.start("cancel", on); } },
    p: { what: "Pause, go on", run: () => setPaused(!paused) },
    n: { what: "New run", run: () => go("#/types") },
    y: { what: "Copy the link", run: () => copyLink(at >= 0 ? `#/tasks/${cursor}` : location.href) },
    Escape: { what: "Clear the selection", run: () => (isSelected(chosen.selection) ? chosen.clear() : setCursor(undefined)) },
  });

  const kept = watch.cluster?.tasks.reduce((sum, { count: number }) => sum + number, 0);
  const isEmpty = loaded && !stale && shown.length === 0 && rows.waiting.size === 0;
  const showsTour = isEmpty && !hasMore && !isFiltered(filters) && !skipped && !hasStarted();
  const allIds = () => new Set(shown.map(({ taskId }) => taskId));
  const allChosen = shown.length > 0 && (!("ids" in chosen.selection) || shown.every(({ taskId }) => chosen.isChosen(taskId)));

  return (
    <>
      <div className="pagehead">
        <h1>Tasks</h1>
        {kept !== undefined && kept > 0 && <span className="muted desk">{count(kept)} kept</span>}
        <div className="row end">
          <span className="desk">
            <button type="button" className="btn" aria-pressed={paused} title="Stop new rows from coming in (p)" onClick={() => setPaused(!paused)}>
              <Icon name={paused ? "play" : "pause"} />Pause
            </button>
          </span>
          <a className="btn primary" href="#/types" aria-disabled={!maySubmit || undefined}><Icon name="plus" />New run</a>
        </div>
      </div>
      {showsTour ? <Tour onSkip={() => { started(); setSkipped(true); }} /> : (
        <>
          <Views filters={filters} />
          <section className={`card tasklistcard${stale ? " dimmed" : ""}`} aria-label="List of tasks" aria-busy={stale || !loaded}>
            <FilterBar filters={filters} rows={rows.shown}>
              <Menu className="btn desk" icon="columns" label={<>View<Icon name="down" /></>} title="Row height and columns">
                <button type="button" onClick={() => prefer("density", "compact")}><Icon name="rows" />Dense rows{density === "compact" && <Icon name="check" className="end" />}</button>
                <button type="button" onClick={() => prefer("density", "roomy")}><Icon name="roomy" />Roomy rows{density === "roomy" && <Icon name="check" className="end" />}</button>
                <hr />
                {COLUMNS.filter(({ fixed }) => !fixed).map(({ key, title }) => (
                  <button key={key} type="button" role="checkbox" aria-checked={!hidden.has(key)} onClick={(event) => { event.stopPropagation(); toggleColumn(key); }}>
                    <Icon name="check" className={hidden.has(key) ? "unseen" : ""} />{title}
                  </button>
                ))}
              </Menu>
              <Menu className="btn icon desk" icon="download" title="Save this list as CSV or JSON">
                <button type="button" onClick={() => setExporting({ selection: chosen.everything(where, total, filters), format: "CSV" })}>As CSV</button>
                <button type="button" onClick={() => setExporting({ selection: chosen.everything(where, total, filters), format: "JSON" })}>As JSON</button>
              </Menu>
            </FilterBar>
            <Histogram where={where} filters={filters} total={stale ? null : total} />
            {reason && !loaded ? <ListError reason={reason} onRetry={() => void list.readAnew()} />
              : !loaded && !stale ? <Loading what="tasks" rows={8} />
              : isEmpty ? (busy ? <Loading what="tasks" rows={8} /> : <NoTasks filters={filters} kept={kept} looked={hasMore} onMore={() => void list.more()} />)
              : (
                <>
                  <NewBar
                    live={live} why={why} waiting={rows.waiting.size} overflow={overflow} paused={paused} onGoOn={() => setPaused(false)}
                    onShow={() => {
                      list.settle();
                      scrollTo({ top: 0 });
                    }}
                    note={local ? `${local.title}: sorts the ${counted(shown.length, "task")} loaded${hasMore ? ` of ${total === null ? "more" : count(total)}` : ""}` : undefined}
                    order={<SortSelect filters={filters} />}
                    onMore={local && hasMore ? () => void list.more(500) : undefined}
                  />
                  <div {...hover}>
                    <TaskTable
                      rows={shown} body={body} handle={table} density={density} cursorAt={at} onEnd={onEnd} columns={columns} filters={filters} total={total ?? (hasMore ? -1 : shown.length)} now={now}
                      isChosen={chosen.isChosen} allChosen={allChosen} someChosen={isSelected(chosen.selection)} cursor={cursor} scale={scale.of} menuId={menuId}
                      onChoose={choose} onChooseAll={() => (allChosen ? chosen.clear() : chosen.set({ ids: allIds() }))} onMenu={setMenuRow} onFocusRow={setCursor}
                    />
                  </div>
                  <div className="foot">
                    <span>
                      {total === null || total <= shown.length ? counted(shown.length, "task") : `${count(shown.length)} of ${count(total)}`}
                      {hasMore ? (shown.length >= MOST_ROWS ? " loaded, the most that a page shows: narrow the filter for others" : local ? " loaded" : " loaded; more load as you scroll") : ""}
                    </span>
                    {busy && <span role="status">Loading …</span>}
                    {reason && <span role="alert">Not up to date: {reason.message} <button type="button" className="linkbtn" onClick={() => void list.more()}>Try again</button></span>}
                    <span className="end desk">Bar: full = {scale.words}</span>
                  </div>
                </>
              )}
          </section>
        </>
      )}
      <BulkBar
        selection={chosen.selection} stateOf={(taskId) => rows.byId.get(taskId)?.state} actions={actions}
        all={chosen.offer(where, filters, total, rows.byId, watch.cluster, allChosen)}
        onExport={(format) => setExporting({ selection: chosen.selection, format })} onClear={chosen.clear}
      />
      <RowMenu id={menuId} row={menuRow === undefined ? undefined : rows.byId.get(menuRow)} filters={filters} actions={actions} />
      {actions.question}
      {exporting && <Export {...exporting} onEnd={() => setExporting(undefined)} />}
    </>
  );
}
