/** Whether a media query matches; the component is drawn again when that changes. */
import { useCallback, useSyncExternalStore } from "react";

export function useMedia(query: string): boolean {
  return useSyncExternalStore(
    useCallback(
      (changed: () => void) => {
        const media = matchMedia(query);
        media.addEventListener("change", changed);
        return () => media.removeEventListener("change", changed);
      },
      [query],
    ),
    () => matchMedia(query).matches,
  );
}
