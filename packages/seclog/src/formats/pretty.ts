/** An event for a developer at a terminal. Whatever the event contains, its first line stays one line. */
import type { SecurityEvent } from "../event/event.ts";
import type { Level } from "../event/level.ts";
import { visibleJson, visibleText } from "../event/visible.ts";

/** How {@link prettyEvent} prints. */
export interface PrettyOptions {
  readonly colour: boolean;
  /** The width of the terminal, to which the first line is cut; `undefined` to cut nothing. */
  readonly width: number | undefined;
  /** Whether every fact follows, one line each. */
  readonly facts: boolean;
}

/** SGR codes (ECMA-48): the sixteen colours that every theme defines, and none that needs a dark background. */
const SGR = { dim: 2, bold: 1, red: 31, yellow: 33, cyan: 36, green: 32, alarm: "1;31" } as const;

type Style = keyof typeof SGR;

const LEVELS: { readonly [L in Level]: readonly [label: string, style: Style] } = {
  debug: ["debug", "dim"],
  info: ["info ", "green"],
  warning: ["warn ", "yellow"],
  error: ["error", "red"],
  critical: ["CRIT ", "alarm"],
};

/** Where the request begins, if the type is not longer: most of the catalogue's are not. */
const TYPE_WIDTH = 26;

/** A piece of the line, measured and cut without its colour. */
type Piece = readonly [text: string, style?: Style];

/**
 * An event for a terminal: the time of day here, level, type, request, status, address, actor, then its own data.
 *
 * `19:43:22 CRIT  authz_fail                 GET /admin 403 203.0.113.9 ada resource=orders`
 */
export function prettyEvent(event: SecurityEvent, { colour, width, facts }: PrettyOptions): string {
  const [label, style] = LEVELS[event.level];
  const method = event.methodOriginal ?? event.method;
  const request = [method, event.route !== undefined && event.path === undefined ? event.route : event.path];
  const pieces: Piece[] = [
    [timeOfDay(event.occurredAt), "dim"],
    [label, style],
    [visibleText(event.type).padEnd(TYPE_WIDTH), "bold"],
  ];
  for (const word of request) if (word !== undefined) pieces.push([visibleText(word)]);
  if (event.statusCode !== undefined) pieces.push([String(event.statusCode), event.statusCode < 400 ? "green" : "red"]);
  if (event.ipAddress !== undefined) pieces.push([visibleText(event.ipAddress), "dim"]);
  if (event.actorId !== undefined) pieces.push([visibleText(event.actorId), "cyan"]);
  if (event.targetId !== undefined) pieces.push([`→ ${visibleText(event.targetId)}`, "cyan"]);
  if (event.count !== undefined) pieces.push([`×${event.count}`, "bold"]);
  for (const [name, value] of Object.entries(event.data ?? {})) pieces.push([`${visibleText(name)}=${inline(value)}`]);
  if (event.notes?.flags !== undefined) pieces.push([`! ${visibleText(event.notes.flags.join("; "))}`, "yellow"]);
  return `${line(pieces, colour, width)}\n${facts ? tree(event, colour) : ""}`;
}

function line(pieces: readonly Piece[], colour: boolean, width: number | undefined): string {
  const words: string[] = [];
  let left = width ?? Number.POSITIVE_INFINITY;
  for (const [index, [text, style]] of pieces.entries()) {
    const space = index === 0 ? 0 : 1;
    // Kept free for the sign that something was cut, unless this is the last piece.
    const room = left - space - (index === pieces.length - 1 ? 0 : 2);
    if (text.length > room) {
      const cut = text.slice(0, Math.max(0, left - space - 1)).replace(/[\ud800-\udbff]$/, "");
      words.push(styled(`${cut}…`, style, colour));
      break;
    }
    words.push(styled(text, style, colour));
    left -= text.length + space;
  }
  return words.join(" ").trimEnd();
}

/** Every fact that the event has, below each other: those that the line may have cut, and those that it leaves out. */
function tree(event: SecurityEvent, colour: boolean): string {
  const { v: _v, type: _type, level: _level, data = {}, notes = {}, ...plain } = event;
  const { id, occurredAt, sourceId, epoch, seq, logger, host, ...said } = plain;
  const texts = (members: object) =>
    Object.entries(members).map(([name, value]) => [name, visibleText(String(value))] as const);
  const facts = [
    ...texts(said),
    ...Object.entries(data).map(([name, value]) => [`data.${visibleText(name)}`, inline(value)] as const),
    ...Object.entries(notes).map(([name, value]) => [`notes.${name}`, inline(value)] as const),
    ...texts({ occurredAt, id, sourceId, epoch, seq, logger, ...(host !== undefined && { host }) }),
  ];
  const widest = Math.max(...facts.map(([name]) => name.length));
  return facts
    .map(([name, value], index) => {
      const branch = index === facts.length - 1 ? "└" : "├";
      return `         ${styled(`${branch} ${name.padEnd(widest)}`, "dim", colour)} ${value}\n`;
    })
    .join("");
}

/** A value of data: a text as it is, anything else as JSON. */
function inline(value: unknown): string {
  return typeof value === "string" && /^[^\s"]+$/u.test(value)
    ? visibleText(value)
    : visibleJson(JSON.stringify(value));
}

/** As the clock on the developer's wall shows it. */
function timeOfDay(rfc3339: string): string {
  const date = new Date(rfc3339);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

function styled(text: string, style: Style | undefined, colour: boolean): string {
  return colour && style !== undefined ? `\u001b[${SGR[style]}m${text}\u001b[0m` : text;
}
