// The pools of workers, if there are several: what each is made of, what waits for it and what it costs.
import { count, dollars } from "../ui/format.ts";
import type { Pool } from "./operations.ts";

export function Pools({ pools }: { pools: Pool[] }) {
  return (
    <section className="card" aria-labelledby="pools">
      <header>
        <h2 id="pools">Pools</h2>
      </header>
      <div className="tablewrap" tabIndex={0} role="group" aria-label="Pools">
        <table>
          <thead>
            <tr>
              <th scope="col">Pool</th><th scope="col">One worker</th><th scope="col" className="num">Workers</th><th scope="col" className="num">Wanted</th>
              <th scope="col" className="num">Waiting</th><th scope="col" className="num">Running</th><th scope="col" className="num">Per hour</th>
            </tr>
          </thead>
          <tbody>
            {pools.map((pool) => (
              <tr key={pool.name}>
                <td className="strong">{pool.name}</td>
                <td>{shape(pool)}</td>
                <td className="num">{count(pool.workers)} of {count(pool.maxWorkers)}{pool.launching > 0 && `, ${count(pool.launching)} starting`}</td>
                <td className="num">{pool.wanted === null ? "–" : count(pool.wanted)}</td>
                <td className="num">{count(pool.waiting)}</td>
                <td className="num">{count(pool.processing)}</td>
                <td className="num">{pool.costPerHour === null ? "–" : dollars(pool.costPerHour)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function shape({ cpu, memoryGib, gpu }: Pool): string {
  const parts = [cpu && `${cpu} vCPU`, memoryGib && `${Math.round(memoryGib * 100) / 100} GiB`, gpu && `${gpu} GPU`].filter(Boolean);
  return parts.length > 0 ? parts.join(", ") : "The machine's";
}
