/** A dialog of the platform: it traps the focus, closes on Escape and on a click beside it, and gives the focus back. */
import { type MouseEvent, type ReactNode, useEffect, useRef } from "react";
import style from "./floating.module.css";

export interface DialogProps {
  readonly label: string;
  readonly wide?: boolean;
  readonly onClose: () => void;
  readonly children: ReactNode;
}

export function Dialog({ label, wide = false, onClose, children }: DialogProps): ReactNode {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current;
    const before = document.activeElement;
    element?.showModal();
    return () => {
      element?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  const closeBeside = (event: MouseEvent): void => {
    if (event.target === dialog.current) onClose();
  };
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape closes it, by the browser
    <dialog
      ref={dialog}
      className={wide ? `${style.box} ${style.dialog} ${style.wide}` : `${style.box} ${style.dialog}`}
      aria-label={label}
      onClose={onClose}
      onClick={closeBeside}
    >
      {children}
    </dialog>
  );
}
