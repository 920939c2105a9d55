// Who waits: the open tasks of each tenant, for administrators.
import { count } from "../ui/format.ts";

const FIRST = 8;

export function Queues({ queues }: { queues: { tenant: string; waiting: number; running: number }[] }) {
  const most = Math.max(1, ...queues.map(({ waiting, running }) => waiting + running));
  return (
    <section className="card" aria-labelledby="queues">
      <header>
        <h2 id="queues">Open tasks by tenant</h2>
      </header>
      <div className="tablewrap" tabIndex={0} role="group" aria-label="Open tasks by tenant">
        <table>
          <thead>
            <tr><th scope="col">Tenant</th><th scope="col" className="num">Waiting</th><th scope="col" className="num">Running</th><th scope="col">Share</th></tr>
          </thead>
          <tbody>
            {queues.slice(0, FIRST).map(({ tenant, waiting, running }) => (
              <tr key={tenant}>
                <td className="strong">{tenant}</td>
                <td className="num">{count(waiting)}</td>
                <td className="num">{count(running)}</td>
                <td><span className="meter k1" aria-hidden="true"><i style={{ width: `${(100 * (waiting + running)) / most}%` }} /></span></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {queues.length > FIRST && <div className="foot"><span>{FIRST} of {count(queues.length)}, those with most waiting</span></div>}
    </section>
  );
}
