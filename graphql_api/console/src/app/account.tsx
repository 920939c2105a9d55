// The menu at the top right: who is signed in, and what a person prefers.
import { useState } from "react";
import { apiKey } from "../api/key.ts";
import type { Catalogue } from "../api/task-types.ts";
import { signedIn, signOut } from "../people/sign-in.ts";
import { zoneName } from "../ui/format.ts";
import { Icon, type IconName } from "../ui/icon.tsx";
import { Dialog, Menu } from "../ui/overlay.tsx";
import { activeKeys, useKeys } from "./keyboard.ts";
import { wantNotifications } from "./notifications.ts";
import { prefer, preferNext, usePreference } from "./preferences.ts";

/** The first letters of the first two words of a name. */
const initials = (name: string): string =>
  (name.match(/[\p{L}\p{N}]+/gu) ?? ["?"]).slice(0, 2).map((word) => word[0]!.toUpperCase()).join("");

interface AccountProps {
  caller: Catalogue["caller"] | undefined;
  /** Pages that the bar does not have, or has no room for on a phone. */
  more: { href: string; title: string; icon: IconName; phone: boolean }[];
  onSignIn(): void;
}

export function Account({ caller, more, onSignIn }: AccountProps) {
  const [help, setHelp] = useState(false);
  const theme = usePreference("theme");
  const density = usePreference("density");
  const keys = usePreference("keys");
  const notify = usePreference("notify");
  usePreference("zone");
  useKeys({ "?": { what: "All keys", run: () => setHelp(true) } });
  const name = signedIn() ?? caller?.title;
  const hasKey = Boolean(apiKey());
  return (
    <>
      <Menu
        className="person" title={name ? `${name}, account and settings` : "Account and settings"}
        label={<span aria-hidden="true">{initials(name ?? "?")}</span>}
      >
        {name && (
          <p className="menuhead">
            <b>{name}</b>
            {caller && <span className="muted small">{[caller.tenant && `tenant ${caller.tenant}`, `may ${caller.scopes.join(", ").toLowerCase() || "nothing"}`].filter(Boolean).join(" · ")}</span>}
          </p>
        )}
        <div data-stay>
          <button type="button" onClick={() => preferNext("theme")}><Icon name="sun" />Theme: {theme}</button>
          <button type="button" onClick={() => preferNext("density")}><Icon name="rows" />Rows: {density}</button>
          <button type="button" onClick={() => preferNext("zone")}><Icon name="queued" />Times: {zoneName()}</button>
          <button type="button" aria-pressed={notify === "on"} onClick={() => (notify === "on" ? prefer("notify", "off") : void wantNotifications())}>
            <Icon name="bell" />Tell me when long tasks end: {notify}
          </button>
          <button type="button" onClick={() => preferNext("keys")}><Icon name="keyboard" />Single keys: {keys}</button>
        </div>
        <button type="button" onClick={() => setHelp(true)}><Icon name="keyboard" />Keyboard shortcuts<kbd className="end">?</kbd></button>
        {more.map(({ href, title, icon, phone }) => <a key={href} className={phone ? "phone-only" : undefined} href={href}><Icon name={icon} />{title}</a>)}
        <hr />
        <button type="button" onClick={onSignIn}><Icon name="key" />{hasKey ? "Use another key" : "Sign in"}</button>
        {hasKey && <button type="button" onClick={signOut}><Icon name="logout" />Sign out</button>}
      </Menu>
      {help && (
        <Dialog title="Keyboard" onClose={() => setHelp(false)} actions={<button type="button" className="btn" onClick={() => setHelp(false)}>Close</button>}>
          <div className="keys">
            {activeKeys().map(([sequence, what]) => (
              <div key={sequence}>
                <span>{what}</span>
                <span>{sequence.split(" ").map((key) => <kbd key={key}>{key}</kbd>)}</span>
              </div>
            ))}
          </div>
        </Dialog>
      )}
    </>
  );
}
