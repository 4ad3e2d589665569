/** A key to check proofs with, that does not come from the server. */
import { type FormEvent, type ReactNode, useState } from "react";
import { keepKeys } from "../../data/kept-keys.ts";
import { Button } from "../../parts/control.tsx";
import { readLogKey } from "../../proof/note.ts";
import style from "./proof.module.css";

export function KeyForm({ onKept }: { readonly onKept: () => void }): ReactNode {
  const [text, setText] = useState("");
  const [fault, setFault] = useState<string>();
  const keep = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    try {
      const keys = await Promise.all((text.match(/\S+/g) ?? [""]).map(readLogKey));
      keepKeys(
        keys.map(({ vkey }) => vkey),
        "pasted",
      );
      setFault(undefined);
      onKept();
    } catch (error) {
      setFault(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <form className={style.form} onSubmit={(event) => void keep(event)}>
      <label htmlFor="log-keys">Public keys of the log, one a line; this browser keeps them for every proof</label>
      <textarea
        id="log-keys"
        className="mono"
        rows={3}
        spellCheck={false}
        placeholder="log.example.com/shop+8c1f00aa+AZ…"
        value={text}
        onChange={(event) => setText(event.target.value)}
        aria-describedby={fault === undefined ? undefined : "log-keys-fault"}
        aria-invalid={fault !== undefined}
      />
      {fault === undefined ? null : (
        <p id="log-keys-fault" role="alert">
          {fault}
        </p>
      )}
      <Button type="submit" kind="primary">
        Verify with these
      </Button>
    </form>
  );
}
