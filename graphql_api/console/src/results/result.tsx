// A result by its type: a number, an image, a download, a table, an array, a stream, a text.
import { type ReactNode, useEffect, useMemo, useState } from "react";
import { type Refusal, refusal, request } from "../api/client.ts";
import { ArrayView, type ArrayValue } from "./array-view.tsx";
import { Download, useDownload } from "../ui/download.tsx";
import { bytes, count, grouped, inTens } from "../ui/format.ts";
import { ENDS } from "../api/operations.ts";
import { shapeOf, type TaskType, type UsedType } from "../api/task-types.ts";
import { Facts, Fact, RefusalView } from "../ui/parts.tsx";
import { type Path, ResultContext } from "./read-result.ts";
import { StreamPages } from "./stream-view.tsx";
import { type TableValue, TableView } from "./table-view.tsx";

const END_DIGITS = 300;
/** Of a longer number only both ends are shown, as a browser takes seconds to lay out a million digits. */
const SHOWN_DIGITS = 20_000;
const SHOWN_ROWS = 100;
const SHOWN_CHARACTERS = 20_000;

/** What is shown as an image (docs/tasks.md). */
const PICTURE = /^data:image\/(png|jpeg|gif|webp|avif|svg\+xml);base64,/;

type Fields = Record<string, unknown>;

interface BlobValue {
  url: string;
  sizeBytes: string;
  mediaType: string;
}

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
  return (
    <section className="result" aria-label={whole ? "Result" : "Result so far"}>
      {whole && type.outputType === "FibonacciResult" && result["value"] === null && <LongNumber taskId={taskId} result={result} />}
      <ResultContext value={context}>
        {type.stream ? (
          <StreamPages type={type} stream={type.stream} count={Number(result["count"])} />
        ) : (
          <Value value={value} graphqlType={graphqlType} types={type.types} name={type.name} path={type.wrapsValue ? ["value"] : []} />
        )}
      </ResultContext>
      {whole && !type.stream && (
        <p className="row">
          <SaveButtons text={JSON.stringify(value, null, 2)} file={`${taskId}.json`} mediaType="application/json" noun="JSON" />
        </p>
      )}
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
  if (value === null || value === undefined) return <span className="hint">none</span>;
  if (kind === "list") return <List items={value as unknown[]} graphqlType={typeName} types={types} name={name} path={path} />;
  if (typeName === "Blob") return <BlobView blob={value as unknown as BlobValue} name={name} />;
  if (isTable(type)) return <TableView table={value as unknown as TableValue} path={path} name={name} />;
  if (typeName === "Array") return <ArrayView array={value as unknown as ArrayValue} path={path} name={name} />;
  if (kind === "object" && type) return <ObjectView fields={value as Fields} type={type} types={types} name={name} path={path} />;
  if (typeName === "BigInt") return <NumberView digits={String(value)} name={name} />;
  if (typeName === "Int" || typeName === "Float") return <span className="figure">{String(value)}</span>;
  if (typeName === "JSON") return <Text text={JSON.stringify(value, null, 2)} name={name} />;
  if (typeof value === "string" && PICTURE.test(value)) return <Picture url={value} name={name} size={Math.round((value.length * 3) / 4)} />;
  if (typeof value === "string" && (value.length > 200 || value.includes("\n"))) return <Text text={value} name={name} />;
  return <span>{String(value)}</span>;
}

/** `Table`, or the type of a `Table[Row]`, which has a name of its own. */
const isTable = (type: UsedType | undefined): boolean =>
  ["rowCount", "columns", "parquet"].every((name) => type?.fields.some(({ graphqlName }) => graphqlName === name));

/** Large members first, at full width; small ones as facts below. */
function ObjectView({ fields, type, types, name, path }: Omit<ValueProps, "value" | "graphqlType"> & { fields: Fields; type: UsedType }) {
  const shown = type.fields.filter(({ graphqlName }) => fields[graphqlName] !== undefined && fields[graphqlName] !== null);
  const large = shown.filter(({ graphqlName, graphqlType }) => isLarge(fields[graphqlName], graphqlType, types));
  const of = (field: (typeof shown)[number]) => (
    <Value value={fields[field.graphqlName]} graphqlType={field.graphqlType} types={types} name={`${name}-${field.graphqlName}`} path={[...path, field.graphqlName]} />
  );
  return (
    <>
      {large.map((field) => (
        <figure key={field.name}>
          <figcaption>{field.graphqlName}</figcaption>
          {of(field)}
        </figure>
      ))}
      <Facts>
        {shown.filter((field) => !large.includes(field)).map((field) => (
          <Fact key={field.name} name={field.graphqlName} title={field.description}>
            {of(field)}
          </Fact>
        ))}
      </Facts>
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
  const [all, setAll] = useState(false);
  const { kind, type, name: inner } = shapeOf(graphqlType, types);
  const columns = kind === "object" && type && !["Blob", "Array"].includes(type.name) && !isTable(type) ? type.fields.filter((field) => !field.graphqlName.startsWith("__")) : undefined;
  const shown = all ? items : items.slice(0, SHOWN_ROWS);
  if (items.length === 0) return <span className="hint">an empty list</span>;
  const more = items.length > shown.length && (
    <button type="button" className="quiet" onClick={() => setAll(true)}>
      Show all {count(items.length)}
    </button>
  );
  if (!columns && kind !== "list" && kind !== "object" && inner !== "JSON" && !shown.some((item) => PICTURE.test(String(item)))) {
    return (
      <>
        <Scrolled label={name}>{shown.map((item) => (item === null ? "none" : String(item))).join(", ")}</Scrolled>
        {more}
      </>
    );
  }
  const width = kind === "list" ? Math.max(...shown.map((row) => (row as unknown[] | null)?.length ?? 0)) : 1;
  return (
    <>
      <div className="scroll" tabIndex={0} role="region" aria-label={name}>
        <table>
          {columns && (
            <thead>
              <tr>
                {columns.map(({ name, graphqlName, description }) => (
                  <th key={name} scope="col" title={description ?? undefined}>
                    {graphqlName}
                  </th>
                ))}
              </tr>
            </thead>
          )}
          <tbody>
            {shown.map((row, index) => (
              <tr key={index}>
                {columns
                  ? columns.map((field) => (
                      <td key={field.name}>
                        <Value value={(row as Fields | null)?.[field.graphqlName]} graphqlType={field.graphqlType} types={types} name={field.name} path={[...path, index, field.graphqlName]} />
                      </td>
                    ))
                  : kind === "list"
                    ? Array.from({ length: width }, (_, place) => (
                        <td key={place}>
                          <Value value={(row as unknown[] | null)?.[place] ?? null} graphqlType={inner} types={types} name={name} path={[...path, index, place]} />
                        </td>
                      ))
                    : <td><Value value={row} graphqlType={graphqlType} types={types} name={`${name}-${index}`} path={[...path, index]} /></td>}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {more}
    </>
  );
}

function NumberView({ digits, name }: { digits: string; name: string }) {
  const [all, setAll] = useState(false);
  const length = digits.replace("-", "").length;
  if (length <= 15) return <span className="figure">{grouped(digits)}</span>;
  const short = length > SHOWN_DIGITS && !all;
  return (
    <>
      <div className="number" tabIndex={0} role="region" aria-label={name}>
        {short ? <Ends head={digits.slice(0, END_DIGITS)} tail={digits.slice(-END_DIGITS)} length={length} /> : grouped(digits)}
      </div>
      <p className="row hint">
        <span>{count(length)} digits</span>
        {short && <button type="button" className="quiet" onClick={() => setAll(true)}>Show all</button>}
        <SaveButtons text={digits} file={`${name}.txt`} mediaType="text/plain" noun="digits" />
      </p>
    </>
  );
}

const Ends = ({ head, tail, length }: { head: string; tail: string; length: number }) => (
  <>
    {inTens(head)}
    <span className="gap">… {count(Math.max(0, length - 2 * END_DIGITS))} more digits …</span>
    {inTens(tail)}
  </>
);

/** A Fibonacci number that is too long to inline: both of its ends, read from the blob, which can be downloaded. */
function LongNumber({ taskId, result }: { taskId: string; result: Fields }) {
  const [ends, setEnds] = useState<{ head: string; tail: string }>();
  const [reason, setReason] = useState<Refusal>();
  const digits = Number(result["digits"]);
  useEffect(() => {
    const variables = { taskId, length: END_DIGITS, tail: Math.max(0, digits - END_DIGITS) };
    request<{ task: { result: { head: string; tail: string } | null } | null }>(ENDS, variables).then(
      ({ task }) => setEnds(task?.result ?? undefined),
      (why: unknown) => setReason(refusal(why)),
    );
  }, [taskId, digits]);
  if (reason) return <RefusalView reason={reason} />;
  return (
    <div className="number" tabIndex={0} role="region" aria-label="value">
      <Ends head={ends?.head ?? ""} tail={ends?.tail ?? ""} length={digits} />
    </div>
  );
}

function Text({ text, name }: { text: string; name: string }) {
  const [all, setAll] = useState(false);
  const short = text.length > SHOWN_CHARACTERS && !all;
  return (
    <>
      <Scrolled label={name}>{short ? `${text.slice(0, SHOWN_CHARACTERS)} …` : text}</Scrolled>
      <p className="row hint">
        <span>{count(text.length)} characters</span>
        {short && <button type="button" className="quiet" onClick={() => setAll(true)}>Show all</button>}
        <SaveButtons text={text} file={`${name}.txt`} mediaType="text/plain" noun="text" />
      </p>
    </>
  );
}

const Scrolled = ({ label, children }: { label: string; children: ReactNode }) => (
  <pre className="scroll" tabIndex={0} role="region" aria-label={label}>
    {children}
  </pre>
);

const Picture = ({ url, name, size }: { url: string; name: string; size: number }) => (
  <>
    <img className="picture" src={url} alt={name} />
    <p className="hint">
      <a href={url} download={`${name}.${/image\/(\w+)/.exec(url)?.[1] ?? "img"}`}>
        Download the image
      </a>{" "}
      ({bytes(size)})
    </p>
  </>
);

/** A download or image of a blob. */
function BlobView({ blob, name }: { blob: BlobValue; name: string }) {
  const isPicture = blob.mediaType.startsWith("image/");
  const { local, reason } = useDownload(blob.url, isPicture);
  const file = blob.url.split("/").at(-1) ?? name;
  return (
    <>
      {isPicture && local && <img className="picture" src={local} alt={name} />}
      {isPicture && reason && <RefusalView reason={reason} />}
      <p>
        {isPicture ? local && <a href={local} download={file}>Download {file}</a> : <Download url={blob.url} file={file} />}{" "}
        <span className="hint">
          {bytes(Number(blob.sizeBytes))}, {blob.mediaType}
        </span>
      </p>
    </>
  );
}

function SaveButtons({ text, file, mediaType, noun }: { text: string; file: string; mediaType: string; noun: string }) {
  const save = () => {
    const url = URL.createObjectURL(new Blob([text], { type: mediaType }));
    Object.assign(document.createElement("a"), { href: url, download: file }).click();
    // The click has started the download; the URL keeps the whole text in memory until it is revoked.
    setTimeout(() => URL.revokeObjectURL(url));
  };
  return (
    <>
      <CopyButton text={text} label={`Copy ${noun}`} />
      <button type="button" className="quiet" onClick={save}>
        Save {noun}
      </button>
    </>
  );
}

export function CopyButton({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  // Browsers have a clipboard only for pages from https: and localhost.
  if (!isSecureContext) return null;
  const copy = () => navigator.clipboard.writeText(text).then(() => setCopied(true));
  return (
    <button type="button" className="quiet" onClick={copy} onBlur={() => setCopied(false)}>
      <span aria-live="polite">{copied ? "Copied" : label}</span>
    </button>
  );
}
