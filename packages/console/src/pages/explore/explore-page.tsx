/** The page Explore. */
import type { ReactNode } from "react";
import { Frame } from "../../frame/frame.tsx";
import { Nothing } from "../../parts/failure.tsx";

export function ExplorePage(): ReactNode {
  return (
    <Frame title="Explore">
      <Nothing title="Explore" />
    </Frame>
  );
}
