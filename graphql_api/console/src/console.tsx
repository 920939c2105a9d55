// The console: its frame, and the page that the address names.
import { DaskGraphQLProvider } from "@dask-graphql/react";
import { Component, type ReactNode, StrictMode, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { createRoot } from "react-dom/client";
import { client } from "./api.ts";
import { ClusterLine, ClusterPage, type ClusterWatch, useCluster } from "./cluster.tsx";
import "./console.css";
import { usePoll, useRoute } from "./hooks.ts";
import { onKeyChange } from "./key.ts";
import { KeyButton } from "./key-dialog.tsx";
import { RefusalView } from "./parts.tsx";
import { completeSignIn, identity, keepFresh } from "./sign-in.ts";
import { TaskForm } from "./submit.tsx";
import { type Submitted, TaskView } from "./task.tsx";
import { useTaskPage } from "./task-page.ts";
import { CATALOGUE, type Catalogue } from "./task-types.ts";
import { RecentTasks, TasksPage } from "./tasks.tsx";

const CATALOGUE_MILLISECONDS = 60_000;
const PAGES = { submit: "Submit", tasks: "Tasks", cluster: "Cluster" };

/** `#/submit/<task type>/<task id>`, `#/tasks?state=<state>&type=<task type>&after=<cursor>`, `#/tasks/<task id>`, `#/cluster`. */
function App({ failure }: { failure: string | undefined }) {
  const { parts: [page = "submit", ...rest], query } = useRoute();
  const watch = useCluster();
  const { data: catalogue, reason, refresh } = usePoll<Catalogue>(CATALOGUE, {}, CATALOGUE_MILLISECONDS);
  const main = useRef<HTMLElement>(null);
  const shown = useRef(page);
  const refused = reason ?? watch.reason;
  const reload = watch.cluster?.reload;
  // Other task types are served now.
  useEffect(() => {
    if (reload?.count) refresh();
  }, [reload?.count, refresh]);

  useEffect(() => {
    document.title = `${PAGES[page as keyof typeof PAGES] ?? "Console"} - dask-graphql`;
    // Focus a new page, so that it is read from its top; the first page sets its own focus.
    if (shown.current !== page) main.current?.focus();
    shown.current = page;
  }, [page]);

  return (
    <>
      <a className="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>
        Skip to content
      </a>
      <header className="top">
        <a className="brand" href="#/">
          <img src={FAVICON} alt="" width="22" height="22" /> dask-graphql
        </a>
        <nav aria-label="Pages">
          {Object.entries(PAGES).map(([name, title]) => (
            <a key={name} href={`#/${name}`} aria-current={name === page ? "page" : undefined}>
              {title}
            </a>
          ))}
          <a href="graphql">GraphiQL</a>
        </nav>
        <span className="end" role="status">
          <ClusterLine watch={watch} />
        </span>
        <KeyButton caller={catalogue?.caller} needed={refused?.code === "UNAUTHENTICATED"} failure={failure} />
      </header>
      {reload?.error && (
        <div className="refusal" role="alert">
          <p>The newest change of the task modules has an error. The system serves what it had before.</p>
          <pre className="scroll">{reload.error}</pre>
        </div>
      )}
      <main ref={main} id="main" tabIndex={-1}>
        {reason && !catalogue ? (
          <section className="card">
            <h1>dask-graphql</h1>
            <RefusalView reason={reason} />
            <div><button type="button" className="quiet" onClick={refresh}>Try again</button></div>
          </section>
        ) : (
          catalogue && (
            <Guard place={[page, ...rest].join("/")}>
              <Page page={page} rest={rest} query={query} catalogue={catalogue} watch={watch} />
            </Guard>
          )
        )}
      </main>
    </>
  );
}

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
    if (reason === undefined) return this.props.children;
    return (
      <div className="card">
        <RefusalView reason={{ message: `This page failed: ${reason}`, code: undefined }} />
      </div>
    );
  }
}

const FAVICON = document.querySelector<HTMLLinkElement>("link[rel=icon]")?.href ?? "";

interface PageProps {
  page: string;
  rest: string[];
  query: URLSearchParams;
  catalogue: Catalogue;
  watch: ClusterWatch;
}

function Page({ page, rest, query, catalogue, watch }: PageProps) {
  const { taskTypes } = catalogue;
  const cluster = watch.cluster;
  if (page === "cluster") return <ClusterPage watch={watch} />;
  if (page === "tasks" && rest[0]) return <TaskView key={rest[0]} taskId={rest[0]} taskTypes={taskTypes} cluster={cluster} heading="h1" />;
  if (page === "tasks") return <TasksPage taskTypes={taskTypes} cluster={cluster} query={query} />;
  if (page !== "submit") return <NotFound title="There is no such page" what={`#/${[page, ...rest].join("/")}`} />;
  if (rest[0] && !taskTypes.some(({ name }) => name === rest[0])) {
    return <NotFound title="There is no such task type" what={rest[0]} taskId={rest[1]} />;
  }
  return <SubmitPage chosen={rest[0]} taskId={rest[1]} catalogue={catalogue} watch={watch} />;
}

/** Shown if the address names something that does not exist (any more). */
function NotFound({ title, what, taskId }: { title: string; what: string; taskId?: string | undefined }) {
  return (
    <section className="card">
      <h1>{title}</h1>
      <p><code>{what}</code></p>
      <p className="row">
        <a href="#/submit">Submit a task</a> <a href="#/tasks">All tasks</a>
        {taskId && <a href={`#/tasks/${taskId}`}>The task in this address</a>}
      </p>
    </section>
  );
}

function SubmitPage({ chosen, taskId, catalogue: { taskTypes, caller }, watch }: {
  chosen: string | undefined;
  taskId: string | undefined;
  catalogue: Catalogue;
  watch: ClusterWatch;
}) {
  const [submitted, setSubmitted] = useState<Submitted>();
  const { data, refresh } = useTaskPage({}, 8);
  const type = taskTypes.find(({ name }) => name === chosen) ?? taskTypes[0];
  if (!type) return <p className="card">This api has no task types: set DASK_GRAPHQL_TASK_MODULES to their modules.</p>;

  const onSubmitted = (submission: Omit<Submitted, "round">) => {
    setSubmitted((last) => ({ ...submission, round: (last?.round ?? 0) + 1 }));
    location.hash = `#/submit/${type.name}/${submission.taskId}`;
    refresh();
  };
  const own = submitted?.taskId === taskId ? submitted : undefined;
  const view = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // On a phone the task is below the form.
    if (own) view.current?.scrollIntoView({ block: "nearest" });
  }, [own]);

  return (
    <div className="split">
      <div className="column">
        <section className="card" aria-labelledby="submit-title">
          <header className="row">
            <h1 id="submit-title">Submit</h1>
            <select aria-label="Task type" value={type.name} onChange={(e) => (location.hash = `#/submit/${e.target.value}`)}>
              {taskTypes.map(({ name }) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </header>
          <TaskForm key={`${type.name} ${type.version}`} type={type} salt={caller.taskIdSalt} from={taskId} onSubmitted={onSubmitted} />
        </section>
        <RecentTasks tasks={data?.tasks.edges.map(({ node }) => node)} shown={taskId} />
      </div>
      <div ref={view}>
        {taskId ? (
          <TaskView key={taskId} taskId={taskId} taskTypes={taskTypes} cluster={watch.cluster} submitted={own} onChange={refresh} heading="h2" />
        ) : (
          <Welcome count={taskTypes.length} />
        )}
      </div>
    </div>
  );
}

const Welcome = ({ count }: { count: number }) => (
  <aside className="card hint welcome">
    <p>
      You can submit {count} task type{count === 1 ? "" : "s"} here. A submission returns the task's id at once; the same input
      always has the same id. Progress and result appear here as soon as they exist.
    </p>
    <p>You can bookmark and share the address of a task: it works on any node until the result expires.</p>
  </aside>
);

/** Everything shown belongs to one caller; another one starts over. */
function Session({ refused }: { refused: string | undefined }) {
  const caller = useSyncExternalStore(onKeyChange, identity);
  const [failure, setFailure] = useState(refused);
  useEffect(() => keepFresh(setFailure), []);
  return (
    <DaskGraphQLProvider client={client}>
      <App key={caller} failure={caller ? undefined : failure} />
    </DaskGraphQLProvider>
  );
}

const refused = await completeSignIn().then(() => undefined, (reason: unknown) => (reason instanceof Error ? reason.message : String(reason)));
createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <Session refused={refused} />
  </StrictMode>,
);
