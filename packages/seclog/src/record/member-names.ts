import { jsonString } from "../event/json.ts";
import { cutText, escapeText, isUnkeepable } from "../event/text.ts";
import { LONGEST_NAME, LOOK_BEHIND_DATA_CUT, type Redactor } from "./redact.ts";
import type { NameRule } from "./secret-names.ts";

/** The most names to remember, and their greatest length: clients choose names too. */
const REMEMBERED_NAMES = 2000;
const REMEMBERED_LENGTH = 64;

/** A member's name as stored, and the rule for its value. */
export interface MemberName {
  readonly key: string;
  readonly name: string;
  /** `"name":` */
  readonly json: string;
  readonly rule: NameRule;
}

/** The names in one log's data. Each is examined once. */
export class MemberNames {
  readonly #redactor: Redactor;
  readonly #known = new Map<string, MemberName>();

  constructor(redactor: Redactor) {
    this.#redactor = redactor;
  }

  of(key: string): MemberName {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const rule = this.#redactor.rule(key.length > LONGEST_NAME ? key.slice(0, LONGEST_NAME) : key);
    let name = cutText(this.#redactor.id(key.slice(0, LONGEST_NAME + LOOK_BEHIND_DATA_CUT)), LONGEST_NAME);
    if (isUnkeepable(name)) name = escapeText(name);
    const made: MemberName = { key, name, json: `${jsonString(name)}:`, rule };
    if (name === key && key.length <= REMEMBERED_LENGTH) {
      if (this.#known.size >= REMEMBERED_NAMES) this.#known.clear();
      this.#known.set(key, made);
    }
    return made;
  }
}

/** Sorts by UTF-16 units, as RFC 8785 requires. For small objects, which most are, this is faster than `sort`. */
export function sortNames(names: MemberName[]): void {
  if (names.length > 16) {
    names.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
    return;
  }
  for (let i = 1; i < names.length; i++) {
    const moved = names[i] as MemberName;
    let at = i - 1;
    for (; at >= 0 && (names[at] as MemberName).name > moved.name; at--) names[at + 1] = names[at] as MemberName;
    names[at + 1] = moved;
  }
}

/** Cutting and escaping may make two names equal, and parsers disagree on JSON with duplicate names. */
export function distinctNames(names: readonly MemberName[]): MemberName[] {
  const taken = new Set(names.filter(({ key, name }) => key === name).map(({ name }) => name));
  return names.map((member) => {
    if (member.name === member.key) return member;
    let name = member.name;
    for (let copy = 2; taken.has(name); copy++) name = `${member.name}~${copy}`;
    taken.add(name);
    return { ...member, name, json: `${jsonString(name)}:` };
  });
}

/** Whether a member contains the value of something that another member names. */
export function isValueName(name: MemberName): boolean {
  return name.key === "value";
}
