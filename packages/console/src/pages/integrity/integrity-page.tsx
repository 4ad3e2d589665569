/** Whether anything that was sealed has changed: what is known, and a verification to watch. */
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { api } from "../../data/api.ts";
import { count, counted, duration } from "../../data/numbers.ts";
import { SourceCells, SourceHeads } from "../../event/source-cells.tsx";
import { Frame } from "../../frame/frame.tsx";
import { Failure } from "../../parts/failure.tsx";
import { Panel } from "../../parts/panel.tsx";
import { State } from "../../parts/state.tsx";
import { Stranger } from "../../parts/stranger.tsx";
import table from "../../parts/table.module.css";
import { Age } from "../../parts/time.tsx";
import style from "./integrity.module.css";
import { Verification } from "./verification.tsx";

export function IntegrityPage(): ReactNode {
  const { data, error, refetch } = useQuery({
    queryKey: ["integrity"],
    queryFn: ({ signal }) => api.integrity(signal),
    refetchInterval: 5_000,
  });
  return (
    <Frame
      title="Integrity"
      hasTime={false}
      head={
        <>
          <h1>Integrity</h1>
          <span className="t3 s12 mono wide-only">{data?.checkpoint?.origin}</span>
        </>
      }
      foot={data === undefined ? "" : `${counted(data.leaves, "leaf", "leaves")} sealed`}
    >
      {error !== null && data === undefined ? <Failure error={error} onRetry={() => void refetch()} /> : null}
      <Verification />
      <div className={style.columns}>
        <Panel title="Newest checkpoint" about="what a witness keeps, and a proof is checked against">
          {data === undefined ? null : data.checkpoint === null ? (
            <p className={style.none}>
              Nothing is sealed yet: <code>seclog keys generate</code>, then <code>seclog seal</code>.
            </p>
          ) : (
            <>
              <dl className={style.facts}>
                <dt>Leaves</dt>
                <dd>{count(data.checkpoint.size)}</dd>
                <dt>Root</dt>
                <dd className="mono">{data.checkpoint.root}</dd>
                <dt>Signed</dt>
                <dd>
                  {data.sealed_at === null ? "unknown" : <Age at={data.sealed_at} />}
                  {data.sealed_at === null ? "" : " ago"}
                </dd>
                <dt>Waiting</dt>
                <dd>
                  {Number(data.unsealed) === 0
                    ? "nothing"
                    : `${counted(Number(data.unsealed), "number")}, the oldest for ${duration(data.oldest_unsealed_seconds)}`}
                </dd>
              </dl>
              <pre className={style.note}>{data.checkpoint.note}</pre>
            </>
          )}
        </Panel>
        <div>
          <Panel title="Keys" about="each seals a range of leaves">
            <ul className={style.list}>
              {data?.keys.map(({ name, vkey, first_size, last_size }) => (
                <li key={vkey}>
                  <State state={last_size === null ? "alive" : "gone"}>
                    {last_size === null ? "seals" : "retired"}
                  </State>
                  <span className="mono cut" title={vkey}>
                    {name}
                  </span>
                  <span className="t3">
                    from size {count(first_size)}
                    {last_size === null ? "" : ` to ${count(last_size)}`}
                  </span>
                </li>
              ))}
              {data?.keys.length === 0 ? <li className="t3">No key yet.</li> : null}
            </ul>
          </Panel>
          <Panel title="Removals" about="each is itself a sealed event with a reason">
            <ul className={style.list}>
              {data?.removals.map((removal) => (
                <li key={removal.kind}>
                  <Stranger value={removal.kind} />
                  <span className="t3">{counted(removal.count, "time")}</span>
                </li>
              ))}
              {data?.removals.length === 0 ? <li className="t3">Nothing was removed.</li> : null}
              {data !== undefined && data.holds > 0 ? <li>{counted(data.holds, "hold")} in force</li> : null}
            </ul>
          </Panel>
        </div>
      </div>
      <Sources />
    </Frame>
  );
}

/** The sources and their numbers: each counts 1, 2, 3 without a gap. */
function Sources(): ReactNode {
  const { data, error, refetch } = useQuery({
    queryKey: ["sources"],
    queryFn: ({ signal }) => api.sources(signal),
    refetchInterval: 10_000,
  });
  return (
    <Panel
      title="Sources and their numbers"
      about={
        data === undefined
          ? undefined
          : `${data.sources.length < data.total ? `the newest ${count(data.sources.length)} of ` : ""}${counted(data.total, "source")}, each counting 1, 2, 3 without a gap`
      }
    >
      {error !== null && data === undefined ? <Failure error={error} onRetry={() => void refetch()} /> : null}
      <div className={table.scroll}>
        <table className={table.table}>
          <thead>
            <tr>
              <SourceHeads />
              <th className="num">Epoch</th>
              <th>Source</th>
            </tr>
          </thead>
          <tbody>
            {data?.sources.map((source) => (
              <tr key={source.id}>
                <SourceCells source={source} />
                <td className="num mono">{source.epoch}</td>
                <td className="mono">{source.id}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}
