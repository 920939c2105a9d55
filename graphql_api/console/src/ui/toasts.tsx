// Short messages at the bottom left: at most three, for six seconds, longer under the hand; failures stay.
import { useEffect, useState, useSyncExternalStore } from "react";
import { Icon } from "./icon.tsx";

const SHOWN_MILLISECONDS = 6000;
const MOST = 3;

export interface Toast {
  /** What has happened, in a sentence without a full stop. */
  text: string;
  kind: "succeeded" | "cancelled" | "warning" | "failed";
  /** One thing to do about it. */
  action?: { label: string; run(): void };
}

interface Shown extends Toast {
  key: number;
}

let shown: Shown[] = [];
let keys = 0;
const listeners = new Set<() => void>();
const set = (next: Shown[]) => {
  shown = next;
  for (const listener of listeners) listener();
};

export function toast(message: Toast): void {
  keys += 1;
  set([...shown, { ...message, key: keys }].slice(-MOST));
}

const dismiss = (key: number) => set(shown.filter((one) => one.key !== key));

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => void listeners.delete(listener);
};

export function Toasts() {
  const messages = useSyncExternalStore(subscribe, () => shown);
  return (
    <div className="toasts">
      {messages.map((message) => (
        <ToastView key={message.key} message={message} />
      ))}
    </div>
  );
}

function ToastView({ message: { key, text, kind, action } }: { message: Shown }) {
  const [held, setHeld] = useState(false);
  useEffect(() => {
    if (kind === "failed" || held) return;
    const timer = setTimeout(() => dismiss(key), SHOWN_MILLISECONDS);
    return () => clearTimeout(timer);
  }, [kind, held, key]);
  const hold = { onMouseEnter: () => setHeld(true), onMouseLeave: () => setHeld(false), onFocus: () => setHeld(true), onBlur: () => setHeld(false) };
  return (
    <div className={`toast s-${kind}`} role={kind === "failed" ? "alert" : "status"} {...hold}>
      <Icon name={kind} />
      <span className="grow">{text}</span>
      {action && (
        <button type="button" className="btn quiet slim" onClick={() => { dismiss(key); action.run(); }}>
          {action.label}
        </button>
      )}
      <button type="button" className="btn icon quiet slim" aria-label="Close" title="Close" onClick={() => dismiss(key)}>
        <Icon name="x" />
      </button>
    </div>
  );
}
