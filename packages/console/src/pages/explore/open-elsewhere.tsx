/** Says that the event that the address has open is not among the rows, and where it is. */
import { ApiError } from "@seclog/api";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { api } from "../../data/api.ts";
import { counted } from "../../data/numbers.ts";
import { Button } from "../../parts/control.tsx";
import { Link } from "../../routing/link.tsx";
import { changeSearch, hrefOf } from "../../routing/place.ts";
import { contextHref } from "./contexts.ts";
import style from "./explore.module.css";

export interface OpenElsewhereProps {
  readonly id: string;
  /** How many rows are loaded. */
  readonly loaded: number;
}

export function OpenElsewhere({ id, loaded }: OpenElsewhereProps): ReactNode {
  const { data, error } = useQuery({
    queryKey: ["event", id],
    queryFn: ({ signal }) => api.event(id, signal),
    staleTime: 60_000,
  });
  const isGone = error instanceof ApiError && error.status === 404;
  return (
    <div className={style.result} role="status">
      <span className="cut">
        {isGone
          ? "The log does not have the event that the address names."
          : `The open event is not among what is loaded: ${counted(loaded, "row")}.`}
      </span>
      {data === undefined ? null : (
        <>
          <Link className="link" href={contextHref("", data.event, 1)}>
            show what is around it
          </Link>
          <Link className="link" href={hrefOf(`/events/${data.event.id}`)}>
            open as a page
          </Link>
        </>
      )}
      <Button kind="link" onClick={() => changeSearch({ open: undefined }, "replace")}>
        close
      </Button>
    </div>
  );
}
