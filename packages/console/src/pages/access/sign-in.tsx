/** Before anything of the log is shown: sign in, or make the first user. */
import { ApiError } from "@seclog/api";
import { type FormEvent, type ReactNode, useState } from "react";
import { type Session, setUp, signIn } from "../../data/session.ts";
import { Logo } from "../../frame/frame.tsx";
import { Button } from "../../parts/control.tsx";
import { Icon } from "../../parts/icon.tsx";
import { goTo, hrefOf } from "../../routing/place.ts";
import style from "./access.module.css";

export function SignIn({ session }: { readonly session: Session }): ReactNode {
  const { oidc, sign_in: how } = session;
  const hasPassword = how === "password" || how === "both";
  return (
    <main className={style.alone}>
      <div className={style.card}>
        <Logo size={28} />
        <h1>Sign in to Seclog</h1>
        {how === "token" ? (
          <p>
            Open the link that seclog start has printed in the terminal. It works once, and each use prints the next.
          </p>
        ) : (
          <p>People are added with seclog users.</p>
        )}
        {hasPassword ? <Credentials submit="Sign in" send={signIn} /> : null}
        {hasPassword && oidc !== null ? <div className={style.or}>or</div> : null}
        {oidc === null ? null : (
          <Button
            icon="key"
            className={style.wide ?? ""}
            onClick={() => location.assign(new URL("api/v1/auth/oidc", document.baseURI))}
          >
            Continue with {oidc}
          </Button>
        )}
      </div>
    </main>
  );
}

/** The first user, by the link that `seclog start` printed: its code is in the fragment, which no server sees. */
export function SetUp(): ReactNode {
  const [code] = useState(() => decodeURIComponent(location.hash.slice(1)));
  const send = async (name: string, password: string): Promise<void> => {
    await setUp(code, name, password);
    goTo(hrefOf("/"), "replace");
  };
  return (
    <main className={style.alone}>
      <div className={style.card}>
        <Logo size={28} />
        <h1>Make the first user</h1>
        <p>An admin. Others are added with seclog users. The link works once, within an hour.</p>
        {code === "" ? (
          <Message text="This link has no code: open the whole link that seclog start printed." />
        ) : (
          <Credentials submit="Make user and sign in" send={send} isNew />
        )}
      </div>
    </main>
  );
}

interface CredentialsProps {
  readonly submit: string;
  readonly send: (name: string, password: string) => Promise<void>;
  readonly isNew?: boolean;
}

function Credentials({ submit, send, isNew = false }: CredentialsProps): ReactNode {
  const [failure, setFailure] = useState<string>();
  const [isSending, setSending] = useState(false);
  const submitted = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    setSending(true);
    try {
      await send(String(given.get("name")), String(given.get("password")));
    } catch (error) {
      setFailure(
        error instanceof ApiError ? error.message : "The server does not answer: check that seclog start runs.",
      );
    } finally {
      setSending(false);
    }
  };
  const bad = failure === undefined ? {} : { "data-bad": "" };
  return (
    <form onSubmit={(event) => void submitted(event)}>
      {failure === undefined ? null : <Message text={failure} />}
      <label className={style.field}>
        <span>Name</span>
        <input name="name" required autoComplete="username" spellCheck={false} autoCapitalize="none" />
      </label>
      <label className={style.field} {...bad}>
        <span>Password</span>
        <input
          name="password"
          type="password"
          required
          minLength={isNew ? 12 : 1}
          autoComplete={isNew ? "new-password" : "current-password"}
        />
      </label>
      <Button type="submit" kind="primary" className={style.wide ?? ""} disabled={isSending}>
        {submit}
      </Button>
    </form>
  );
}

function Message({ text }: { readonly text: string }): ReactNode {
  return (
    <div className={style.message} role="alert">
      <Icon name="warning" size={14} />
      <span>{text.charAt(0).toUpperCase() + text.slice(1)}</span>
    </div>
  );
}
