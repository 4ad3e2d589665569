import { setTimeout as sleep } from "node:timers/promises";
import { cutText, type Database, EventFollower, type EventRow, openReader, textWidth } from "@seclog/server/for-demo";
import { sql } from "kysely";
import { isLevel, visibleText } from "seclog";
import { styled } from "./terminal.ts";

const POLL_MS = 50;

/** The log's table as the reader role sees it from now on. What this machine causes is printed as it arrives. */
export class DemoTable {
  readonly #database: Database;
  readonly #follower: EventFollower;
  readonly #seen: EventRow[] = [];
  readonly #following = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  private constructor(database: Database) {
    this.#database = database;
    this.#follower = new EventFollower(database, {});
  }

  static async open(readerUrl: string): Promise<DemoTable> {
    const table = new DemoTable(openReader(undefined, readerUrl));
    await table.#follower.begin(0);
    return table;
  }

  /** Everything that arrived, in the order of arrival. */
  get seen(): readonly EventRow[] {
    return this.#seen;
  }

  /** Prints the table's head, then every row as it arrives. */
  follow(): void {
    process.stdout.write(`${styled(row("TIME", "LEVEL", "EVENT", "REQUEST", "CODE"), "heading")}\n`);
    this.#loop = (async () => {
      while (!this.#following.signal.aborted) {
        await this.#look();
        await sleep(POLL_MS, undefined, { signal: this.#following.signal }).catch(() => {});
      }
    })();
    // close() reports a failure; until then it is kept.
    this.#loop.catch(() => {});
  }

  /** How many numbers the sources have reached, and how many of them are sealed. */
  async progress(): Promise<{ readonly stored: number; readonly sealed: number }> {
    const { rows } = await sql<{ stored: string; sealed: string }>`SELECT
      (SELECT sum(last_seq) FROM security_event_source) AS stored,
      (SELECT size FROM security_event_tree) AS sealed`.execute(this.#database);
    return { stored: Number(rows[0]?.stored), sealed: Number(rows[0]?.sealed) };
  }

  /** Prints what has arrived, and then stops. */
  async close(): Promise<void> {
    this.#following.abort();
    try {
      await this.#loop;
      await this.#look();
    } finally {
      await this.#database.destroy();
    }
  }

  async #look(): Promise<void> {
    for await (const page of this.#follower.look()) {
      this.#seen.push(...page);
      for (const event of page) if (!isVisitor(event)) process.stdout.write(`${line(event)}\n`);
    }
  }
}

/** Those that come from elsewhere are for the console: they are too many for a terminal. */
function isVisitor({ ip_address: address }: EventRow): boolean {
  return address !== null && address !== "127.0.0.1";
}

function line(event: EventRow): string {
  const actor = event.actor_id === null ? null : `(${event.actor_id})`;
  const request = [event.method_original ?? event.method, event.path, actor].filter((part) => part !== null);
  const text = row(
    new Date(event.occurred_at).toTimeString().slice(0, 8),
    event.level,
    event.event_type,
    visibleText(request.join(" ")),
    String(event.status_code ?? ""),
  );
  return styled(text, isLevel(event.level) ? event.level : "info");
}

/** 80 columns on any terminal, for the longest name of an event and the paths of the shop. */
function row(time: string, level: string, type: string, request: string, code: string): string {
  return `${cell(time, 8)} ${cell(level, 8)} ${cell(type, 26)} ${cell(request, 30)} ${code.padStart(4)}`.trimEnd();
}

function cell(text: string, width: number): string {
  const cut = cutText(text, width);
  return cut + " ".repeat(width - textWidth(cut));
}
