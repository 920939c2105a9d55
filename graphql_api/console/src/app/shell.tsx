// The frame around every page: the bar, what is wrong with the connection, and the page that the address names.
import { Component, type ReactNode, useEffect, useRef, useState } from "react";
import { usePoll } from "../api/poll.ts";
import { CATALOGUE, type Catalogue } from "../api/task-types.ts";
import { useCluster } from "../cluster/watch.ts";
import { SignInDialog } from "../people/sign-in-dialog.tsx";
import { SignInPage } from "../people/sign-in-page.tsx";
import { Jump } from "../tasks/jump.tsx";
import { Banner, Loading } from "../ui/banner.tsx";
import { Icon, type IconName } from "../ui/icon.tsx";
import { RefusalView } from "../ui/parts.tsx";
import { Toasts } from "../ui/toasts.tsx";
import { Account } from "./account.tsx";
import { Health } from "./health.tsx";
import { useKeys } from "./keyboard.ts";
import { useNotifications } from "./notifications.ts";
import { Offline } from "./offline.tsx";
import { Page } from "./pages.tsx";
import { go, useRoute } from "./route.ts";
import { SessionContext } from "./session.ts";

const CATALOGUE_MILLISECONDS = 60_000;

/** The pages of the bar, in its order; `folded` ones, as those for administrators, are in the account's menu on a phone. */
const NAVIGATION: { name: string; title: string; icon: IconName; keys: string; admin?: boolean; folded?: boolean }[] = [
  { name: "tasks", title: "Tasks", icon: "list", keys: "g t" },
  { name: "types", title: "Task types", icon: "types", keys: "g y" },
  { name: "schedules", title: "Schedules", icon: "queued", keys: "g s", folded: true },
  { name: "cluster", title: "Cluster", icon: "cluster", keys: "g c" },
  { name: "audit", title: "Audit", icon: "audit", keys: "g a", admin: true },
  { name: "usage", title: "Usage", icon: "chart", keys: "g u", admin: true },
];

const TITLES = new Map(NAVIGATION.map(({ name, title }) => [name, title]));

/** @param failure why the last attempt to sign in failed. */
export function Shell({ failure }: { failure: string | undefined }) {
  const { parts, query } = useRoute();
  const [page = "tasks", ...rest] = parts;
  const watch = useCluster();
  const { data: catalogue, reason, refresh } = usePoll<Catalogue>(CATALOGUE, {}, CATALOGUE_MILLISECONDS);
  const [asked, setAsked] = useState(false);
  const main = useRef<HTMLElement>(null);
  const shown = useRef(page);
  const refused = reason ?? watch.reason;
  const reload = watch.cluster?.reload;
  // Other task types are served now.
  useEffect(() => {
    if (reload?.count) refresh();
  }, [reload?.count, refresh]);

  useEffect(() => {
    document.title = `${TITLES.get(page) ?? "Console"} · dask-graphql`;
    // Focus a new page, so that it is read from its top; the first page sets its own focus.
    if (shown.current !== page) main.current?.focus();
    shown.current = page;
  }, [page]);

  const admin = catalogue?.caller.scopes.includes("ADMIN") ?? false;
  const pages = NAVIGATION.filter((page) => admin || !page.admin);
  const folded = pages.filter((page) => page.admin || page.folded).map(({ name, title, icon }) => ({ href: `#/${name}`, title, icon, phone: true }));
  const menu = admin ? folded : [...folded, { href: "#/usage", title: "Usage and limits", icon: "chart" as const, phone: false }];
  useNotifications(catalogue?.caller.name);
  useKeys(Object.fromEntries(pages.map(({ name, title, keys }) => [keys, { what: `Go to ${title.toLowerCase()}`, run: () => go(`#/${name}`) }])));

  const lost = watch.reason !== undefined && watch.reason.code === undefined;
  const locked = refused?.code === "UNAUTHENTICATED";
  if (locked && !catalogue) return <SignInPage failure={failure} logo={FAVICON} />;
  return (
    <>
      <a className="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>
        Skip to the content
      </a>
      <header className="topbar">
        <a className="brand" href="#/">
          <img className="mark" src={FAVICON} alt="" />
          <span className="name">dask-graphql</span>
          {catalogue?.caller.tenant && <span className="env">{catalogue.caller.tenant}</span>}
        </a>
        <nav className="mainnav" aria-label="Pages">
          {pages.map(({ name, title, icon, admin, folded }) => (
            <a key={name} className={admin || folded ? "desk" : undefined} href={`#/${name}`} aria-current={name === page ? "page" : undefined}>
              <Icon name={icon} />
              <span>{title}</span>
            </a>
          ))}
          <a href="graphql">
            <Icon name="code" />
            <span>GraphiQL</span>
          </a>
        </nav>
        <Jump types={catalogue?.taskTypes ?? []} />
        <Health watch={watch} />
        <Account caller={catalogue?.caller} more={menu} onSignIn={() => setAsked(true)} />
      </header>
      {asked && <SignInDialog onClose={() => setAsked(false)} />}
      {failure !== undefined && <Banner kind="failed" title={`You are not signed in: ${failure}.`} actions={<button type="button" className="btn" onClick={() => setAsked(true)}>Sign in</button>} />}
      {locked && <Banner kind="failed" title="You are signed out: the server does not accept your key any more" actions={<button type="button" className="btn" onClick={() => setAsked(true)}>Sign in</button>}>What you see is from before.</Banner>}
      {reload?.error && (
        <Banner kind="failed" title="The newest change of the task modules has an error. The system serves what it had before.">
          <pre className="codeblock">{reload.error}</pre>
        </Banner>
      )}
      {lost && catalogue && <Offline watch={watch} />}
      <main ref={main} id="main" tabIndex={-1} className={lost || locked ? "stale" : undefined}>
        {catalogue ? (
          <SessionContext value={{ catalogue, watch, reason: refused }}>
            <Guard place={parts.join("/")}>
              <Page page={page} rest={rest} query={query} />
            </Guard>
          </SessionContext>
        ) : reason ? (
          <section className="card">
            <header><h1>dask-graphql</h1></header>
            <div className="body">
              <RefusalView reason={reason} />
              <button type="button" className="btn" onClick={refresh}>Try again</button>
            </div>
          </section>
        ) : (
          <Loading what="the page" />
        )}
      </main>
      <Toasts />
    </>
  );
}

const FAVICON = document.querySelector<HTMLLinkElement>("link[rel=icon]")?.href ?? "";

interface GuardProps {
  /** A change of the place resets the error. */
  place: string;
  children: ReactNode;
}

/** Keeps the error of one page from breaking the others. */
class Guard extends Component<GuardProps, { reason: string | undefined }> {
  override state = { reason: undefined };
  static getDerivedStateFromError = (error: unknown) => ({ reason: String(error) });
  override componentDidUpdate({ place }: GuardProps) {
    if (place !== this.props.place && this.state.reason !== undefined) this.setState({ reason: undefined });
  }
  override render() {
    const { reason } = this.state;
    return reason === undefined ? this.props.children : <Banner kind="failed" title="This page has failed">{reason}</Banner>;
  }
}
