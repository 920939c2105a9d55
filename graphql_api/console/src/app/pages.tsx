// Which page an address names.
import { ClusterPage } from "../cluster/cluster.tsx";
import { TaskView } from "../task/task.tsx";
import { TasksPage } from "../tasks/tasks.tsx";
import { SubmitPage } from "../types/submit-page.tsx";
import { Empty } from "../ui/banner.tsx";
import { useSession } from "./session.ts";

interface PageProps {
  page: string;
  /** What the page shows: the parts of the address after it. */
  rest: string[];
  query: URLSearchParams;
}

export function Page({ page, rest, query }: PageProps) {
  const { catalogue, watch } = useSession();
  const { taskTypes } = catalogue;
  const cluster = watch.cluster;
  switch (page) {
    case "cluster":
      return <Old><ClusterPage watch={watch} /></Old>;
    case "tasks":
      return <Old>{rest[0] ? <TaskView key={rest[0]} taskId={rest[0]} taskTypes={taskTypes} cluster={cluster} heading="h1" /> : <TasksPage taskTypes={taskTypes} cluster={cluster} query={query} />}</Old>;
    // `submit` is the name in links of earlier versions.
    case "submit":
    case "types":
      if (rest[0] && !taskTypes.some(({ name }) => name === rest[0])) return <NotFound title="There is no such task type" what={rest[0]} taskId={rest[1]} />;
      return <Old><SubmitPage chosen={rest[0]} taskId={rest[1]} catalogue={catalogue} watch={watch} /></Old>;
  }
  return <NotFound title="There is no such page" what={`#/${[page, ...rest].join("/")}`} />;
}

/** A page that has not yet been drawn anew. */
const Old = ({ children }: { children: React.ReactNode }) => <div className="old">{children}</div>;

/** Shown if the address names something that does not exist (any more). */
const NotFound = ({ title, what, taskId }: { title: string; what: string; taskId?: string | undefined }) => (
  <section className="card">
    <Empty
      icon="inbox" title={title}
      actions={<>
        <a className="btn" href="#/types">All task types</a>
        <a className="btn" href="#/tasks">All tasks</a>
        {taskId && <a className="btn" href={`#/tasks/${taskId}`}>The task in this address</a>}
      </>}
    >
      <code>{what}</code>
    </Empty>
  </section>
);
