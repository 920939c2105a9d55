// The bar below the top while there is no connection: what is shown is old, and when the page tries again.
import { useNow } from "../api/poll.ts";
import type { ClusterWatch } from "../cluster/watch.ts";
import { Banner } from "../ui/banner.tsx";
import { clock } from "../ui/format.ts";

export function Offline({ watch: { lostAt, nextTryAt, tryNow } }: { watch: ClusterWatch }) {
  const now = useNow(nextTryAt !== undefined);
  const seconds = nextTryAt === undefined ? 0 : Math.ceil((nextTryAt - now) / 1000);
  return (
    <Banner
      kind="warning" icon="offline" title="No connection to the server"
      actions={<button type="button" className="btn" disabled={nextTryAt === undefined} onClick={tryNow}>Try now</button>}
    >
      <p>
        You see the state of {clock(lostAt ?? now)}. Running tasks go on.{" "}
        {/* Said once, not each second. */}
        <span aria-live="off">{seconds > 0 ? `Next try in ${seconds} s.` : "Trying …"}</span>
      </p>
    </Banner>
  );
}
