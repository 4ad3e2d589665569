import type { Command } from "commander";
import { SeclogError, visibleText } from "seclog";
import { type RelayStore, relayStore } from "seclog/postgres";
import { checkedQueue } from "seclog/queues";
import { requireUrl } from "../../config/environment.ts";
import { commandLine } from "../../config/program.ts";
import { queueUrl, senderKeys } from "../../config/queue.ts";
import { dropDeadLetters, type ListedLetter, listDeadLetters, retryDeadLetters } from "../../ingest/dead-letters.ts";
import { checkQueueUrl, openConsumer } from "../../ingest/open-consumer.ts";
import { keylessWarning, runWorker } from "../../ingest/run-worker.ts";
import type { WorkEvent } from "../../ingest/work.ts";
import { interruption } from "../../terminal/interruption.ts";
import { wrapped } from "../../terminal/line-width.ts";
import { occasionalNotice } from "../../terminal/occasional-notice.ts";
import { jsonLine, notice, print } from "../../terminal/print.ts";
import { styled } from "../../terminal/style.ts";
import { counted } from "../../text/words.ts";
import { Exit } from "../exit.ts";
import { parseListen } from "../options/listen.ts";
import { parseCount } from "../options/numbers.ts";

interface WorkCommandOptions {
  readonly from?: string;
  readonly queue: string;
  readonly queueKey?: readonly string[];
  readonly plain?: true;
  readonly listen?: string;
  readonly connections: string;
  readonly lostAfter: string;
  readonly deadLetters?: true;
  readonly retry?: readonly string[];
  readonly drop?: readonly string[];
  readonly reason?: string;
  readonly json?: true;
}

/** Seconds: what is given back returns within 10, and only then can it be judged what is missing. */
const LEAST_LOST_AFTER = 15;

/** `seclog work`. */
export function addWork(command: Command): void {
  command
    .option("--from <url>", "the queue's URL without a password (default: SECLOG_QUEUE_URL)")
    .option("--queue <name>", "the queue's name, as the handlers have it", "seclog")
    .option("--queue-key <file>", "a sender's queue key, or NAME=FILE; repeatable", collect)
    .option("--plain", "accept envelopes without a key: anyone who reaches the engine can forge them")
    .option("--listen <host:port>", "serve /healthz, /readyz and /metrics there")
    .option("--connections <number>", "the most connections to PostgreSQL", "4")
    .option("--lost-after <seconds>", 'record events of confirm: "queued" as lost after', "120")
    .option("--dead-letters", "list what could not be stored, and why; with --retry or --drop, change that")
    .option("--retry <id...>", "put dead letters back into the queue, or all")
    .option("--drop <id...>", "drop dead letters, or all; the log records it")
    .option("--reason <text>", "why, for --drop")
    .option("--json", "one JSON document a line")
    .action(work);
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

async function work(options: WorkCommandOptions): Promise<void> {
  const url = queueUrl(options.from);
  checkQueueUrl(options.from === undefined ? "SECLOG_QUEUE_URL" : "--from", url);
  const queue = checkedQueue("--queue", options.queue);
  const connections = parseCount("--connections", options.connections, 100);
  const store = (): RelayStore => relayStore({ url: requireUrl("relay"), poolMax: connections });
  if (options.deadLetters) return deadLetters(url, queue, store, options);
  if (options.retry !== undefined || options.drop !== undefined) {
    throw new SeclogError("SECLOG_CONFIG", "--retry and --drop go with --dead-letters");
  }
  const keys = senderKeys(options.queueKey ?? []);
  const isPlain = options.plain === true;
  const warning = keylessWarning(keys, { isPlain, isProduction: process.env["NODE_ENV"] === "production" });
  if (warning !== undefined) notice(`${styled("warning:", "yellow", process.stderr)} ${warning}`);
  const lostAfterMs = parseCount("--lost-after", options.lostAfter, 86_400, LEAST_LOST_AFTER) * 1000;
  const listen = options.listen === undefined ? undefined : parseListen(options.listen);
  const signal = interruption();
  const relay = store();
  const report = new WorkReport(options.json === true);
  try {
    await runWorker({
      ...{ url, queue, store: relay, keys, lostAfterMs, signal },
      ...(listen === undefined ? {} : { listen }),
      onListening: (address) => print(options.json ? jsonLine({ listening: address }) : `${address}\n`),
      onEvent: (event) => report.note(event),
      onHttpError: (error) => report.trouble(error),
    });
  } finally {
    await relay.close();
  }
  if (options.json) await print(jsonLine({ stored: report.stored }));
  else await print(`Stored ${counted(report.stored, "event")}.\n`);
  // At once: connections that do not answer may be left.
  throw new Exit(0);
}

async function deadLetters(
  url: string,
  queue: string,
  open: () => RelayStore,
  { retry, drop, reason = "", json }: WorkCommandOptions,
): Promise<void> {
  if (retry !== undefined && drop !== undefined) {
    throw new SeclogError("SECLOG_CONFIG", "--retry and --drop exclude each other");
  }
  if (drop !== undefined && reason.trim() === "") {
    throw new SeclogError("SECLOG_CONFIG", "--drop needs --reason TEXT, which the log records");
  }
  const signal = interruption();
  const consumer = await openConsumer({ url, queue, prefetch: 1, onTrouble: () => {} });
  try {
    if (retry !== undefined) {
      const letters = await retryDeadLetters(consumer.dead, idsOf(retry));
      await print(json ? letters.map(jsonLine).join("") : `Put ${counted(letters.length, "message")} back.\n`);
      return;
    }
    if (drop !== undefined) {
      const store = open();
      try {
        const letters = await dropDeadLetters(consumer.dead, idsOf(drop), { store, queue, reason, signal });
        await print(
          json ? letters.map(jsonLine).join("") : `Dropped ${counted(letters.length, "message")}, on record.\n`,
        );
      } finally {
        await store.close();
      }
      return;
    }
    const letters = await listDeadLetters(consumer.dead);
    if (json) await print(letters.map(jsonLine).join(""));
    else if (letters.length === 0) await print("No dead letters.\n");
    else await print(`${letters.map(letterLines).join("")}${nextStep(letters)}`);
  } finally {
    await consumer.close();
  }
}

function idsOf(given: readonly string[]): readonly string[] | "all" {
  return given.length === 1 && given[0] === "all" ? "all" : given;
}

/** Several lines for each, since a reason is long. */
function letterLines({ id, at, bytes, sourceId, message }: ListedLetter): string {
  const head = `${id}  ${at.toISOString().slice(0, 19)}Z  ${counted(bytes, "byte")}`;
  const from = sourceId === undefined ? "" : `  source ${sourceId}\n`;
  return `${styled(visibleText(head), "bold")}\n${from}  ${wrapped(visibleText(message), "  ")}\n`;
}

function nextStep([first]: readonly ListedLetter[]): string {
  const id = first?.id ?? "ID";
  return `Once the reason is gone:\n  ${commandLine(`work --dead-letters --retry ${id}`)}\n`;
}

/** An event as JSON shows it: of an error, its code and message. */
function plain(event: WorkEvent): object {
  return "error" in event ? { ...event, error: { code: event.error.code, message: event.error.message } } : event;
}

/** What a worker says to people: what needs an eye at once, but not a line for each batch. */
class WorkReport {
  readonly #json: boolean;
  readonly #say = occasionalNotice();
  #broken = false;
  stored = 0;

  constructor(json: boolean) {
    this.#json = json;
  }

  note(event: WorkEvent): void {
    if (this.#json && event.kind !== "stored" && event.kind !== "redelivered" && event.kind !== "early") {
      notice(jsonLine(plain(event)).trimEnd());
    }
    switch (event.kind) {
      case "stored":
        this.stored += event.events;
        break;
      case "connected":
        if (this.#broken && !this.#json) notice("connected to the queue again");
        this.#broken = false;
        break;
      case "engine":
        this.#broken = true;
        if (!this.#json) this.#say(event.error.message);
        break;
      case "trouble":
        if (!this.#json) this.#say(`not storing: ${event.error.message}`);
        break;
      case "lost":
        if (!this.#json) {
          notice(
            `${styled("lost:", "red", process.stderr)} the queue lost events ${event.firstSeq} to ${event.lastSeq} of source ${event.sourceId}; they are on record in quarantine`,
          );
        }
        break;
      case "buried":
        if (!this.#json) {
          notice(`${styled("dead letter:", "red", process.stderr)} ${visibleText(event.reason.message)}`);
        }
        break;
      case "quarantined":
        if (!this.#json) this.#say(`event ${event.seq} of source ${event.sourceId} is in quarantine: ${event.reason}`);
        break;
      default:
        break;
    }
  }

  trouble(error: unknown): void {
    this.#say(String(error));
  }
}
