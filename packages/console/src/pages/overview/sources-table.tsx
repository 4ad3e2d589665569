/** The sources: each is one log in one process. */
import type { SourceRecord, SourcesResult } from "@seclog/api";
import type { ReactNode } from "react";
import { useNow } from "../../data/clock.ts";
import { count, counted } from "../../data/numbers.ts";
import { Panel } from "../../parts/panel.tsx";
import { Stranger } from "../../parts/stranger.tsx";
import { Age } from "../../parts/time.tsx";
import { Link } from "../../routing/link.tsx";
import { hrefOf } from "../../routing/place.ts";
import style from "./overview.module.css";

const SHOWN = 12;
/** A log beats once a minute; after some that are missing, its source is silent, and after a day it is gone. */
const SILENT_MS = 5 * 60_000;
const GONE_MS = 86_400_000;

export function SourcesTable({ sources }: { readonly sources: SourcesResult | undefined }): ReactNode {
  const now = useNow();
  const shown = sources?.sources.slice(0, SHOWN) ?? [];
  const silent = shown.filter((source) => stateOf(source, now) === "silent").length;
  const about =
    sources === undefined ? undefined : `${count(sources.total)}${silent > 0 ? `, of which ${silent} silent` : ""}`;
  return (
    <Panel
      title="Sources"
      about={about}
      more={
        <Link href={hrefOf("/integrity")}>
          {sources !== undefined && sources.total > SHOWN ? `all ${count(sources.total)}` : "sequences"}
        </Link>
      }
    >
      <div className={style.scroll}>
        <table className={style.table}>
          <thead>
            <tr>
              <th>Service</th>
              <th>Host</th>
              <th className="num">Last number</th>
              <th className="num">Last event</th>
              <th className="num">Heartbeat</th>
              <th className="num">In quarantine</th>
              <th>State</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((source) => (
              <tr key={source.id}>
                <td>
                  <Link href={hrefOf("/explore", { q: `source:${source.id}` })} className="cut">
                    {source.own ? "the log itself" : <Stranger value={source.service ?? "unnamed"} most={80} />}
                  </Link>
                </td>
                <td className="mono t2">{source.host === null ? "" : <Stranger value={source.host} most={80} />}</td>
                <td className="num mono">
                  {typeof source.last_seq === "number" ? count(source.last_seq) : source.last_seq}
                </td>
                <td className="num">
                  <Age at={source.updated_at} />
                </td>
                <td className="num">
                  {source.last_heartbeat === null ? (
                    <span className="t3">none</span>
                  ) : (
                    <Age at={source.last_heartbeat} />
                  )}
                </td>
                <td className={source.quarantined > 0 ? `num ${style.bad}` : "num t3"}>{count(source.quarantined)}</td>
                <td>
                  <span className={style.state} data-state={stateOf(source, now)}>
                    {stateOf(source, now)}
                  </span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
        {sources?.sources.length === 0 ? <p className={style.none}>{counted(0, "source")}.</p> : null}
      </div>
    </Panel>
  );
}

function stateOf({ own, last_heartbeat, updated_at }: SourceRecord, now: number): "alive" | "silent" | "gone" {
  const age = now - Date.parse(last_heartbeat ?? updated_at);
  // The log's own source has no process: it has events only when something is removed or set up.
  if (own || age < SILENT_MS) return "alive";
  return age < GONE_MS ? "silent" : "gone";
}
