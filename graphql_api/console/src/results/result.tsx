// A result by its type: a number, a picture, a download, a table, an array, a stream, a tree, a text.
import { type ReactNode, useMemo, useState } from "react";
import { shapeOf, type TaskType, type UsedType } from "../api/task-types.ts";
import { CopyIcon } from "../ui/copy.tsx";
import { Icon } from "../ui/icon.tsx";
import { Pager } from "../ui/pager.tsx";
import { Fact, Facts } from "../ui/parts.tsx";
import { saveText } from "../ui/save.ts";
import { ArrayView, type ArrayValue } from "./array-view.tsx";
import { JsonView } from "./json-tree.tsx";
import { LongNumber, NumberView } from "./number-view.tsx";
import { type BlobValue, BlobView, Picture, PICTURE } from "./picture.tsx";
import { type Path, ResultContext } from "./read-result.ts";
import { StreamPages } from "./stream-view.tsx";
import { type TableValue, TableView } from "./table-view.tsx";
import { TextView } from "./text-view.tsx";

/** Rows of a list on a page. */
const LIST_ROWS = 100;
/** A longer text has a box of its own. */
const LONG_TEXT = 200;

type Fields = Record<string, unknown>;

interface ResultProps {
  taskId: string;
  type: TaskType;
  result: Fields;
  /** False for the partial result of a running task. */
  whole: boolean;
}

export function ResultView({ taskId, type, result, whole }: ResultProps) {
  const value = type.wrapsValue ? result["value"] : result;
  const graphqlType = type.wrapsValue
    ? (type.types.find(({ name }) => name === type.outputType)?.fields[0]?.graphqlType ?? "JSON")
    : type.outputType;
  const context = useMemo(() => (whole ? { taskId, outputType: type.outputType } : undefined), [whole, taskId, type.outputType]);
  const text = () => JSON.stringify(value, null, 2);
  const title = whole ? "Result" : "Result so far";
  return (
    <section className="card resultcard" aria-label={title}>
      <header>
        <h2>{title}</h2>
        {!whole && <span className="muted small">It still changes</span>}
        {whole && !type.stream && (
          <span className="row end pages">
            <CopyIcon text={text} what="the result as JSON" />
            <button type="button" className="btn icon quiet slim" aria-label="Save as JSON" title="Save as JSON" onClick={() => saveText(text(), `${taskId}.json`, "application/json")}>
              <Icon name="download" />
            </button>
          </span>
        )}
      </header>
      <div className="body result">
        {whole && type.outputType === "FibonacciResult" && result["value"] === null && <LongNumber taskId={taskId} digits={Number(result["digits"])} />}
        <ResultContext value={context}>
          {type.stream ? (
            <StreamPages type={type} stream={type.stream} count={Number(result["count"])} />
          ) : (
            <Value value={value} graphqlType={graphqlType} types={type.types} name={type.name} path={type.wrapsValue ? ["value"] : []} />
          )}
        </ResultContext>
      </div>
    </section>
  );
}

interface ValueProps {
  value: unknown;
  graphqlType: string;
  types: UsedType[];
  /** For the names of saved files, and for screen readers. */
  name: string;
  /** Where it is in the result. */
  path: Path;
}

export function Value({ value, graphqlType, types, name, path }: ValueProps): ReactNode {
  const { kind, name: typeName, type } = shapeOf(graphqlType, types);
  if (value === null || value === undefined) return <span className="null">null</span>;
  if (kind === "list") return <List items={value as unknown[]} graphqlType={typeName} types={types} name={name} path={path} />;
  if (typeName === "Blob") return <BlobView blob={value as unknown as BlobValue} name={name} />;
  if (isTable(type)) return <TableView table={value as unknown as TableValue} path={path} name={name} />;
  if (typeName === "Array") return <ArrayView array={value as unknown as ArrayValue} path={path} name={name} />;
  if (kind === "object" && type) return <ObjectView fields={value as Fields} type={type} types={types} name={name} path={path} />;
  if (typeName === "BigInt") return <NumberView digits={String(value)} name={name} />;
  if (typeName === "Int" || typeName === "Float") return <span className="mono">{String(value)}</span>;
  if (typeName === "JSON") return <JsonView value={value} name={name} />;
  if (typeof value === "string") {
    const media = PICTURE.exec(value)?.[1];
    if (media) return <Picture url={value} name={name} file={`${name}.${media.replace("+xml", "")}`} sizeBytes={Math.round((value.length * 3) / 4)} mediaType={`image/${media}`} />;
    if (value.length > LONG_TEXT || value.includes("\n")) return <TextView text={value} name={name} />;
  }
  return <span className="anywhere">{String(value)}</span>;
}

/** `Table`, or the type of a `Table[Row]`, which has a name of its own. */
const isTable = (type: UsedType | undefined): boolean =>
  ["rowCount", "columns", "parquet"].every((name) => type?.fields.some(({ graphqlName }) => graphqlName === name));

/** Large members first, at full width; small ones as facts below. */
function ObjectView({ fields, type, types, name, path }: Omit<ValueProps, "value" | "graphqlType"> & { fields: Fields; type: UsedType }) {
  const shown = type.fields.filter(({ graphqlName }) => fields[graphqlName] !== undefined && fields[graphqlName] !== null);
  const large = shown.filter(({ graphqlName, graphqlType }) => isLarge(fields[graphqlName], graphqlType, types));
  const small = shown.filter((field) => !large.includes(field));
  const of = (field: (typeof shown)[number]) => (
    <Value value={fields[field.graphqlName]} graphqlType={field.graphqlType} types={types} name={`${name}-${field.graphqlName}`} path={[...path, field.graphqlName]} />
  );
  return (
    <>
      {large.map((field) => (
        <div className="member" key={field.name}>
          <h3 title={field.description ?? undefined}>{field.graphqlName}</h3>
          {of(field)}
        </div>
      ))}
      {small.length > 0 && (
        <Facts>
          {small.map((field) => <Fact key={field.name} name={field.graphqlName} title={field.description}>{of(field)}</Fact>)}
        </Facts>
      )}
    </>
  );
}

function isLarge(value: unknown, graphqlType: string, types: UsedType[]): boolean {
  const { kind, name } = shapeOf(graphqlType, types);
  if (kind === "list") return (value as unknown[]).length > 0;
  if (kind === "object" || name === "JSON") return true;
  return typeof value === "string" && (name === "BigInt" || value.length > 80);
}

function List({ items, graphqlType, types, name, path }: Omit<ValueProps, "value"> & { items: unknown[] }) {
  const [offset, setOffset] = useState(0);
  const { kind, type, name: inner } = shapeOf(graphqlType, types);
  const columns = kind === "object" && type && !["Blob", "Array"].includes(type.name) && !isTable(type) ? type.fields.filter((field) => !field.graphqlName.startsWith("__")) : undefined;
  const shown = items.slice(offset, offset + LIST_ROWS);
  if (items.length === 0) return <span className="muted">An empty list</span>;
  const pager = items.length > LIST_ROWS && <Pager what="items" offset={offset} size={LIST_ROWS} total={items.length} onMove={setOffset} />;
  if (!columns && kind !== "list" && kind !== "object" && inner !== "JSON" && !shown.some((item) => PICTURE.test(String(item)))) {
    return (
      <>
        <pre className="codeblock tall" tabIndex={0} role="region" aria-label={name}>{shown.map((item) => (item === null ? "null" : String(item))).join(", ")}</pre>
        {pager}
      </>
    );
  }
  const width = kind === "list" ? Math.max(...shown.map((row) => (row as unknown[] | null)?.length ?? 0)) : 1;
  const isNumber = (graphqlTypeOfCell: string) => ["Int", "Float", "BigInt"].includes(shapeOf(graphqlTypeOfCell, types).name);
  return (
    <>
      <div className="tablewrap tall" tabIndex={0} role="region" aria-label={name}>
        <table className="grid-table listtable">
          {columns && (
            <thead>
              <tr>
                {columns.map((column) => (
                  <th key={column.name} scope="col" className={isNumber(column.graphqlType) ? "num" : undefined} title={column.description ?? undefined}>{column.graphqlName}</th>
                ))}
              </tr>
            </thead>
          )}
          <tbody>
            {shown.map((row, index) => {
              const at = offset + index;
              return (
                <tr key={at}>
                  {columns
                    ? columns.map((field) => (
                        <td key={field.name} className={isNumber(field.graphqlType) ? "num" : undefined}>
                          <Value value={(row as Fields | null)?.[field.graphqlName]} graphqlType={field.graphqlType} types={types} name={field.name} path={[...path, at, field.graphqlName]} />
                        </td>
                      ))
                    : kind === "list"
                      ? Array.from({ length: width }, (_, place) => (
                          <td key={place} className={isNumber(inner) ? "num" : undefined}>
                            <Value value={(row as unknown[] | null)?.[place] ?? null} graphqlType={inner} types={types} name={name} path={[...path, at, place]} />
                          </td>
                        ))
                      : <td><Value value={row} graphqlType={graphqlType} types={types} name={`${name}-${at}`} path={[...path, at]} /></td>}
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      {pager}
    </>
  );
}
