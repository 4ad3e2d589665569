/** The page Event. */
import type { ReactNode } from "react";
import { Frame } from "../../frame/frame.tsx";
import { Nothing } from "../../parts/failure.tsx";

export function EventPage({ id }: { readonly id: string }): ReactNode {
  return (
    <Frame title="Event">
      <Nothing title={id} />
    </Frame>
  );
}
