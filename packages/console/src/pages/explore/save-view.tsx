/** Saves the query as a view. */
import { type FormEvent, type ReactNode, useState } from "react";
import { toast } from "../../frame/toasts.tsx";
import { Button } from "../../parts/control.tsx";
import { Dialog } from "../../parts/dialog.tsx";
import { Stranger } from "../../parts/stranger.tsx";
import style from "./views.module.css";
import { saveView } from "./views.ts";

export interface SaveViewProps {
  readonly query: string;
  readonly since: string;
  readonly columns: string | undefined;
  readonly onClose: () => void;
}

export function SaveView({ query, since, columns, onClose }: SaveViewProps): ReactNode {
  const [failure, setFailure] = useState<string>();
  const save = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    const name = String(given.get("name")).trim();
    if (name === "") return;
    try {
      await saveView({ name, query, since: given.has("time") ? since : undefined, columns });
      toast(`View ${name} saved`);
      onClose();
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <Dialog label="Save view" onClose={onClose}>
      <form className={style.save} onSubmit={(event) => void save(event)}>
        <label>
          Name
          <input type="text" name="name" required maxLength={60} autoFocus autoComplete="off" />
        </label>
        <p className="mono t2 cut">{query === "" ? "everything" : <Stranger value={query} most={200} />}</p>
        <label className={style.check}>
          <input type="checkbox" name="time" /> with the time range ({since})
        </label>
        {failure === undefined ? null : <p role="alert">{failure}</p>}
        <footer>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit">
            Save view
          </Button>
        </footer>
      </form>
    </Dialog>
  );
}
