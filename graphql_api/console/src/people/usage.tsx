// What an account uses of what it may, and for administrators all accounts.
import { usePoll } from "../api/poll.ts";
import { useMay, useSession } from "../app/session.ts";
import { Banner, Empty, Loading } from "../ui/banner.tsx";
import { bytes, count } from "../ui/format.ts";
import { ALL_USAGE, USAGE, type Usage } from "./operations.ts";

const MILLISECONDS = 15_000;
const NEARLY = 0.8;

export function UsagePage() {
  const admin = useMay("ADMIN");
  const { data, reason } = usePoll<{ usage: Usage | null }>(USAGE, {}, MILLISECONDS);
  const usage = data?.usage;
  return (
    <>
      <div className="pagehead"><h1>Usage</h1>{usage && <span className="muted">{usage.account}</span>}</div>
      {reason && <Banner kind="failed" title="What you use cannot be shown">{reason.message}</Banner>}
      {!data && !reason && <section className="card"><Loading what="what you use" rows={3} /></section>}
      {usage && <Own usage={usage} />}
      {admin && <Everyone own={usage?.account} />}
    </>
  );
}

function Own({ usage }: { usage: Usage }) {
  const { caller } = useSession().catalogue;
  return (
    <section className="card" aria-labelledby="own">
      <header><h2 id="own">{caller.tenant ? `Tenant ${caller.tenant}` : "Yours"}</h2></header>
      <div className="body usage">
        <Amount name="Stored" used={Number(usage.bytes)} limit={Number(usage.byteLimit)} format={bytes}>Inputs, results, files and records. It gets less as results expire.</Amount>
        <Amount name="Open tasks" used={usage.openTasks} limit={usage.openTaskLimit} format={count}>
          {usage.maxRunning === null ? "Waiting or running." : `Waiting or running; at most ${count(usage.maxRunning)} run at once.`}
        </Amount>
        <dl className="facts">
          <dt>Submissions</dt><dd>{rate(usage.submissionsPerMinute)}</dd>
          <dt>Other operations</dt><dd>{rate(usage.operationsPerMinute)}</dd>
          <dt>Share of the workers</dt><dd>Weight {usage.weight}, beside others that have tasks waiting</dd>
        </dl>
      </div>
    </section>
  );
}

const rate = (limit: number | null): string => (limit === null ? "No limit" : `At most ${count(limit)} a minute`);

interface AmountProps {
  name: string;
  used: number;
  limit: number;
  format: (value: number) => string;
  children: React.ReactNode;
}

function Amount({ name, used, limit, format, children }: AmountProps) {
  const share = limit > 0 ? used / limit : 0;
  return (
    <div className="amount">
      <p className="row"><b>{name}</b><span className="end">{format(used)}{limit > 0 ? ` of ${format(limit)}` : ", no limit"}</span></p>
      <span className={`meter whole ${share > NEARLY ? "s-warning" : "k1"}`} aria-hidden="true"><i style={{ width: `${Math.min(100, share * 100)}%` }} /></span>
      <p className="muted small">{share > NEARLY && "Nearly full. "}{children}</p>
    </div>
  );
}

function Everyone({ own }: { own: string | undefined }) {
  const { data, reason } = usePoll<{ allUsage: Usage[] | null }>(ALL_USAGE, {}, MILLISECONDS);
  const accounts = data?.allUsage ?? [];
  return (
    <section className="card" aria-labelledby="everyone">
      <header><h2 id="everyone">All accounts</h2><span className="muted small">Those that store most</span></header>
      {reason && <Banner kind="failed" title="The accounts cannot be shown">{reason.message}</Banner>}
      {!data && !reason && <Loading what="the accounts" />}
      {data && accounts.length === 0 && <Empty icon="user" title="Nobody stores anything yet" />}
      {accounts.length > 0 && (
        <div className="tablewrap" tabIndex={0} role="group" aria-label="All accounts">
          <table>
            <thead>
              <tr><th scope="col">Account</th><th scope="col">Stored</th><th scope="col">Open tasks</th><th scope="col" className="num">At once</th><th scope="col" className="num">Submissions a minute</th><th scope="col" className="num">Weight</th></tr>
            </thead>
            <tbody>
              {accounts.map((usage) => (
                <tr key={usage.account}>
                  <td className="strong">{usage.account}{usage.account === own && <span className="muted"> (you)</span>}</td>
                  <td><Share used={Number(usage.bytes)} limit={Number(usage.byteLimit)} format={bytes} /></td>
                  <td><Share used={usage.openTasks} limit={usage.openTaskLimit} format={count} /></td>
                  <td className="num">{usage.maxRunning === null ? "No limit" : count(usage.maxRunning)}</td>
                  <td className="num">{usage.submissionsPerMinute === null ? "No limit" : count(usage.submissionsPerMinute)}</td>
                  <td className="num">{usage.weight}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

const Share = ({ used, limit, format }: Omit<AmountProps, "name" | "children">) => (
  <>
    <span className={`meter ${limit > 0 && used / limit > NEARLY ? "s-warning" : "k1"}`} aria-hidden="true"><i style={{ width: `${limit > 0 ? Math.min(100, (100 * used) / limit) : 0}%` }} /></span>{" "}
    {format(used)} <span className="muted">{limit > 0 ? `of ${format(limit)}` : "no limit"}</span>
  </>
);
