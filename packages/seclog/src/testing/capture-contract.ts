/**
 * The promises of every capture (`capture/contract.ts`) as tests for any runner:
 *
 * ```ts
 * for (const { title, skip, run } of captureContract({ open })) it.skipIf(skip)(title, run);
 * ```
 */
import assert from "node:assert/strict";
import type { CaptureOptions } from "../capture/capture.ts";
import type { CaptureCase, ExpectedCapture } from "../capture/contract/case.ts";
import { contractClient } from "../capture/contract/client.ts";
import { CONTRACT } from "../capture/contract/values.ts";
import { CAPTURE_CASES } from "../capture/contract.ts";
import type { SecurityEvent } from "../event/event.ts";
import { sleep } from "../runtime/timers.ts";
import { type MemoryLog, type MemoryLogOptions, memoryLog } from "./memory-log.ts";

export { CONTRACT } from "../capture/contract/values.ts";

/** An application of the framework, listening on 127.0.0.1. */
export interface CaptureFixture {
  readonly port: number;
  close(): Promise<void>;
}

/** Options of {@link captureContract}. */
export interface CaptureContractOptions {
  /** Starts the contract's application, with the capture installed in `log`; called once per case. */
  readonly open: (
    log: MemoryLog,
    options: Pick<CaptureOptions, "detect" | "loginPath" | "honeypots">,
  ) => Promise<CaptureFixture>;
  /** @default "http1" */
  readonly protocol?: "http1" | "http2" | undefined;
  /** Options of the log, for frameworks that have no setting for proxies: `{ clientIp: { trust: ["loopback"] } }`. */
  readonly log?: MemoryLogOptions | undefined;
  /** Cases that do not apply to this framework, by title, each with the reason. */
  readonly skip?: { readonly [title: string]: string } | undefined;
}

/** One case of the contract. */
export interface CaptureContractCase {
  readonly group: string;
  readonly title: string;
  /** Why it does not apply to this framework; `undefined` when it does. */
  readonly skip: string | undefined;
  /** Rejects if the capture records anything but the events of the case. */
  run(): Promise<void>;
}

/** The contract's tests for one framework. Throws if `skip` names no case or gives no reason. */
export function captureContract(options: CaptureContractOptions): readonly CaptureContractCase[] {
  const { protocol = "http1", skip = {} } = options;
  const cases = Object.entries(CAPTURE_CASES).flatMap(([group, list]) => list.map((one) => ({ group, one })));
  for (const [title, reason] of Object.entries(skip)) {
    assert.ok(
      cases.some(({ one }) => one.title === title),
      `the contract has no case "${title}"`,
    );
    assert.ok(reason !== "", `skipping "${title}" needs a reason`);
  }
  return cases.map(({ group, one }) => {
    const foreign = one.protocols.includes(protocol)
      ? undefined
      : `${protocol === "http2" ? "HTTP/1.1" : "HTTP/2"} only`;
    return { group, title: one.title, skip: foreign ?? skip[one.title], run: () => runCase(one, options, protocol) };
  });
}

async function runCase(one: CaptureCase, options: CaptureContractOptions, protocol: "http1" | "http2"): Promise<void> {
  const problems: string[] = [];
  const log = memoryLog({ ...options.log, diagnostics: ({ message }) => problems.push(message) });
  try {
    const fixture = await options.open(log, one.options ?? {});
    try {
      const status = await one.run(contractClient(fixture.port, protocol));
      if (one.answers !== undefined) {
        assert.ok(
          one.answers.includes(status ?? 0),
          `the application answered ${status}, not ${one.answers.join(" or ")}: the case proves nothing`,
        );
      }
      const events = await recorded(log, one.events.length);
      assert.equal(events.length, one.events.length, `expected ${listed(one.events)}, recorded ${shown(events)}`);
      for (const [at, expected] of one.events.entries()) check(events[at], expected, status);
      assert.deepEqual(problems, [], "the log reported problems");
    } finally {
      await fixture.close();
    }
  } finally {
    await log.close();
  }
}

/** How long an event may take that follows a client's disconnection, in milliseconds. */
const DEADLINE_MS = 5_000;

async function recorded(log: MemoryLog, wanted: number): Promise<readonly SecurityEvent[]> {
  const turns = DEADLINE_MS / 10;
  for (let turn = 0; turn < turns; turn++) {
    const events = await log.events();
    if (events.length >= wanted) break;
    await sleep(10);
  }
  // A second event for the same cause would come with the next turns.
  await sleep(1);
  return await log.events();
}

function check(event: SecurityEvent | undefined, expected: ExpectedCapture, answered: number | undefined): void {
  const { type, level, route, allowed, actor, address = "client", count, data = {} } = expected;
  assert.ok(event !== undefined);
  assert.equal(event.type, type);
  assert.equal(event.level, level, `the level of ${type}`);
  const status = "status" in expected ? expected.status : answered;
  if (status !== undefined) assert.equal(event.statusCode, status, `the status of ${type}`);
  if (route !== undefined) assert.equal(template(event.route), route, `the route of ${type}`);
  if (allowed !== undefined) {
    assert.deepEqual(event.allowedMethods?.split(", ").sort(), [...allowed].sort(), `the allowed methods of ${type}`);
  }
  if (actor !== undefined) assert.equal(event.actorId, actor, `the actor of ${type}`);
  const wanted = address === "client" ? CONTRACT.clientAddress : "127.0.0.1";
  assert.equal(event.ipAddress, wanted, `the address of ${type}`);
  if (count !== undefined) assert.equal(event.count, count, `the count of ${type}`);
  for (const [name, value] of Object.entries(data)) {
    const actual: unknown = event.data?.[name];
    if (value === true) assert.equal(typeof actual, "string", `data.${name} of ${type}: ${JSON.stringify(actual)}`);
    else assert.deepEqual(Array.isArray(actual) ? lastSteps(actual) : actual, value, `data.${name} of ${type}`);
  }
  assert.ok(!JSON.stringify(event).includes("planted-value"), `${type} contains a value of the request's body`);
}

/** A route's template, however a framework writes its parameters: `/orders/[id]`. */
function template(route: string | undefined): string | undefined {
  return route?.replace(/\[(\w+)\]/g, ":$1");
}

/** The names of fields, however a framework writes their paths: `body/email`. */
function lastSteps(fields: readonly unknown[]): readonly string[] {
  return fields.map((field) => String(field).split(/[./]/).at(-1) ?? "").sort();
}

function listed(events: readonly ExpectedCapture[]): string {
  return events.length === 0 ? "nothing" : events.map(({ type }) => type).join(", ");
}

function shown(events: readonly SecurityEvent[]): string {
  if (events.length === 0) return "nothing";
  return events.map(({ type, statusCode, data }) => `${type} ${statusCode} ${JSON.stringify(data)}`).join("; ");
}
