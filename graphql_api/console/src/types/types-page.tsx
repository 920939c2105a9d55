// Task types: the table of all, or one of them beside the list.
import { usePoll } from "../api/poll.ts";
import { useSession } from "../app/session.ts";
import { CatalogueList } from "./catalogue.tsx";
import { useChosen } from "./kept.ts";
import { type Figures, FIGURES, FIGURES_MILLISECONDS } from "./operations.ts";
import { Overview } from "./overview.tsx";
import { TypePage } from "./type-page.tsx";

interface TypesPageProps {
  /** The name of a task type; without it, all of them are shown. */
  name: string | undefined;
  /** A task that was started here. */
  taskId: string | undefined;
  query: URLSearchParams;
}

export function TypesPage({ name, taskId, query }: TypesPageProps) {
  const { taskTypes, caller } = useSession().catalogue;
  const { data, refresh } = usePoll<{ taskTypes: Figures[] }>(FIGURES, {}, FIGURES_MILLISECONDS);
  const figures = new Map(data?.taskTypes.map((item) => [item.name, item]));
  const chosen = useChosen(caller);
  const type = taskTypes.find((one) => one.name === name);
  if (!type) return <Overview taskTypes={taskTypes} figures={figures} query={query} />;
  return (
    <div className="master">
      <CatalogueList taskTypes={taskTypes} chosen={chosen} shown={name} figures={figures} />
      <TypePage
        key={`${type.name} ${type.version}`} type={type} taskId={taskId} query={query} caller={caller}
        pinned={chosen.pinned.includes(type.name)} figures={figures.get(type.name)} onChange={refresh}
      />
    </div>
  );
}
