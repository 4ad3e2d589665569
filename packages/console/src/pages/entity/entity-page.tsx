/** The page Entity. */
import type { ReactNode } from "react";
import { Frame } from "../../frame/frame.tsx";
import { Nothing } from "../../parts/failure.tsx";

export function EntityPage({ kind, value }: { readonly kind: string; readonly value: string }): ReactNode {
  return (
    <Frame title="Entity">
      <Nothing title={`${kind} ${value}`} />
    </Frame>
  );
}
