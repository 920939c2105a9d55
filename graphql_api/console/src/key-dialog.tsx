// The dialog for the API key or token of this tab.
import { type FormEvent, useEffect, useRef, useState } from "react";
import { apiKey, setApiKey } from "./key.ts";
import type { Catalogue } from "./task-types.ts";

export function KeyButton({ caller, needed }: { caller: Catalogue["caller"] | undefined; needed: boolean }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [typed, setTyped] = useState("");

  useEffect(() => {
    if (needed && !apiKey()) dialog.current?.showModal();
  }, [needed]);

  const keep = (event: FormEvent) => {
    event.preventDefault();
    setApiKey(typed.trim());
    setTyped("");
    dialog.current?.close();
  };
  const forget = () => {
    setApiKey("");
    dialog.current?.close();
  };

  return (
    <>
      <button type="button" className="quiet" onClick={() => dialog.current?.showModal()}>
        {apiKey() ? (caller?.name ?? "API key") : "API key"}
      </button>
      <dialog ref={dialog} aria-labelledby="key-title">
        <form onSubmit={keep}>
          <h2 id="key-title">API key</h2>
          <p className="hint">
            {caller && apiKey()
              ? `You are ${caller.name}${caller.tenant ? ` of tenant ${caller.tenant}` : ""}, with the scopes ${caller.scopes.join(", ").toLowerCase()}.`
              : needed
                ? "This api requires one."
                : "Only needed if this api requires one."}{" "}
            The key is stored in this tab until you close it.
          </p>
          <div className="field">
            <label htmlFor="key" className="label">API key or JWT</label>
            <input id="key" type="password" autoComplete="off" spellCheck={false} autoFocus value={typed} onChange={(e) => setTyped(e.target.value)} />
          </div>
          <div className="row">
            <button type="submit" disabled={!typed.trim()}>Use key</button>
            {apiKey() && <button type="button" className="quiet" onClick={forget}>Forget key</button>}
            <button type="button" className="quiet" onClick={() => dialog.current?.close()}>Close</button>
          </div>
        </form>
      </dialog>
    </>
  );
}
