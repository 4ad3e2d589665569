-- Who may look at the log in the console. These rows are no events: the console's role changes them, and may change nothing
-- else. It reads no event either: the console reads those as a reader.

-- `verifier` is scrypt's result with its parameters and its salt.
CREATE TABLE public.seclog_console_user (
  name text COLLATE "C" PRIMARY KEY,
  role text NOT NULL CHECK (role IN ('analyst', 'auditor', 'admin')),
  verifier text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

-- A session by the SHA-256 of its id, which only the browser has.
CREATE TABLE public.seclog_console_session (
  hash bytea PRIMARY KEY,
  name text COLLATE "C" NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  used_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX seclog_console_session_name ON public.seclog_console_session (name);

-- The link that makes the first user, by the SHA-256 of its code.
CREATE TABLE public.seclog_console_code (
  hash bytea PRIMARY KEY,
  expires_at timestamptz NOT NULL
);

CREATE TABLE public.seclog_console_view (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name text NOT NULL,
  query text NOT NULL,
  since text,
  columns text,
  owner text COLLATE "C" NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
