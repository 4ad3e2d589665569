/** The page Overview. */
import type { ReactNode } from "react";
import { Frame } from "../../frame/frame.tsx";
import { Nothing } from "../../parts/failure.tsx";

export function OverviewPage(): ReactNode {
  return (
    <Frame title="Overview">
      <Nothing title="Overview" />
    </Frame>
  );
}
