// When the tasks of the list were submitted. A click on a bar narrows the list to its time; by keys the filter does.
import type { TaskFilter } from "@dask-graphql/client";
import { useEffect, useRef, useState } from "react";
import { request } from "../api/client.ts";
import { go } from "../app/route.ts";
import { count, counted, shortTime } from "../ui/format.ts";
import { addressOf, type Filters } from "./filters.ts";
import { type Bucket, HISTOGRAM } from "./operations.ts";

const BUCKETS = 60;
/** Counting follows the list, but not each of its changes. */
const AFTER_MILLISECONDS = 1000;

/** @param total the number of tasks in the list: another one is a reason to count again. */
export function Histogram({ where, filters, total }: { where: TaskFilter; filters: Filters; total: number | null }) {
  const [buckets, setBuckets] = useState<Bucket[]>();
  const countedFor = useRef("");
  const key = JSON.stringify(where);
  useEffect(() => {
    // The api counts no list for which it would have to read each task; it says so by having no total.
    if (total === null) return;
    let current = true;
    const timer = setTimeout(() => {
      request<{ tasks: { histogram: Bucket[] | null } }>(HISTOGRAM, { where: JSON.parse(key), buckets: BUCKETS }).then(
        ({ tasks }) => {
          if (!current) return;
          countedFor.current = key;
          setBuckets(tasks.histogram ?? []);
        },
        () => undefined, // the list says what is wrong
      );
    }, countedFor.current === key ? AFTER_MILLISECONDS : 0);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [key, total]);

  if (total === null || total === 0) return null;
  // Its place is kept, so that it pushes no row down when it comes.
  if (!buckets) return <div className="histo" aria-hidden="true"><div className="bars" /><div className="xlabels"><span>{"\u00a0"}</span></div></div>;
  const most = Math.max(0, ...buckets.map((bucket) => bucket.count));
  const [first, last] = [buckets[0], buckets.at(-1)];
  if (!first || !last || most === 0) return null;
  const middle = buckets[Math.floor(buckets.length / 2)]!;
  const failed = buckets.reduce((sum, bucket) => sum + bucket.failed, 0);
  const peak = buckets.find((bucket) => bucket.count === most)!;
  const narrow = ({ from, to }: Bucket) => go(addressOf({ ...filters, since: from, until: to }));
  return (
    <div className="histo">
      <div className="bars" role="img" aria-label={`${counted(buckets.reduce((sum, bucket) => sum + bucket.count, 0), "task")} submitted from ${shortTime(first.from)} to ${shortTime(last.to)}, most at ${shortTime(peak.from)}; ${count(failed)} failed`}>
        {buckets.map((bucket) => (
          <i
            key={bucket.from} className={bucket.count > 0 ? "some" : undefined} title={`${shortTime(bucket.from)} to ${shortTime(bucket.to)}: ${counted(bucket.count, "task")}${bucket.failed ? `, ${count(bucket.failed)} failed` : ""}`}
            onClick={() => bucket.count > 0 && narrow(bucket)}
          >
            <u style={{ height: `${(bucket.failed / most) * 100}%` }} />
            <b style={{ height: `${((bucket.count - bucket.failed) / most) * 100}%` }} />
          </i>
        ))}
      </div>
      <div className="xlabels" aria-hidden="true"><span>{shortTime(first.from)}</span><span>{shortTime(middle.from)}</span><span>{shortTime(last.to)}</span></div>
    </div>
  );
}
