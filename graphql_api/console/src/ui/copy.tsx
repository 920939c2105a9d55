// Buttons that copy.
import { toast } from "./toasts.tsx";
import { Icon, type IconName } from "./icon.tsx";

/** Browsers have a clipboard only for pages from https: and localhost. */
export const canCopy = isSecureContext;

export async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast({ kind: "succeeded", text: `${what} copied` });
  } catch {
    toast({ kind: "failed", text: "The browser did not let this page copy" });
  }
}

/** Copies what `text` returns when it is clicked. */
export const CopyIcon = ({ text, what, icon = "copy" }: { text(): string; what: string; icon?: IconName }) =>
  canCopy && (
    <button type="button" className="btn icon quiet slim" aria-label={`Copy ${what}`} title={`Copy ${what}`} onClick={() => void copy(text(), what.replace(/^the /, "").replace(/^./, (first) => first.toUpperCase()))}>
      <Icon name={icon} />
    </button>
  );

export const CopyId = ({ taskId }: { taskId: string }) =>
  canCopy ? (
    <button type="button" className="btn quiet slim mono desk" title="Copy the id" onClick={() => void copy(taskId, "Id")}>
      {taskId.slice(0, 8)}
      <Icon name="copy" />
    </button>
  ) : (
    <code className="muted desk">{taskId.slice(0, 8)}</code>
  );
