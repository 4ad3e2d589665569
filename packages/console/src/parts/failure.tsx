/** What could not be shown, why, and what to do about it. */
import { ApiError } from "@seclog/api";
import type { ReactNode } from "react";
import { Button } from "./control.tsx";
import style from "./failure.module.css";

export function Failure({ error, onRetry }: { readonly error: unknown; readonly onRetry?: () => void }): ReactNode {
  const isRefused = error instanceof ApiError;
  return (
    <div className={style.failure} role="alert">
      <h2>{isRefused ? "The server refused this" : "The server does not answer"}</h2>
      <p>{isRefused ? error.message : "The page keeps what it has. Check that seclog start is running."}</p>
      {onRetry === undefined ? null : <Button onClick={onRetry}>Try again</Button>}
    </div>
  );
}

/** Nothing to show, and the next step. */
export function Nothing({ title, children }: { readonly title: string; readonly children?: ReactNode }): ReactNode {
  return (
    <div className={style.failure}>
      <h2>{title}</h2>
      {children}
    </div>
  );
}
