/** Runs a verification on the server, and shows how far it is: it goes on when the page is left. */
import type { VerificationState } from "@seclog/api";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type ReactNode, useMemo } from "react";
import { api, cache } from "../../data/api.ts";
import { count, counted } from "../../data/numbers.ts";
import { useSession } from "../../data/session.ts";
import { useKeys } from "../../keyboard/keys.ts";
import { Button } from "../../parts/control.tsx";
import { Failure } from "../../parts/failure.tsx";
import { Icon } from "../../parts/icon.tsx";
import { Age } from "../../parts/time.tsx";
import style from "./integrity.module.css";

const KEY = ["verification"];

export function Verification(): ReactNode {
  const may = useSession().data?.may.includes("verify") ?? false;
  const {
    data: state,
    error: unknown,
    refetch,
  } = useQuery({
    queryKey: KEY,
    queryFn: ({ signal }) => api.verification(signal),
    enabled: may,
    refetchInterval: ({ state: { data } }) => (data?.state === "running" ? 1_000 : 10_000),
  });
  const { mutate, error, isPending } = useMutation({
    mutationFn: () => api.startVerification(),
    onSuccess: (started) => cache.setQueryData(KEY, started),
  });
  const canRun = may && !isPending && state?.state !== "running";
  useKeys(
    useMemo(
      () => [
        {
          keys: "v",
          label: "Verify the log",
          group: "Page" as const,
          hint: "verify",
          run: () => (canRun ? mutate() : false),
        },
      ],
      [canRun, mutate],
    ),
  );
  return (
    <section className={style.run} aria-label="Verification">
      <div>
        <h2 className={style.say}>
          {!may
            ? "Your role may not run verifications."
            : unknown !== null && state === undefined
              ? "It is unknown whether the log was verified."
              : sentenceOf(state)}
        </h2>
        <p className="t2">
          Compares every leaf with the rows, and the tree with the signed checkpoints. A program of your own checks the
          same: seclog-verify.
        </p>
      </div>
      <Button icon="sealed" kind="primary" disabled={!canRun} onClick={() => mutate()}>
        Verify the log
      </Button>
      {state === undefined || state.state === "none" ? null : <Progress state={state} />}
      {unknown !== null && state === undefined ? <Failure error={unknown} onRetry={() => void refetch()} /> : null}
      {error === null ? null : <Failure error={error} />}
    </section>
  );
}

function Progress({ state }: { readonly state: VerificationState }): ReactNode {
  const share = state.total === 0 ? (state.state === "running" ? 0 : 100) : (state.done / state.total) * 100;
  return (
    <>
      <div
        className={style.bar}
        role="progressbar"
        aria-label="Verification"
        aria-valuenow={Math.round(share)}
        aria-valuemin={0}
        aria-valuemax={100}
      >
        <i style={{ width: `${share}%` }} />
      </div>
      <p className={style.figures}>
        <b>{count(state.done)}</b> of {counted(state.total, "leaf", "leaves")}
        {state.finished_at === null ? null : (
          <>
            {" "}
            · finished <Age at={state.finished_at} /> ago
          </>
        )}
      </p>
      <ul className={style.checks}>
        {state.checks.map(({ name, ok, detail }) => (
          <li key={name} data-ok={ok}>
            <Icon name={ok ? "check" : "close"} size={14} />
            <b>{name}</b> <span className="t2">{detail}</span>
          </li>
        ))}
        {state.differences.map((difference) => (
          <li key={difference} data-ok={state.state === "passed"}>
            <Icon name="warning" size={14} />
            <span>{difference}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

function sentenceOf(state: VerificationState | undefined): string {
  switch (state?.state) {
    case undefined:
      return "Asking whether the log was verified …";
    case "none":
      return "The log was not verified since this server started.";
    case "running":
      return "Verifying …";
    case "passed":
      return "Nothing that was sealed has changed.";
    case "failed":
      return "The log is not what was sealed.";
    case "unfinished":
      return "The verification could not finish.";
  }
}
