/** Whether the log is sealed, on every page. */
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { api } from "../data/api.ts";
import { duration } from "../data/numbers.ts";
import { Icon } from "../parts/icon.tsx";
import { Age } from "../parts/time.tsx";
import { Link } from "../routing/link.tsx";
import { hrefOf } from "../routing/place.ts";
import style from "./frame.module.css";

/** An event that is not sealed after this time, in seconds, says that the sealer does not run. */
const LATE_SECONDS = 60;

export function SealChip(): ReactNode {
  const { data } = useQuery({
    queryKey: ["integrity"],
    queryFn: ({ signal }) => api.integrity(signal),
    refetchInterval: 5_000,
  });
  const isLate = data !== undefined && data.oldest_unsealed_seconds > LATE_SECONDS;
  const isSealed = data?.checkpoint !== undefined && data.checkpoint !== null && data.sealed_at !== null;
  const look = isLate ? style.late : isSealed ? "" : style.unsure;
  return (
    <Link
      className={`${style.seal} ${look} wide-only`}
      href={hrefOf("/integrity")}
      title={data?.checkpoint == null ? "No checkpoint yet" : `Checkpoint of ${data.checkpoint.size} leaves`}
    >
      <Icon name="sealed" size={15} />
      {isLate ? (
        <>Not sealed for {duration(data.oldest_unsealed_seconds)}</>
      ) : isSealed ? (
        <>
          Sealed <Age at={data.sealed_at ?? ""} /> ago
        </>
      ) : data === undefined ? (
        "Seal unknown"
      ) : (
        "Nothing sealed yet"
      )}
    </Link>
  );
}
