// The order of the list where it has no column heads: on phones.
import { go } from "../app/route.ts";
import { COLUMNS } from "./columns.ts";
import { addressOf, type Filters, NEWEST, OLDEST } from "./filters.ts";

const ORDERS: [sort: string, words: string][] = [
  [NEWEST, "Newest first"], [OLDEST, "Oldest first"], ["-duration", "Longest run first"], ["duration", "Shortest run first"],
  ["-tries", "Most tries first"], ["state", "By state"], ["type", "By task type"],
];

export function SortSelect({ filters }: { filters: Filters }) {
  const { sort } = filters;
  // An address may have any order.
  const other = ORDERS.some(([known]) => known === sort) ? undefined : COLUMNS.find(({ key }) => key === sort.replace(/^-/, ""))?.title ?? sort;
  return (
    <select className="select auto phone-only" aria-label="Order" value={sort} onChange={({ target }) => go(addressOf({ ...filters, sort: target.value }))}>
      {other && <option value={sort}>By {other.toLowerCase()}</option>}
      {ORDERS.map(([order, words]) => <option key={order} value={order}>{words}</option>)}
    </select>
  );
}
