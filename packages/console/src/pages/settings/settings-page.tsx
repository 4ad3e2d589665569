/** The settings of who is signed in. */
import type { ReactNode } from "react";
import { signOut, useSession } from "../../data/session.ts";
import { Frame } from "../../frame/frame.tsx";
import { Button } from "../../parts/control.tsx";
import { Panel } from "../../parts/panel.tsx";
import style from "./settings.module.css";

export function SettingsPage(): ReactNode {
  const { data: session } = useSession();
  return (
    <Frame title="Settings" hasTime={false}>
      <Panel title="Signed in">
        <div className={style.inside}>
          <p>
            {session?.user?.name} <span className="t3">{session?.user?.role}</span>
          </p>
          {session?.sign_in === "application" ? (
            <p className="t2">The application signs you in and out.</p>
          ) : (
            <Button icon="leave" onClick={() => void signOut()}>
              Sign out
            </Button>
          )}
        </div>
      </Panel>
    </Frame>
  );
}
