// The fields of the sign-in: with the provider, or with a key, which stays in its field until the api has accepted it.
import { type FormEvent, useEffect, useId, useRef, useState } from "react";
import { setApiKey, staysSignedIn } from "../api/key.ts";
import { Icon } from "../ui/icon.tsx";
import { forget, isAccepted, provider, type Provider, providerName, signIn } from "./sign-in.ts";

interface SignInFormProps {
  /** Why the last attempt to sign in failed. */
  failure: string | undefined;
  onDone?(): void;
}

const said = (why: unknown): string => (why instanceof Error ? why.message : String(why));

export function SignInForm({ failure, onDone }: SignInFormProps) {
  const id = useId();
  const field = useRef<HTMLInputElement>(null);
  const [offered, setOffered] = useState<Provider>();
  const [known, setKnown] = useState(false);
  const [reason, setReason] = useState(failure);
  const [key, setKey] = useState("");
  const [problem, setProblem] = useState<string>();
  const [checking, setChecking] = useState(false);
  const [stay, setStay] = useState(staysSignedIn);

  useEffect(() => {
    provider().then(setOffered, (why: unknown) => setReason(said(why))).finally(() => setKnown(true));
  }, []);
  useEffect(() => {
    if (known && !offered) field.current?.focus();
  }, [known, offered]);
  useEffect(() => {
    if (failure !== undefined) setReason(failure);
  }, [failure]);

  const refuse = (why: string) => {
    setProblem(why);
    field.current?.focus();
  };
  const onSubmit = async (event: FormEvent) => {
    event.preventDefault();
    const typed = key.trim();
    if (!typed) return refuse("Enter a key.");
    setChecking(true);
    try {
      if (!(await isAccepted(typed))) return refuse("This key is not valid. It may be mistyped or withdrawn. Ask whoever runs this system for a new one.");
      forget();
      setApiKey(typed, stay);
      onDone?.();
    } catch {
      refuse("There is no connection to the server, so the key could not be checked. Try again.");
    } finally {
      setChecking(false);
    }
  };

  return (
    <>
      {reason !== undefined && <p className="problem" role="alert"><Icon name="failed" /><span>You are not signed in: {reason}.</span></p>}
      {offered && (
        <>
          <button type="button" className="btn primary tall" autoFocus onClick={() => void signIn(offered, stay).catch((why: unknown) => setReason(said(why)))}>Continue with {providerName(offered)}</button>
          <div className="or">or with an API key</div>
        </>
      )}
      <form className="stack" noValidate aria-label="Sign in with a key" onSubmit={(event) => void onSubmit(event)}>
        <div className="field">
          <label htmlFor={`${id}key`}>API key or token</label>
          <input
            ref={field} className="input tall" id={`${id}key`} type="password" autoComplete="current-password" spellCheck={false} value={key}
            onChange={(event) => { setKey(event.target.value); setProblem(undefined); }}
            aria-invalid={problem !== undefined} aria-describedby={problem === undefined ? undefined : `${id}problem`}
          />
          {problem !== undefined && <p className="problem" id={`${id}problem`} role="alert"><Icon name="failed" /><span>{problem}</span></p>}
        </div>
        <label className="row"><input type="checkbox" checked={stay} onChange={(event) => setStay(event.target.checked)} />Stay signed in on this device</label>
        <button type="submit" className={`btn tall${offered ? "" : " primary"}`} aria-busy={checking}>Sign in with the key</button>
      </form>
      <details className="small muted">
        <summary>{stay ? "The key stays in this browser until you sign out." : "The key stays in this tab until you close it."} How do I get one?</summary>
        <p>Whoever runs this system makes keys: <code>dask-graphql keys create NAME</code>. A token (JWT) of your identity provider works too, if the system accepts its tokens.</p>
      </details>
    </>
  );
}
