// How the system is, in a few words at the top right of every page.
import type { ClusterWatch } from "../cluster/watch.ts";
import { counted } from "../ui/format.ts";
import { Icon } from "../ui/icon.tsx";

export function Health({ watch: { cluster, reason } }: { watch: ClusterWatch }) {
  const [icon, words, more] = !reason ? healthOf(cluster)
    : reason.code === undefined ? ["offline", "No connection", undefined] as const
    : ["idle", "Cluster not visible", undefined] as const;
  return (
    <span role="status">
      <a className="health" href="#/cluster" title={more ? `${words}, ${more}` : words}>
        <Icon name={icon} />
        <span>
          {words}
          {more && <b className="muted"> · {more}</b>}
        </span>
      </a>
    </span>
  );
}

function healthOf(cluster: ClusterWatch["cluster"]) {
  if (!cluster) return ["idle", "Connecting", undefined] as const;
  const { schedulerConnected, workers, fleet, problems } = cluster;
  if (!schedulerConnected) return ["warning", "No scheduler", "tasks are kept"] as const;
  const starting = fleet?.launching ? `${fleet.launching} starting` : undefined;
  const connected = workers.filter(({ state }) => state === "RUNNING").length;
  return [problems?.length ? "warning" : "check", counted(connected, "worker"), problems?.length ? counted(problems.length, "problem") : starting] as const;
}
