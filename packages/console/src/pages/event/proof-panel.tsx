/** The inclusion proof of an event, checked in this browser. */
import type { EventDetail } from "@seclog/api";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { cache } from "../../data/api.ts";
import { count } from "../../data/numbers.ts";
import { Button } from "../../parts/control.tsx";
import { Failure } from "../../parts/failure.tsx";
import { Icon } from "../../parts/icon.tsx";
import { Panel } from "../../parts/panel.tsx";
import { Time } from "../../parts/time.tsx";
import { type CheckedProof, checkProof } from "./check-proof.ts";
import { KeyForm } from "./key-form.tsx";
import { MerklePath } from "./merkle-path.tsx";
import style from "./proof.module.css";
import { saveFile } from "./save-file.ts";

/** Of every event: a changed key changes each verdict. */
const PROOFS = "proof";

export function ProofPanel({
  asked,
  detail,
}: {
  /** The id in the page's address. */
  readonly asked: string;
  readonly detail: EventDetail;
}): ReactNode {
  const { event, leaf } = detail;
  const [asksKey, setAsksKey] = useState(false);
  const { data, error, refetch } = useQuery({
    // The whole record: a verdict on what the server said before is none on what it says now.
    queryKey: [PROOFS, asked, event, leaf],
    queryFn: ({ signal }) => checkProof(asked, detail, signal),
    enabled: leaf !== null,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const proven = data?.proven;
  const about =
    leaf === null
      ? "not sealed yet"
      : `leaf ${count(leaf)}${proven === undefined ? "" : ` of ${count(proven.checkpoint.size)}`}`;
  return (
    <Panel title="Inclusion proof" about={about}>
      {error === null ? (
        <Verdict isSealed={leaf !== null} {...(data === undefined ? {} : { checked: data })} />
      ) : (
        <Failure error={error} onRetry={() => void refetch()} />
      )}
      {proven === undefined ? null : <MerklePath steps={proven.steps} isFalse={data?.state !== "verified"} />}
      {data === undefined || proven === undefined ? null : <Hashes checked={data} />}
      <div className={style.acts}>
        {data?.file === undefined ? null : (
          <Button icon="export" onClick={() => saveFile(`${event.id}.tlog-proof`, "text/plain", data.file ?? "")}>
            Proof
          </Button>
        )}
        <Button
          icon="export"
          onClick={() => saveFile(`${event.id}.json`, "application/json", `${JSON.stringify(event, null, 2)}\n`)}
        >
          Event
        </Button>
        {leaf === null ? null : (
          <Button icon="key" aria-expanded={asksKey} onClick={() => setAsksKey(!asksKey)}>
            Use another key
          </Button>
        )}
      </div>
      {asksKey ? <KeyForm onKept={() => void cache.resetQueries({ queryKey: [PROOFS] })} /> : null}
    </Panel>
  );
}

function Verdict({ isSealed, checked }: { readonly isSealed: boolean; readonly checked?: CheckedProof }): ReactNode {
  if (!isSealed) {
    return (
      <p className={style.verdict} role="status">
        <span>
          <b>Not sealed yet.</b> A sealer that runs seals new events within seconds; the page looks again.
        </span>
      </p>
    );
  }
  if (checked === undefined) {
    return (
      <p className={style.verdict} role="status">
        <Icon name="sealed" />
        <span className="t3">Computing the hashes…</span>
      </p>
    );
  }
  const { state, proven, reason, ms } = checked;
  if (state === "verified") {
    return (
      <p className={`${style.verdict} ${style.good}`} role="status">
        <Icon name="sealed" />
        <span>
          <b>Verified in this browser</b> by {count((proven?.steps.length ?? 0) + 1)} hashes, one signature
        </span>
        <span className={style.took}>{ms} ms</span>
      </p>
    );
  }
  return (
    <p className={`${style.verdict} ${state === "false" ? style.bad : ""}`} role="status">
      <Icon name="warning" />
      <span>
        <b>{state === "false" ? "Does not verify." : "Not verified."}</b> {reason}
      </span>
    </p>
  );
}

function Hashes({ checked: { proven, key, state } }: { readonly checked: CheckedProof }): ReactNode {
  if (proven === undefined) return null;
  const { leaf, root, checkpoint, key: signer, isWhole } = proven;
  return (
    <dl className={style.hashes}>
      <dt>leaf</dt>
      <dd className="cut" title={leaf}>
        {leaf}
      </dd>
      <dt>root</dt>
      <dd className="cut" title={root}>
        {root}
      </dd>
      <dt>checkpoint</dt>
      <dd className="cut">
        {count(checkpoint.size)} <span className="t3">{checkpoint.origin}</span>
      </dd>
      <dt>key</dt>
      <dd className="cut" title={signer.vkey}>
        {signer.name}+{signer.id}
      </dd>
      <dt>trust</dt>
      <dd className={style.trust}>
        {key === undefined ? null : key.how === "pasted" ? (
          <>
            your key, pasted <Time at={key.at} show="both" ms={false} />
          </>
        ) : (
          <>
            the key that this server named at first use, <Time at={key.at} show="both" ms={false} />: paste one that you
            have from elsewhere to rely on more than that
          </>
        )}
      </dd>
      {isWhole || state !== "verified" ? null : (
        <>
          <dt>covers</dt>
          <dd className={style.trust}>the event without its personal part, which was erased</dd>
        </>
      )}
    </dl>
  );
}
