/** The sources: each is one log in one process. */
import type { SourceRecord, SourcesResult } from "@seclog/api";
import type { ReactNode } from "react";
import { useNow } from "../../data/clock.ts";
import { count } from "../../data/numbers.ts";
import { SourceCells, SourceHeads } from "../../event/source-cells.tsx";
import { Panel } from "../../parts/panel.tsx";
import { State } from "../../parts/state.tsx";
import table from "../../parts/table.module.css";
import { Age } from "../../parts/time.tsx";
import { Link } from "../../routing/link.tsx";
import { hrefOf } from "../../routing/place.ts";

const SHOWN = 12;
/** A log beats once a minute; after some that are missing, its source is silent, and after a day it is gone. */
const SILENT_MS = 5 * 60_000;
const GONE_MS = 86_400_000;

export function SourcesTable({ sources }: { readonly sources: SourcesResult | undefined }): ReactNode {
  const now = useNow();
  const shown = sources?.sources.slice(0, SHOWN) ?? [];
  const silent = shown.filter((source) => stateOf(source, now) === "silent").length;
  const about =
    sources === undefined
      ? undefined
      : `${count(sources.total)}${silent > 0 ? `, ${silent} of those shown silent` : ""}`;
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
      <div className={table.scroll}>
        <table className={table.table}>
          <thead>
            <tr>
              <SourceHeads />
              <th className="num">Last event</th>
              <th className="num">Heartbeat</th>
              <th>State</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((source) => (
              <tr key={source.id}>
                <SourceCells source={source} />
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
                <td>
                  <State state={stateOf(source, now)} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
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
