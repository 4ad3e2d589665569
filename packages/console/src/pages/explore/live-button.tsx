/** Whether events of now come in, which a click changes. */
import type { ReactNode } from "react";
import { Button } from "../../parts/control.tsx";
import style from "./explore.module.css";
import type { LiveState } from "./use-live.ts";

export interface LiveButtonProps {
  readonly live: LiveState;
  readonly canBeLive: boolean;
  readonly isPaused: boolean;
  readonly onClick: () => void;
}

export function LiveButton({ live, canBeLive, isPaused, onClick }: LiveButtonProps): ReactNode {
  const isOn = live === "on" && !isPaused;
  const word = {
    off: "Live",
    connecting: "Live",
    on: isPaused ? "Paused" : "Live",
    lost: "Connecting",
    refused: "Refused",
  }[live];
  return (
    <Button
      className={`${style.live} ${isOn ? "" : style.still}`}
      aria-pressed={live !== "off"}
      disabled={!canBeLive}
      title={canBeLive ? "Live  l" : "Live needs a time range that ends now"}
      onClick={onClick}
    >
      <i />
      {word}
    </Button>
  );
}
