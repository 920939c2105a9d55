// The field of a file: dropped or chosen, sent at once, and shown as the id that the task takes.
import { type DragEvent, useRef, useState } from "react";
import { refusal } from "./api.ts";
import { upload } from "./upload.ts";

interface FileInputProps {
  /** The attributes of the text input with the id. */
  common: Record<string, unknown>;
  value: string;
  placeholder: string;
  onChange(id: string): void;
}

export function FileInput({ common, value, placeholder, onChange }: FileInputProps) {
  const [status, setStatus] = useState("");
  const [over, setOver] = useState(false);
  const chooser = useRef<HTMLInputElement>(null);
  /** Of several files in a row the last one counts. */
  const newest = useRef<File>(undefined);

  const take = async (file: File | undefined) => {
    if (!file) return;
    newest.current = file;
    setStatus(`Sending ${file.name} ...`);
    try {
      const id = await upload(file);
      if (newest.current !== file) return;
      setStatus(file.name);
      onChange(id);
    } catch (why) {
      if (newest.current === file) setStatus(`${file.name}: ${refusal(why).message}`);
    }
  };
  const drag = (event: DragEvent) => {
    event.preventDefault();
    setOver(event.type === "dragover");
  };
  const drop = (event: DragEvent) => {
    drag(event);
    void take(event.dataTransfer.files[0]);
  };

  return (
    <div className={over ? "drop over" : "drop"} onDragOver={drag} onDragLeave={drag} onDrop={drop}>
      <input {...common} type="text" autoComplete="off" spellCheck={false} placeholder={placeholder} value={value} onChange={(e) => onChange(e.target.value.trim())} />
      <span className="row">
        <button type="button" className="quiet" onClick={() => chooser.current?.click()}>
          Choose a file
        </button>
        <span className="hint">or drop it here</span>
        <span role="status">{status}</span>
      </span>
      <input ref={chooser} type="file" hidden onChange={(e) => void take(e.target.files?.[0])} />
    </div>
  );
}
