/** The page Integrity. */
import type { ReactNode } from "react";
import { Frame } from "../../frame/frame.tsx";
import { Nothing } from "../../parts/failure.tsx";

export function IntegrityPage(): ReactNode {
  return (
    <Frame title="Integrity">
      <Nothing title="Integrity" />
    </Frame>
  );
}
