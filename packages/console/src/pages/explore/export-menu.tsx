/** Downloads what the query matches, all of it, in a format. */
import type { ReactNode } from "react";
import { api } from "../../data/api.ts";
import { useSession } from "../../data/session.ts";
import { Button } from "../../parts/control.tsx";
import { Menu } from "./menu.tsx";
import type { PageSelection } from "./use-event-search.ts";

const FORMATS: readonly { readonly format: string; readonly name: string; readonly about: string }[] = [
  { format: "ndjson", name: "NDJSON", about: "one event a line, every column" },
  { format: "csv", name: "CSV", about: "for spreadsheets" },
  { format: "ocsf", name: "OCSF", about: "for data lakes" },
  { format: "ecs", name: "ECS", about: "for Elastic" },
  { format: "cef", name: "CEF", about: "for ArcSight and others" },
  { format: "line", name: "Text", about: "as the terminal shows it" },
];

export interface ExportMenuProps {
  readonly selection: PageSelection;
  readonly isOpen: boolean;
  readonly onOpen: (isOpen: boolean) => void;
}

export function ExportMenu({ selection, isOpen, onOpen }: ExportMenuProps): ReactNode {
  const { data: session } = useSession();
  if (session?.may.includes("export") !== true) return null;
  const { q, since, until } = selection;
  const chosen = { ...(q === "" ? {} : { q }), since, ...(until === undefined ? {} : { until }) };
  return (
    <Menu
      title="Export every event that matches"
      align="end"
      choices={FORMATS.map(({ format, name, about }) => ({ name, about, href: api.exportUrl({ ...chosen, format }) }))}
      isOpen={isOpen}
      onOpen={onOpen}
    >
      <Button icon="export" aria-label="Export this result" title="Export this result  ⇧E" className="wide-only" />
    </Menu>
  );
}
