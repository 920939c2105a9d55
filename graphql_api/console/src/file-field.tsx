// A `File` argument: a file is chosen or dropped, and sent at once; or the id of one is entered.
import { type DragEvent, useEffect, useId, useRef, useState } from "react";
import { type Refusal, refusal } from "./api.ts";
import { bytes } from "./format.ts";
import { Progress, RefusalView } from "./parts.tsx";
import { type Step, upload } from "./upload.ts";

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

interface Sending {
  file: File;
  step: Step;
  stop: AbortController;
}

export function FileField({ id, label, note, value, required, invalid, onChange }: FileFieldProps) {
  const [sending, setSending] = useState<Sending>();
  const [sent, setSent] = useState<{ id: string; words: string }>();
  const [reason, setReason] = useState<Refusal>();
  const [over, setOver] = useState(false);
  const picker = useRef<HTMLInputElement>(null);
  const latest = useRef<AbortController>(undefined);
  const progress = useId();
  // The form changes while a file is sent; its newest `onChange` knows the other fields.
  const change = useRef(onChange);
  change.current = onChange;
  useEffect(() => () => latest.current?.abort(), []);

  const take = async (file: File) => {
    latest.current?.abort();
    const stop = new AbortController();
    latest.current = stop;
    setReason(undefined);
    setSent(undefined);
    change.current("");
    const onStep = (step: Step) => !stop.signal.aborted && setSending({ file, step, stop });
    try {
      const { id: fileId, present } = await upload(file, onStep, stop.signal);
      stop.signal.throwIfAborted();
      setSent({ id: fileId, words: `${file.name}, ${bytes(file.size)}: ${present ? "the api has it already" : "sent"}` });
      change.current(fileId);
    } catch (why) {
      if (!stop.signal.aborted) setReason(refusal(why));
    } finally {
      if (latest.current === stop) setSending(undefined);
    }
  };
  const onDrop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    const file = event.dataTransfer.files[0];
    if (file) void take(file);
  };
  const cancel = () => {
    latest.current?.abort();
    setSending(undefined);
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
        {sending && (
          <>
            <p className="row hint">
              <span>{stepWords(sending)}</span>
              <button type="button" className="quiet end" onClick={cancel}>Cancel the upload</button>
            </p>
            <Progress label="Upload" value={sending.step.doing === "sending" && sending.file.size ? sending.step.sentBytes / sending.file.size : null} />
          </>
        )}
        {sent?.id === value && <p className="hint">{sent.words}</p>}
      </div>
      {reason && <RefusalView reason={reason} />}
    </div>
  );
}

const stepWords = ({ file, step }: Sending): string =>
  step.doing === "hashing"
    ? `${file.name}, ${bytes(file.size)}: computing its SHA-256`
    : `${file.name}: ${bytes(Math.min(step.sentBytes, file.size))} of ${bytes(file.size)} sent`;
