/** Whether this log can be believed, in a line of facts. */
import type { SourcesResult } from "@seclog/api";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { api } from "../../data/api.ts";
import { count, counted, duration } from "../../data/numbers.ts";
import { useSession } from "../../data/session.ts";
import { Icon } from "../../parts/icon.tsx";
import { Age } from "../../parts/time.tsx";
import { Link } from "../../routing/link.tsx";
import { hrefOf } from "../../routing/place.ts";
import style from "./overview.module.css";

export function FactsStrip({ sources }: { readonly sources: SourcesResult | undefined }): ReactNode {
  const { data } = useQuery({
    queryKey: ["integrity"],
    queryFn: ({ signal }) => api.integrity(signal),
    refetchInterval: 5_000,
  });
  const log = useSession().data?.log ?? data?.checkpoint?.origin;
  const removed = data?.removals.reduce((sum, removal) => sum + removal.count, 0) ?? 0;
  return (
    <section className={style.strip} aria-label="Can this log be believed?">
      <Link href={hrefOf("/integrity")}>
        <span className={data?.checkpoint == null ? style.unsure : style.sure}>
          <Icon name="sealed" size={15} />
        </span>
        {data === undefined ? (
          <span className="skeleton" />
        ) : data.checkpoint === null ? (
          <span>No checkpoint yet: seclog seal makes them</span>
        ) : (
          <span>
            Checkpoint <b>{count(data.checkpoint.size)}</b>
            {data.sealed_at === null ? null : (
              <>
                , <Age at={data.sealed_at} /> ago
              </>
            )}
          </span>
        )}
      </Link>
      {data === undefined ? null : (
        <>
          <Link href={hrefOf("/integrity")}>
            <span>
              Oldest unsealed <b>{Number(data.unsealed) === 0 ? "none" : duration(data.oldest_unsealed_seconds)}</b>
            </span>
          </Link>
          <Link href={hrefOf("/integrity")}>
            <span>
              <b>{removed === 0 ? "No" : count(removed)}</b> {removed === 1 ? "removal" : "removals"}
            </span>
          </Link>
          {sources !== undefined && sources.quarantined > 0 ? (
            <Link href={hrefOf("/integrity")}>
              <b className={style.bad}>{counted(sources.quarantined, "event")}</b> in quarantine
            </Link>
          ) : null}
          {data.holds > 0 ? (
            <Link href={hrefOf("/integrity")}>
              <span>{counted(data.holds, "hold")}</span>
            </Link>
          ) : null}
        </>
      )}
      <span className="t3 wide-only">{log}</span>
    </section>
  );
}
