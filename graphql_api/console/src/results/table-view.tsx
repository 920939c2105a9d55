// A table result: its rows in pages, sorted and filtered, a chart of a column, and its downloads.
import { useContext, useState } from "react";
import { Loading } from "../ui/banner.tsx";
import { Download } from "../ui/download.tsx";
import { bytes, count, counted, figure } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";
import { Pager } from "../ui/pager.tsx";
import { Fact, Facts, RefusalView } from "../ui/parts.tsx";
import { numberOf, Plot } from "../ui/plot.tsx";
import { ConditionForm, Conditions } from "./conditions.tsx";
import { type Path, ResultContext, useResult } from "./read-result.ts";
import { type Bar, barsOf, type Condition, filtered, type Order, type Row, sorted, statisticsOf, textOf } from "./rows.ts";

const PAGE_ROWS = 50;
/** More columns make the page slow; the downloads have them all. */
const SHOWN_COLUMNS = 40;
/** As many rows as the api returns at once, and as many values as a page can hold: such a table is sorted and filtered as a whole. */
const WHOLE_ROWS = 10_000;
const WHOLE_VALUES = 200_000;
/** A table as small as this is read as a whole from the start, so that the histograms tell of all of it. */
const SMALL_VALUES = 20_000;
const CELL_CHARACTERS = 200;

export interface TableValue {
  rowCount: string;
  columns: Column[];
  sizeBytes: string;
  parquet: string;
  arrow: string;
  csv: string;
  fileId: string | null;
  parts: unknown[];
}

interface Column {
  name: string;
  type: string;
  nullable: boolean;
}

const isNumber = ({ type }: Column): boolean => /^(u?int\d+|float|double|halffloat|decimal)/.test(type);

export function TableView({ table, path, name }: { table: TableValue; path: Path; name: string }) {
  const readable = useContext(ResultContext) !== undefined;
  const [offset, setOffset] = useState(0);
  const [order, setOrder] = useState<Order>();
  const [conditions, setConditions] = useState<Condition[]>([]);
  const [drawn, setDrawn] = useState<string>();
  const total = Number(table.rowCount);
  const columns = table.columns.slice(0, SHOWN_COLUMNS);
  const values = total * columns.length;
  const small = total <= WHOLE_ROWS && values <= SMALL_VALUES;
  const [refused, setRefused] = useState(false);
  const fits = total <= WHOLE_ROWS && values <= WHOLE_VALUES && !refused;
  const whole = fits && (small || order !== undefined || conditions.length > 0);
  const names = JSON.stringify(columns.map((column) => column.name));
  const [from, limit] = whole ? [0, total] : [offset, PAGE_ROWS];
  const { data, reason, busy } = useResult<{ rows: Row[] }>(
    path, readable && columns.length > 0 && total > 0 ? `rows(offset: "${from}", limit: ${limit}, columns: ${names})` : undefined,
  );
  // Wide values can be too much for one answer.
  if (reason?.code === "ANSWER_TOO_LARGE" && whole) setRefused(true);
  // What was read last may still be a page, or still be the whole.
  const all = whole && data !== undefined && data.rows.length === total;
  const found = data && filtered(data.rows, all ? conditions : []);
  const rows = found && (order ? sorted(found, order) : found);
  const shown = all ? rows!.slice(offset, offset + PAGE_ROWS) : (rows ?? []);
  const matching = all ? rows!.length : total;
  const file = name.replace(/\W+/g, "-");
  const turn = (column: string) => {
    setOrder((last) => (last?.column !== column ? { column, descending: false } : last.descending ? undefined : { column, descending: true }));
    if (fits) setOffset(0);
  };
  const filter = (next: Condition[]) => {
    setConditions(next);
    setOffset(0);
  };
  const chart = columns.find((column) => column.name === drawn) ?? (columns.length > 0 ? columns.find(isNumber) : undefined);

  return (
    <div className="data">
      <div className="row tablehead">
        <span className="small muted">
          {counted(total, "row")} × {counted(table.columns.length, "column")} · {bytes(Number(table.sizeBytes))}
          {table.columns.length > SHOWN_COLUMNS && `; the first ${SHOWN_COLUMNS} columns are shown`}
        </span>
        <span className="row end pages">
          <Download url={table.csv} file={`${file}.csv`} label="CSV" />
          <Download url={table.parquet} file={`${file}.parquet`} label="Parquet" />
          <Download url={table.arrow} file={`${file}.arrow`} label="Arrow" />
        </span>
      </div>
      {reason && !refused && <RefusalView reason={reason} />}
      {readable && total > 0 && fits && (
        <div className="row">
          <Conditions conditions={conditions} onChange={filter} />
          <ConditionForm columns={columns.map((column) => column.name)} onAdd={(condition) => filter([...conditions, condition])} />
          {conditions.length > 0 && all && <span className="small muted end" role="status">{counted(matching, "row")} {matching === 1 ? "matches" : "match"}</span>}
        </div>
      )}
      {!data && busy && readable && total > 0 && <Loading what="the rows" rows={8} />}
      {data && total > 0 && (
        <>
          <div className="tablewrap tall edged" tabIndex={0} role="region" aria-label={name} aria-busy={busy}>
            <table className="grid-table">
              <thead>
                <tr>
                  <th scope="col" className="rowno"><span className="visually-hidden">Row</span></th>
                  {columns.map((column) => (
                    <th
                      key={column.name} scope="col" className={isNumber(column) ? "num" : undefined}
                      aria-sort={order?.column === column.name ? (order.descending ? "descending" : "ascending") : "none"}
                    >
                      <button type="button" className="sort" title={fits ? "Sort by this column" : "Sort the rows of this page"} onClick={() => turn(column.name)}>
                        {column.name}
                        <Icon name="sortdown" className={order?.column === column.name && !order.descending ? "up" : ""} />
                      </button>
                      <span className="ty">{column.type}{column.nullable && "?"}</span>
                      <Mini bars={barsOf(data.rows.map((row) => row[column.name]), isNumber(column))} />
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {shown.map((row, index) => (
                  <tr key={index}>
                    <td className="rowno">{count((all ? offset : from) + index + 1)}</td>
                    {columns.map((column) => <Cell key={column.name} value={row[column.name]} numeric={isNumber(column)} />)}
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          <Pager what="rows" offset={offset} size={PAGE_ROWS} total={matching} onMove={setOffset}>
            {order && <span>sorted by {order.column}{!fits && ", this page only: the table is too long to sort here"}</span>}
          </Pager>
          {chart && (
            <ColumnView
              columns={columns} column={chart} rows={all ? rows! : data.rows} whole={all} first={all ? 0 : offset} onChoose={setDrawn}
            />
          )}
        </>
      )}
    </div>
  );
}

function Cell({ value, numeric }: { value: unknown; numeric: boolean }) {
  if (value === null || value === undefined) return <td className={numeric ? "num" : undefined}><span className="null">null</span></td>;
  const text = textOf(value);
  const long = text.length > CELL_CHARACTERS;
  return <td className={numeric ? "num" : undefined} title={long ? text.slice(0, 2000) : undefined}>{long ? `${text.slice(0, CELL_CHARACTERS)}…` : text}</td>;
}

/** A column's values in a few bars; decoration, as the chart below has the numbers. */
function Mini({ bars }: { bars: Bar[] }) {
  const most = bars.reduce((high, bar) => Math.max(high, bar.count), 1);
  const width = 64 / Math.max(1, bars.length);
  return (
    <svg className="mini" viewBox="0 0 64 20" preserveAspectRatio="none" aria-hidden="true">
      {bars.map((bar, index) => {
        const height = bar.count === 0 ? 0 : Math.max(1, (20 * bar.count) / most);
        return <rect key={index} x={index * width} y={20 - height} width={width * 0.88} height={height} />;
      })}
    </svg>
  );
}

interface ColumnViewProps {
  columns: Column[];
  column: Column;
  rows: Row[];
  /** The rows are all that meet the conditions, not only those of a page. */
  whole: boolean;
  /** The place of the first one. */
  first: number;
  onChoose(column: string): void;
}

/** One column: how its values spread, their course over the rows, and a few figures. */
function ColumnView({ columns, column, rows, whole, first, onChoose }: ColumnViewProps) {
  const [view, setView] = useState<"spread" | "course">("spread");
  const values = rows.map((row) => row[column.name]);
  const numeric = isNumber(column);
  const bars = barsOf(values, numeric);
  const missing = values.filter((value) => value === null || value === undefined).length;
  return (
    <div className="columnview">
      <div className="row">
        <label className="row small muted">Column <select className="select narrow" value={column.name} onChange={(event) => onChoose(event.target.value)}>{columns.map(({ name }) => <option key={name}>{name}</option>)}</select></label>
        {numeric && (
          <div className="seg" role="group" aria-label="Chart">
            <button type="button" aria-pressed={view === "spread"} onClick={() => setView("spread")}>Spread</button>
            <button type="button" aria-pressed={view === "course"} onClick={() => setView("course")}>Course</button>
          </div>
        )}
        <span className="small muted end">{whole ? `${counted(rows.length, "row")}` : "The rows of this page"}</span>
      </div>
      <div className="columnchart">
        {numeric && view === "course" ? (
          <Plot title={column.name} values={values.map(numberOf)} from={`row ${count(first + 1)}`} to={`row ${count(first + rows.length)}`} />
        ) : bars.length > 0 ? (
          <Spread bars={bars} name={column.name} total={rows.length} />
        ) : (
          <p className="small muted">{numeric ? "All values are the same, or there are none." : "Too many different values for a chart."}</p>
        )}
        <Facts className="money">
          <Fact name="Rows">{count(rows.length)}</Fact>
          <Fact name="Null">{count(missing)}</Fact>
          {numeric && statisticsOf(values).map(([what, value]) => <Fact key={what} name={what}>{figure(value)}</Fact>)}
        </Facts>
      </div>
    </div>
  );
}

function Spread({ bars, name, total }: { bars: Bar[]; name: string; total: number }) {
  const most = bars.reduce((high, bar) => Math.max(high, bar.count), 1);
  return (
    <ul className="spread" aria-label={`Spread of ${name}`}>
      {bars.map((bar) => (
        <li key={bar.label} className="hbar">
          <span className="clip" title={bar.label}>{bar.label}</span>
          <span className="b" style={{ width: `${(100 * bar.count) / most}%` }} />
          <span className="num">{count(bar.count)} <span className="muted">{Math.round((100 * bar.count) / total)} %</span></span>
        </li>
      ))}
    </ul>
  );
}
