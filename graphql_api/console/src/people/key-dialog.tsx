// The dialog in which people sign in, or enter the API key or token of this tab.
import { type FormEvent, useEffect, useRef, useState } from "react";
import { apiKey, setApiKey } from "../api/key.ts";
import { forget, provider, type Provider, signedIn, signIn, signOut } from "./sign-in.ts";
import type { Catalogue } from "../api/task-types.ts";

interface KeyDialogProps {
  /** Whether the person asked for it; it opens by itself where a credential is needed. */
  open: boolean;
  onClose(): void;
  caller: Catalogue["caller"] | undefined;
  needed: boolean;
  /** Why the last attempt to sign in failed. */
  failure: string | undefined;
}

export function KeyDialog({ open: wanted, onClose, caller, needed, failure }: KeyDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [typed, setTyped] = useState("");
  const [offered, setOffered] = useState<Provider>();
  const [reason, setReason] = useState(failure);
  const name = signedIn();

  const open = () => {
    if (!dialog.current?.open) dialog.current?.showModal();
  };
  useEffect(() => {
    if (wanted) open();
  }, [wanted]);
  useEffect(() => {
    provider().then(setOffered, (why: unknown) => setReason(why instanceof Error ? why.message : String(why)));
  }, []);
  useEffect(() => {
    if (failure !== undefined) setReason(failure);
    if (failure !== undefined || (needed && !apiKey())) open();
  }, [needed, failure]);

  const keep = (event: FormEvent) => {
    event.preventDefault();
    forget();
    setApiKey(typed.trim());
    setTyped("");
    dialog.current?.close();
  };

  return (
    <dialog ref={dialog} className="old" onClose={onClose} aria-labelledby="key-title">
        <form onSubmit={keep}>
          <h2 id="key-title">{offered ? "Sign in" : "API key"}</h2>
          {reason !== undefined && <p className="refusal" role="alert">You are not signed in: {reason}.</p>}
          {name !== undefined && (
            <div className="row">
              <span>You are signed in as {name}.</span>
              <button type="button" onClick={signOut}>Sign out</button>
            </div>
          )}
          {name === undefined && offered && (
            <div className="row">
              <button type="button" autoFocus onClick={() => void signIn(offered)}>Sign in with {new URL(offered.issuer).host}</button>
            </div>
          )}
          <p className="hint">
            {caller && apiKey()
              ? `You are ${caller.title} (${caller.name})${caller.tenant ? ` of tenant ${caller.tenant}` : ""}, with the scopes ${caller.scopes.join(", ").toLowerCase() || "none"}.`
              : needed
                ? "This api requires one."
                : "Only needed if this api requires one."}{" "}
            The key is stored in this tab until you close it.
          </p>
          <div className="field">
            <label htmlFor="key" className="label">API key or JWT</label>
            <input id="key" type="password" autoComplete="off" spellCheck={false} autoFocus={!offered} value={typed} onChange={(e) => setTyped(e.target.value)} />
          </div>
          <div className="row">
            <button type="submit" disabled={!typed.trim()}>Use key</button>
            {apiKey() && name === undefined && <button type="button" className="quiet" onClick={() => { forget(); dialog.current?.close(); }}>Forget key</button>}
            <button type="button" className="quiet" onClick={() => dialog.current?.close()}>Close</button>
          </div>
        </form>
    </dialog>
  );
}
