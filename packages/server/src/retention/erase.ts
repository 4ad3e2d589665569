/** Erases a person: removes their data from events, keeps the events and their proofs. */
import type pg from "pg";
import { SeclogError } from "seclog";
import { isCode, oneRow } from "../database/failure.ts";
import type { OwnerConnection } from "../database/owner.ts";
import { InputError } from "../text/input-error.ts";
import { parseNetwork } from "../text/network.ts";
import { quoted } from "../text/words.ts";
import { requireReason, requireSpan } from "./checks.ts";
import { type OwnEvent, ownEvent } from "./own-event.ts";

/**
 * Selects events; at least one condition is required, and an event must match all of them. `actor` and `target` are the
 * stored forms of an id, with the same meaning as in a filter of `search/`. The condition exists twice: in `seclog_erase`,
 * since only a function of the schema may erase, and in `isNamed` of search/conditions.ts, for previews.
 * test/removal.test.ts holds the two together ("matches the same events for --actor and --target").
 */
export interface ErasureCriteria {
  readonly actor?: readonly string[];
  readonly target?: readonly string[];
  /** An address, or a network in CIDR form. */
  readonly ip?: string;
  readonly since?: Date;
  readonly until?: Date;
  /** Events by id. */
  readonly event?: readonly string[];
}

export interface EraseOptions {
  /** Why, for the record. */
  readonly reason: string;
  /** Only count what would be erased. @default false */
  readonly dryRun?: boolean;
}

/** Counts what was erased, or would be. Times are UTC, in the form of RFC 3339. */
export interface Erased {
  readonly erased: number;
  /** Events kept by a hold. */
  readonly held: number;
  /** Records in quarantine. */
  readonly quarantined: number;
  readonly first_at: string | null;
  readonly last_at: string | null;
  readonly types: { readonly [type: string]: number };
  /** The event that records the erasure; `null` for a dry run, or if nothing was erased. */
  readonly recorded_as: OwnEvent | null;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Checks what {@link erase} is to select, and returns it with the address in the form of the events.
 *
 * @throws SeclogError `SECLOG_CONFIG` for a value that no event has, and if nothing says whom to erase: a time alone
 * would erase everyone
 */
export function requireCriteria(criteria: ErasureCriteria): ErasureCriteria {
  const { actor, target, ip, event, since, until } = criteria;
  for (const [name, forms] of Object.entries({ actor, target })) {
    if (forms !== undefined && (forms.length === 0 || forms.some((form) => form === ""))) {
      throw new InputError((named) => `${named(name)} is empty: pass the id as the events have it`);
    }
  }
  if (event?.length === 0) throw new InputError((named) => `${named("event")} is empty: pass at least one id`);
  for (const id of event ?? []) {
    if (UUID.test(id)) continue;
    throw new InputError(
      (named) => `${named("event")} ${quoted(id)} is not an event's id, such as 01936d2f-5c00-7000-8000-000000000001`,
    );
  }
  if (actor === undefined && target === undefined && ip === undefined && event === undefined) {
    throw new InputError(
      (named) =>
        `nothing says whom to erase: add ${named("actor")}, ${named("target")}, ${named("ip")} or ${named("event")}`,
    );
  }
  requireSpan(since, until);
  return ip === undefined ? criteria : { ...criteria, ip: parseNetwork("ip", ip) };
}

/**
 * Erases the personal part of events, in one transaction that an event records.
 *
 * @throws SeclogError `SECLOG_CONFIG` for wrong criteria or no reason; `SECLOG_REMOVAL` if another session has the log locked; then nothing was erased
 */
export async function erase(
  owner: OwnerConnection,
  criteria: ErasureCriteria,
  { reason, dryRun = false }: EraseOptions,
): Promise<Erased> {
  const sought = requireCriteria(criteria);
  requireReason(reason);
  try {
    return await owner.transaction(dryRun ? "ROLLBACK" : "COMMIT", async (client) => {
      const parts: Erased[] = [];
      for (const each of eachForm(sought)) parts.push(await eraseOnce(client, each, reason, dryRun));
      return parts.reduce(together);
    });
  } catch (error) {
    if (!isCode(error, "55P03")) throw error;
    throw new SeclogError(
      "SECLOG_REMOVAL",
      "another session has the log locked, so nothing was erased: try again, and see pg_stat_activity",
      { cause: error },
    );
  }
}

/** Whether the criteria can match records in quarantine, which have no time and no network to compare. */
export function searchesQuarantine({ since, until, ip }: ErasureCriteria): boolean {
  const isNetwork = ip?.includes("/") === true && !ip.endsWith(ip.includes(":") ? "/128" : "/32");
  return since === undefined && until === undefined && !isNetwork;
}

/** Criteria with one form of each id. */
interface OneForm extends Omit<ErasureCriteria, "actor" | "target"> {
  readonly actor: string | undefined;
  readonly target: string | undefined;
}

async function eraseOnce(client: pg.Client, criteria: OneForm, reason: string, dryRun: boolean): Promise<Erased> {
  const { actor, target, ip, event, since, until } = criteria;
  const row = await oneRow<Omit<Erased, "recorded_as"> & { readonly recorded_as: string | null }>(
    client,
    `SELECT erased::float8, held::float8, quarantined::float8, types, recorded_as,
        to_char(first_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS first_at, to_char(last_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS last_at
      FROM public.seclog_erase($1, $2, $3, $4, $5, $6, $7, $8)`,
    [actor ?? null, target ?? null, ip ?? null, event ?? null, since ?? null, until ?? null, reason, dryRun],
  );
  return { ...row, recorded_as: row.recorded_as === null ? null : await ownEvent(client, row.recorded_as) };
}

/** Combines each form of the actor's id with each of the target's: `seclog_erase` takes one of each. */
function eachForm({ actor = [], target = [], ...others }: ErasureCriteria): readonly OneForm[] {
  const targets = target.length === 0 ? [undefined] : target;
  const actors = actor.length === 0 ? [undefined] : actor;
  return actors.flatMap((one) => targets.map((other) => ({ ...others, actor: one, target: other })));
}

function together(one: Erased, other: Erased): Erased {
  const types = { ...one.types };
  for (const [type, count] of Object.entries(other.types)) types[type] = (types[type] ?? 0) + count;
  const times = [one, other].flatMap(({ first_at, last_at }) => [first_at, last_at]).filter((time) => time !== null);
  times.sort();
  return {
    erased: one.erased + other.erased,
    held: one.held + other.held,
    quarantined: one.quarantined + other.quarantined,
    first_at: times[0] ?? null,
    last_at: times.at(-1) ?? null,
    types,
    recorded_as: other.recorded_as ?? one.recorded_as,
  };
}
