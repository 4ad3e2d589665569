/** The cells that each table of sources begins with: the service, the machine, the last number, what is in quarantine. */
import type { SourceRecord } from "@seclog/api";
import type { ReactNode } from "react";
import { count } from "../data/numbers.ts";
import { Stranger } from "../parts/stranger.tsx";
import table from "../parts/table.module.css";
import { Link } from "../routing/link.tsx";
import { hrefOf } from "../routing/place.ts";

/** The heads of {@link SourceCells}. */
export function SourceHeads(): ReactNode {
  return (
    <>
      <th>Service</th>
      <th>Host</th>
      <th className="num">Last number</th>
      <th className="num">In quarantine</th>
    </>
  );
}

export function SourceCells({ source }: { readonly source: SourceRecord }): ReactNode {
  const { id, own, service, host, last_seq, quarantined } = source;
  return (
    <>
      <td>
        <Link href={hrefOf("/explore", { q: `source:${id}`, since: "90d" })} className="cut">
          {own ? "the log itself" : <Stranger value={service ?? "unnamed"} most={80} />}
        </Link>
      </td>
      <td className="mono t2">{host === null ? "" : <Stranger value={host} most={80} />}</td>
      <td className="num mono">{typeof last_seq === "number" ? count(last_seq) : last_seq}</td>
      <td className={quarantined > 0 ? `num ${table.bad}` : "num t3"}>{count(quarantined)}</td>
    </>
  );
}
