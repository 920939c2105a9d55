// Which page an address names. The code of a page is loaded with the page: the first one needs little.
import { lazy, Suspense, useEffect } from "react";
import { Empty, Loading } from "../ui/banner.tsx";
import { address, go } from "./route.ts";
import { useSession } from "./session.ts";

const LOADERS = {
  audit: () => import("../people/audit.tsx"),
  usage: () => import("../people/usage.tsx"),
  cluster: () => import("../cluster/cluster.tsx"),
  schedules: () => import("../schedules/schedules.tsx"),
  task: () => import("../task/task.tsx"),
  tasks: () => import("../tasks/tasks.tsx"),
  types: () => import("../types/types-page.tsx"),
};

const AuditPage = lazy(() => LOADERS.audit().then((module) => ({ default: module.AuditPage })));
const UsagePage = lazy(() => LOADERS.usage().then((module) => ({ default: module.UsagePage })));
const ClusterPage = lazy(() => LOADERS.cluster().then((module) => ({ default: module.ClusterPage })));
const SchedulesPage = lazy(() => LOADERS.schedules().then((module) => ({ default: module.SchedulesPage })));
const TaskPage = lazy(() => LOADERS.task().then((module) => ({ default: module.TaskPage })));
const TasksPage = lazy(() => LOADERS.tasks().then((module) => ({ default: module.TasksPage })));
const TypesPage = lazy(() => LOADERS.types().then((module) => ({ default: module.TypesPage })));

/** Loads the code of the page that an address names, while the catalogue is still asked for. */
function loadAhead(hash: string): void {
  const [page = "", shown] = hash.replace(/^#\/?/, "").split(/[/?]/);
  const load = LOADERS[page === "tasks" && shown ? "task" : page === "submit" ? "types" : Object.hasOwn(LOADERS, page) ? (page as keyof typeof LOADERS) : "tasks"];
  // The page itself says that it cannot be loaded.
  load().catch(() => undefined);
}

loadAhead(location.hash);

interface PageProps {
  page: string;
  /** What the page shows: the parts of the address after it. */
  rest: string[];
  query: URLSearchParams;
}

export const Page = (props: PageProps) => (
  <Suspense fallback={<Loading what="the page" />}>
    <Named {...props} />
  </Suspense>
);

function Named({ page, rest, query }: PageProps) {
  const { taskTypes } = useSession().catalogue;
  switch (page) {
    case "audit":
      return <AuditPage query={query} />;
    case "usage":
      return <UsagePage />;
    case "cluster":
      return <ClusterPage query={query} />;
    case "schedules":
      return <SchedulesPage name={rest[0]} query={query} />;
    case "tasks":
      if (rest[0]) return <TaskPage key={rest[0]} taskId={rest[0]} section={rest[1]} query={query} />;
      return <TasksPage query={query} />;
    // The name in links of earlier versions.
    case "submit":
      return <Moved to={address(["types", ...rest], Object.fromEntries(query))} />;
    case "types":
      if (rest[0] && !taskTypes.some(({ name }) => name === rest[0])) return <NotFound title="There is no such task type" what={rest[0]} taskId={rest[1]} />;
      return <TypesPage name={rest[0]} taskId={rest[1]} query={query} />;
  }
  return <NotFound title="There is no such page" what={`#/${[page, ...rest].join("/")}`} />;
}

/** An address that people may have saved. */
function Moved({ to }: { to: string }) {
  useEffect(() => go(to, { replace: true }), [to]);
  return null;
}

/** Shown if the address names something that does not exist (any more). */
const NotFound = ({ title, what, taskId }: { title: string; what: string; taskId?: string | undefined }) => (
  <section className="card">
    <h1 className="visually-hidden">Nothing at this address</h1>
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
