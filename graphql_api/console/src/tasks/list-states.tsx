// What stands in place of rows: nothing yet, nothing that matches, an error, a page that may not be seen.
import type { Refusal } from "../api/client.ts";
import { count } from "../ui/format.ts";
import { Banner, Empty } from "../ui/banner.tsx";
import { addressOf, type Filters, isFiltered, NO_FILTERS } from "./filters.ts";

export function ListError({ reason, onRetry }: { reason: Refusal; onRetry(): void }) {
  if (reason.code === "FORBIDDEN") {
    return <Empty icon="key" title="Your key does not let you see tasks">An admin can add the scope READ. You can still open a task whose link you have, if you submitted it.</Empty>;
  }
  return (
    <div className="body">
      <Banner kind="failed" title="The list could not be loaded" actions={<button type="button" className="btn" onClick={onRetry}>Try again</button>}>
        <p>Your filters are kept.</p>
        <details><summary className="small">Details</summary><pre className="codeblock">{reason.code && `${reason.code}: `}{reason.message}</pre></details>
      </Banner>
    </div>
  );
}

export function NoTasks({ filters, kept, looked, onMore }: { filters: Filters; kept: number | undefined; looked: boolean; onMore(): void }) {
  if (!isFiltered(filters)) {
    return (
      <Empty icon="inbox" title="No tasks at the moment" actions={<a className="btn primary" href="#/types">Run a task</a>}>
        Tasks appear here as soon as they are submitted, and stay until their results expire.
      </Empty>
    );
  }
  const clear = <a className="btn" href={addressOf({ ...NO_FILTERS, sort: filters.sort })}>Clear the filters</a>;
  if (looked) {
    return (
      <Empty icon="filter" title="None of the tasks so far match" actions={<><button type="button" className="btn primary" onClick={onMore}>Look further</button>{clear}</>}>
        The server has looked at the first 20,000 tasks; there are more.
      </Empty>
    );
  }
  const allTime = filters.since || filters.until ? <a className="btn quiet" href={addressOf({ ...filters, since: "", until: "" })}>Search all time</a> : null;
  return (
    <Empty icon="filter" title="No tasks match these filters" actions={<>{clear}{allTime}</>}>
      {kept ? `None of the ${count(kept)} tasks that are kept meets all of them.` : "No tasks are kept at the moment."}
    </Empty>
  );
}
