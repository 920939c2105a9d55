// Files as arguments: chosen or dropped, and sent at once; or the ids of files that the api has.
import type { UploadStep } from "@dask-graphql/client";
import { useUpload } from "@dask-graphql/react";
import { type DragEvent, type ReactNode, useEffect, useId, useRef, useState } from "react";
import { refusal } from "../api/client.ts";
import { bytes, duration } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";

const FILE_ID = /^sha256:[0-9a-f]{64}$/;

interface DropProps {
  label: string;
  multiple?: boolean;
  onFiles(files: File[]): void;
  children: ReactNode;
}

/** Where files are dropped or chosen. */
function Drop({ label, multiple = false, onFiles, children }: DropProps) {
  const [over, setOver] = useState(false);
  const picker = useRef<HTMLInputElement>(null);
  const take = (files: FileList | null) => {
    const chosen = [...(files ?? [])].slice(0, multiple ? undefined : 1);
    if (chosen.length > 0) onFiles(chosen);
  };
  const onDrop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    take(event.dataTransfer.files);
  };
  return (
    <div
      className={over ? "drop over" : "drop"}
      onDragOver={(event) => { event.preventDefault(); setOver(true); }}
      onDragLeave={() => setOver(false)}
      onDrop={onDrop}
    >
      {children}
      <p className="small muted">
        {multiple ? "Drop files here, " : "Drop a file here, "}
        <button type="button" className="linkbtn" onClick={() => picker.current?.click()} aria-label={`Choose ${multiple ? "files" : "a file"} for ${label}`}>
          {multiple ? "choose files" : "choose a file"}
        </button>
        , or paste a file id
      </p>
      <input
        ref={picker} type="file" hidden multiple={multiple} aria-label={`File for ${label}`}
        onChange={({ target }) => {
          take(target.files);
          target.value = ""; // the same file may be chosen again
        }}
      />
    </div>
  );
}

interface RowProps {
  icon: "file" | "upload";
  name: string;
  words: string;
  /** From 0 to 1, while it is sent. */
  progress?: number | null | undefined;
  /** What the button at the end does. */
  end: string;
  onEnd(): void;
}

const FileRow = ({ icon, name, words, progress, end, onEnd }: RowProps) => (
  <div className="file">
    <Icon name={icon} />
    <div className="grow">
      <p className="clip" title={name}>{name}</p>
      {progress !== undefined && <progress aria-label="Upload" {...(progress === null ? {} : { value: progress })} />}
      <p className="small muted">{words}</p>
    </div>
    <button type="button" className="btn icon quiet slim" aria-label={end} title={end} onClick={onEnd}>
      <Icon name="x" />
    </button>
  </div>
);

const Refused = ({ reason }: { reason: unknown }) => (
  <p className="problem" role="alert">
    <Icon name="failed" />
    <span>{refusal(reason).message}</span>
  </p>
);

/** What is being done, and how long it still takes, once that can be told. */
function stepWords({ doing, doneBytes, sizeBytes }: UploadStep, since: number): string {
  if (doing === "hashing") return `${bytes(sizeBytes)}: computing its id`;
  const done = Math.min(doneBytes, sizeBytes);
  const spent = Date.now() - since;
  const left = done > 0 && done < sizeBytes && spent > 2000 ? `, about ${duration((spent / done) * (sizeBytes - done))} left` : "";
  return `Uploading: ${bytes(done)} of ${bytes(sizeBytes)}${left}`;
}

const sentWords = (size: number, present: boolean) => `${bytes(size)} · ${present ? "already stored, no upload needed" : "sent"}`;

interface FileFieldProps {
  /** The id of the text field, which the label is for. */
  id: string;
  label: string;
  path: string;
  /** The id of the element that describes the field. */
  note: string;
  /** The id of a file, or what was typed. */
  value: string;
  required: boolean;
  invalid: boolean;
  onChange(fileId: string): void;
}

export function FileField({ id, label, path, note, value, required, invalid, onChange }: FileFieldProps) {
  const sending = useUpload();
  const since = useRef(0);
  const progress = useId();
  // The form changes while a file is sent; its newest `onChange` knows the other fields.
  const change = useRef(onChange);
  change.current = onChange;
  const { file, step, fileId, present, error } = sending;
  const name = file instanceof File ? file.name : "";

  const take = async ([chosen]: File[]) => {
    if (!chosen) return;
    change.current("");
    since.current = Date.now();
    const sent = await sending.upload(chosen);
    if (sent) change.current(sent);
  };
  return (
    <Drop label={label} onFiles={(files) => void take(files)}>
      <div id={progress} aria-live="polite">
        {file && step && (
          <FileRow icon="upload" name={name} words={stepWords(step, since.current)} progress={sending.progress} end="Cancel the upload" onEnd={sending.cancel} />
        )}
        {file && fileId === value && (
          <FileRow icon="file" name={name} words={sentWords(file.size, present)} end="Remove the file" onEnd={() => { sending.cancel(); onChange(""); }} />
        )}
      </div>
      {error && <Refused reason={error} />}
      <input
        id={id} type="text" className="input mono" data-path={path} autoComplete="off" spellCheck={false} value={value} placeholder="sha256:…"
        aria-invalid={invalid} aria-required={required ? true : undefined} aria-describedby={`${note} ${progress}`}
        onChange={(event) => onChange(event.target.value)}
      />
    </Drop>
  );
}

interface FilesFieldProps {
  label: string;
  path: string;
  ids: string[];
  onChange(ids: string[]): void;
}

/** A list of files: they are sent one after the other, in their order. */
export function FilesField({ label, path, ids, onChange }: FilesFieldProps) {
  const [waiting, setWaiting] = useState<File[]>([]);
  const [known, setKnown] = useState<Record<string, { name: string; words: string }>>({});
  const [typed, setTyped] = useState("");
  const next = useRef({ ids, onChange });
  next.current = { ids, onChange };
  const add = (fileId: string) => next.current.onChange([...next.current.ids, fileId]);
  const drop = (file: File) => setWaiting((files) => files.filter((other) => other !== file));
  return (
    <Drop label={label} multiple onFiles={(files) => setWaiting((others) => [...others, ...files])}>
      {ids.map((fileId, index) => (
        <FileRow
          key={`${fileId} ${index}`} icon="file" name={known[fileId]?.name ?? fileId} words={known[fileId]?.words ?? "A file of the api"}
          end={`Remove ${label}[${index}]`} onEnd={() => onChange(ids.filter((_, place) => place !== index))}
        />
      ))}
      {waiting.map((file, index) =>
        index === 0 ? (
          <Sending
            key={`${file.name} ${file.size} ${file.lastModified}`} file={file} onDrop={() => drop(file)}
            onSent={(fileId, words) => {
              setKnown((others) => ({ ...others, [fileId]: { name: file.name, words } }));
              drop(file);
              add(fileId);
            }}
          />
        ) : (
          <FileRow key={`${index} ${file.name}`} icon="upload" name={file.name} words="Waits for the file above" end={`Do not send ${file.name}`} onEnd={() => drop(file)} />
        ),
      )}
      <input
        type="text" className="input mono" data-path={path} autoComplete="off" spellCheck={false} value={typed} placeholder="sha256:…"
        aria-label={`File id to add to ${label}`}
        onChange={({ target: { value } }) => {
          const whole = FILE_ID.test(value.trim());
          setTyped(whole ? "" : value);
          if (whole) add(value.trim());
        }}
      />
    </Drop>
  );
}

/** Sends a file as soon as it is shown. */
function Sending({ file, onSent, onDrop }: { file: File; onSent(fileId: string, words: string): void; onDrop(): void }) {
  const { upload, step, progress, error, fileId, present } = useUpload();
  const [since] = useState(Date.now);
  useEffect(() => void upload(file), [upload, file]);
  const sent = useRef(onSent);
  sent.current = onSent;
  useEffect(() => {
    if (fileId) sent.current(fileId, sentWords(file.size, present));
  }, [fileId, file, present]);
  return (
    <>
      <FileRow icon="upload" name={file.name} words={step ? stepWords(step, since) : bytes(file.size)} progress={error ? undefined : progress} end="Cancel the upload" onEnd={onDrop} />
      {error && <Refused reason={error} />}
    </>
  );
}
