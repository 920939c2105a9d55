// A table result: pages of its rows, a line of one column, and its downloads.
import { useContext, useState } from "react";
import { bytes, count, counted } from "../ui/format.ts";
import { Download } from "../ui/download.tsx";
import { RefusalView } from "../ui/parts.tsx";
import { numberOf, Plot } from "../ui/plot.tsx";
import { type Path, ResultContext, useResult } from "./read-result.ts";

const PAGE_ROWS = 50;
/** More columns make the page slow; the downloads have them all. */
const SHOWN_COLUMNS = 40;
const NUMERIC = /^(u?int\d+|float|double|halffloat|decimal)/;

export interface TableValue {
  rowCount: string;
  columns: { name: string; type: string; nullable: boolean }[];
  sizeBytes: string;
  parquet: string;
  arrow: string;
  csv: string;
  fileId: string | null;
  parts: unknown[];
}

type Row = Record<string, unknown>;

interface Order {
  column: string;
  descending: boolean;
}

export function TableView({ table, path, name }: { table: TableValue; path: Path; name: string }) {
  const readable = useContext(ResultContext) !== undefined;
  const [offset, setOffset] = useState(0);
  const [order, setOrder] = useState<Order>();
  const columns = table.columns.slice(0, SHOWN_COLUMNS);
  const names = JSON.stringify(columns.map((column) => column.name));
  const { data, reason, busy } = useResult<{ rows: Row[] }>(
    path, readable && columns.length > 0 ? `rows(offset: "${offset}", limit: ${PAGE_ROWS}, columns: ${names})` : undefined,
  );
  const total = Number(table.rowCount);
  const rows = data && order ? sorted(data.rows, order) : data?.rows;
  const file = name.replace(/\W+/g, "-");
  const move = (to: number) => setOffset(Math.max(0, Math.min(to, Math.floor((total - 1) / PAGE_ROWS) * PAGE_ROWS)));
  const turn = (column: string) =>
    setOrder((last) => (last?.column !== column ? { column, descending: false } : last.descending ? undefined : { column, descending: true }));

  return (
    <div className="data">
      <p className="row hint">
        <span>
          {counted(total, "row")}, {counted(table.columns.length, "column")}, {bytes(Number(table.sizeBytes))}
          {table.columns.length > SHOWN_COLUMNS && `; the first ${SHOWN_COLUMNS} columns are shown`}
        </span>
        <Download url={table.parquet} file={`${file}.parquet`} label="Parquet" />
        <Download url={table.arrow} file={`${file}.arrow`} label="Arrow" />
        <Download url={table.csv} file={`${file}.csv`} label="CSV" />
      </p>
      {reason && <RefusalView reason={reason} />}
      {rows && total > 0 && (
        <>
          <div className="scroll grid" tabIndex={0} role="region" aria-label={name} aria-busy={busy}>
            <table>
              <thead>
                <tr>
                  {columns.map((column) => (
                    <th
                      key={column.name} scope="col" className={NUMERIC.test(column.type) ? "numeric" : undefined}
                      aria-sort={order?.column === column.name ? (order.descending ? "descending" : "ascending") : "none"}
                    >
                      <button type="button" className="sort" title="Sort the rows of this page" onClick={() => turn(column.name)}>
                        {column.name}
                        <span aria-hidden="true">{order?.column === column.name ? (order.descending ? " ↓" : " ↑") : ""}</span>
                      </button>
                      <span className="type">{column.type}{column.nullable && "?"}</span>
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {rows.map((row, index) => (
                  <tr key={index}>
                    {columns.map((column) => <Cell key={column.name} value={row[column.name]} numeric={NUMERIC.test(column.type)} />)}
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          <p className="row hint">
            <button type="button" className="quiet" disabled={offset === 0} onClick={() => move(0)}>First</button>
            <button type="button" className="quiet" disabled={offset === 0} onClick={() => move(offset - PAGE_ROWS)}>Previous</button>
            <span aria-live="polite">rows {count(offset + 1)} to {count(Math.min(offset + PAGE_ROWS, total))}</span>
            <button type="button" className="quiet" disabled={offset + PAGE_ROWS >= total} onClick={() => move(offset + PAGE_ROWS)}>Next</button>
            <button type="button" className="quiet" disabled={offset + PAGE_ROWS >= total} onClick={() => move(total)}>Last</button>
            {order && <span>sorted by {order.column}, this page only</span>}
          </p>
          <ColumnPlot columns={columns.filter(({ type }) => NUMERIC.test(type)).map((column) => column.name)} rows={data!.rows} offset={offset} />
        </>
      )}
    </div>
  );
}

function Cell({ value, numeric }: { value: unknown; numeric: boolean }) {
  if (value === null || value === undefined) return <td className="hint">none</td>;
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return <td className={numeric ? "numeric" : undefined}>{text.length > 200 ? `${text.slice(0, 200)} …` : text}</td>;
}

/** A line of one column of the rows on the page. */
function ColumnPlot({ columns, rows, offset }: { columns: string[]; rows: Row[]; offset: number }) {
  const [chosen, setChosen] = useState<string>();
  const column = chosen ?? columns[0];
  if (column === undefined || rows.length < 2) return null;
  return (
    <>
      <label className="row hint">
        Chart of
        <select value={column} onChange={(event) => setChosen(event.target.value)}>
          {columns.map((name) => <option key={name}>{name}</option>)}
        </select>
      </label>
      <Plot title={column} values={rows.map((row) => numberOf(row[column]))} from={`row ${count(offset + 1)}`} to={`row ${count(offset + rows.length)}`} />
    </>
  );
}

/** Numbers by their value, all else as text; missing values last. */
function sorted(rows: Row[], { column, descending }: Order): Row[] {
  const sign = descending ? -1 : 1;
  return rows.toSorted((first, second) => {
    const [a, b] = [first[column] ?? null, second[column] ?? null];
    if (a === null || b === null) return Number(a === null) - Number(b === null);
    if (typeof a === "number" && typeof b === "number") return sign * (a - b);
    return sign * String(a).localeCompare(String(b), "en", { numeric: true });
  });
}
