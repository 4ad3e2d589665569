/** Which page a place is. */
import { ApiError } from "@seclog/api";
import { QueryClientProvider } from "@tanstack/react-query";
import { lazy, type ReactNode, Suspense, useEffect } from "react";
import { cache } from "./data/api.ts";
import { useSession } from "./data/session.ts";
import { Frame } from "./frame/frame.tsx";
import { Overlays } from "./frame/overlays.tsx";
import { Toasts } from "./frame/toasts.tsx";
import { listenToKeys } from "./keyboard/keys.ts";
import { SetUp, SignIn } from "./pages/access/sign-in.tsx";
import { Failure, Nothing } from "./parts/failure.tsx";
import { usePlace } from "./routing/place.ts";

// A page is loaded when it is opened first; the next ones while the reader reads.
const OverviewPage = lazy(() =>
  import("./pages/overview/overview-page.tsx").then((page) => ({ default: page.OverviewPage })),
);
const ExplorePage = lazy(() =>
  import("./pages/explore/explore-page.tsx").then((page) => ({ default: page.ExplorePage })),
);
const EventPage = lazy(() => import("./pages/event/event-page.tsx").then((page) => ({ default: page.EventPage })));
const EntityPage = lazy(() => import("./pages/entity/entity-page.tsx").then((page) => ({ default: page.EntityPage })));
const IntegrityPage = lazy(() =>
  import("./pages/integrity/integrity-page.tsx").then((page) => ({ default: page.IntegrityPage })),
);
const SettingsPage = lazy(() =>
  import("./pages/settings/settings-page.tsx").then((page) => ({ default: page.SettingsPage })),
);

export function App(): ReactNode {
  useEffect(listenToKeys, []);
  return (
    <QueryClientProvider client={cache}>
      <SignedIn />
      <Overlays />
      <Toasts />
    </QueryClientProvider>
  );
}

function SignedIn(): ReactNode {
  const { path } = usePlace();
  const { data: session, error, refetch } = useSession();
  // A session that ended shows in any answer.
  useEffect(() => {
    return cache.getQueryCache().subscribe(({ type, query }) => {
      const failure = type === "updated" ? query.state.error : null;
      if (failure instanceof ApiError && failure.status === 401 && query.queryKey[0] !== "session") void refetch();
    });
  }, [refetch]);
  if (path === "/setup") return <SetUp />;
  if (session === undefined) return error === null ? null : <Failure error={error} onRetry={() => void refetch()} />;
  if (session.user === null) return <SignIn session={session} />;
  return <Suspense fallback={<Frame title="Seclog">{null}</Frame>}>{pageOf(path)}</Suspense>;
}

function pageOf(path: string): ReactNode {
  const [, first = "", ...rest] = path.split("/").map(decoded);
  if (first === "") return <OverviewPage />;
  if (first === "explore") return <ExplorePage />;
  if (first === "integrity") return <IntegrityPage />;
  if (first === "settings") return <SettingsPage />;
  if (first === "events" && rest.length === 1) return <EventPage id={rest[0] ?? ""} />;
  if (first === "entities" && rest.length === 2) return <EntityPage kind={rest[0] ?? ""} value={rest[1] ?? ""} />;
  return (
    <Frame title="Not found" hasTime={false}>
      <Nothing title="This page does not exist">
        <p>The places are on the left: overview, explore, integrity.</p>
      </Nothing>
    </Frame>
  );
}

/** A part of the path; one that is not well-formed stays as it is. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
