// A `File` argument: a file is chosen or dropped, and sent at once; or the id of one is entered.
import type { UploadStep } from "@dask-graphql/client";
import { useUpload } from "@dask-graphql/react";
import { type DragEvent, useId, useRef, useState } from "react";
import { refusal } from "../api/client.ts";
import { bytes } from "../ui/format.ts";
import { Progress, RefusalView } from "../ui/parts.tsx";

interface FileFieldProps {
  /** The id of the text field, which the label is for. */
  id: string;
  label: string;
  /** The id of the element that describes the field. */
  note: string;
  /** The id of a file, or what was typed. */
  value: string;
  required: boolean;
  invalid: boolean;
  onChange(fileId: string): void;
}

export function FileField({ id, label, note, value, required, invalid, onChange }: FileFieldProps) {
  const sending = useUpload();
  const [over, setOver] = useState(false);
  const picker = useRef<HTMLInputElement>(null);
  const progress = useId();
  // The form changes while a file is sent; its newest `onChange` knows the other fields.
  const change = useRef(onChange);
  change.current = onChange;
  const { file, step, fileId, present, error } = sending;
  const name = file instanceof File ? file.name : "";

  const take = async (chosen: File) => {
    change.current("");
    const sent = await sending.upload(chosen);
    if (sent) change.current(sent);
  };
  const onDrop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    const file = event.dataTransfer.files[0];
    if (file) void take(file);
  };
  return (
    <div
      className={over ? "drop over" : "drop"}
      onDragOver={(event) => { event.preventDefault(); setOver(true); }}
      onDragLeave={() => setOver(false)}
      onDrop={onDrop}
    >
      <p className="row">
        <button type="button" className="quiet" onClick={() => picker.current?.click()} aria-label={`Choose a file for ${label}`}>
          Choose a file
        </button>
        <span className="hint">or drop it here</span>
      </p>
      <input
        ref={picker} type="file" hidden aria-label={`File for ${label}`}
        onChange={({ target }) => {
          const file = target.files?.[0];
          if (file) void take(file);
          target.value = ""; // the same file may be chosen again
        }}
      />
      <input
        id={id} type="text" autoComplete="off" spellCheck={false} value={value} placeholder="sha256:…, the id of a file"
        aria-invalid={invalid} aria-required={required ? true : undefined} aria-describedby={`${note} ${progress}`}
        onChange={(event) => onChange(event.target.value)}
      />
      <div id={progress} aria-live="polite">
        {file && step && (
          <>
            <p className="row hint">
              <span>{stepWords(name, step)}</span>
              <button type="button" className="quiet end" onClick={sending.cancel}>Cancel the upload</button>
            </p>
            <Progress label="Upload" value={sending.progress} />
          </>
        )}
        {file && fileId === value && <p className="hint">{`${name}, ${bytes(file.size)}: ${present ? "the api has it already" : "sent"}`}</p>}
      </div>
      {error && <RefusalView reason={refusal(error)} />}
    </div>
  );
}

const stepWords = (name: string, { doing, doneBytes, sizeBytes }: UploadStep): string =>
  doing === "hashing"
    ? `${name}, ${bytes(sizeBytes)}: computing its SHA-256`
    : `${name}: ${bytes(Math.min(doneBytes, sizeBytes))} of ${bytes(sizeBytes)} sent`;
