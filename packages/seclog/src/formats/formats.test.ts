/** Each format's golden file, and that no event of a stranger breaks a line, a field or a document of any. */
import { beforeAll, describe, expect, it } from "vitest";
import { BARE_EVENT, FULL_EVENT, hostileEvents } from "#test/support/hostile-events.ts";
import { fc } from "#test/support/properties.ts";
import type { SecurityEvent } from "../event/event.ts";
import { VERSION } from "../event/version.ts";
import { cefMessage } from "./cef.ts";
import { csvHeader, csvLine } from "./csv.ts";
import { ecsDocument, ecsLine } from "./ecs.ts";
import { leefMessage } from "./leef.ts";
import { readableLine } from "./line.ts";
import { ndjsonLine } from "./ndjson.ts";
import { ocsfEvent, ocsfLine } from "./ocsf.ts";
import { otlpLogs } from "./otlp.ts";
import { owaspEvent, owaspLine } from "./owasp.ts";
import { syslogMessage } from "./syslog.ts";

const GOLDEN: { readonly [file: string]: (events: readonly SecurityEvent[]) => string } = {
  "line.txt": (events) => events.map((event) => readableLine(event, false)).join(""),
  "ndjson.ndjson": (events) => events.map(ndjsonLine).join(""),
  "csv.csv": (events) => csvHeader() + events.map(csvLine).join(""),
  "owasp.ndjson": (events) => events.map(owaspLine).join(""),
  "syslog.txt": (events) => events.map((event) => `${syslogMessage(event)}\n`).join(""),
  "syslog-line.txt": (events) => events.map((event) => `${syslogMessage(event, { body: "line" })}\n`).join(""),
  "cef.txt": (events) => events.map((event) => `${cefMessage(event)}\n`).join(""),
  "leef.txt": (events) => events.map((event) => `${leefMessage(event)}\n`).join(""),
  "ecs.json": (events) => pretty(events.map(ecsDocument)),
  "otlp.json": (events) => pretty(otlpLogs(events)),
  "ocsf-1.8.0.json": (events) => pretty(events.map((event) => ocsfEvent(event))),
  "ocsf-1.9.0.json": (events) =>
    pretty(
      events.map((event, index) =>
        ocsfEvent(event, { version: "1.9.0", sealed: { origin: "example.org/log", index } }),
      ),
    ),
};

function pretty(value: unknown): string {
  return `${JSON.stringify(value, null, 1)}\n`;
}

let hostile: readonly SecurityEvent[];
beforeAll(async () => {
  hostile = await hostileEvents();
});

it.each(Object.keys(GOLDEN))(
  "golden/%s - has what the format made of two events when its reader last looked",
  async (file) => {
    const login: SecurityEvent = {
      ...BARE_EVENT,
      id: "019aad2f-1b2c-7000-8000-000000000003",
      seq: 9,
      type: "authn_login_fail",
      level: "warning",
      category: "authn",
      outcome: "failure",
      service: "shop-api",
      ipAddress: "203.0.113.9",
      method: "POST",
      path: "/login",
      statusCode: 401,
      actorId: "ada@example.org",
      data: { reason: "password" },
    };
    const written = GOLDEN[file]?.([FULL_EVENT, BARE_EVENT, login]) ?? "";
    // Neither the program's version nor a hash over it is part of a format.
    const text = written.replaceAll(VERSION, "VERSION").replace(/\b[0-9a-f]{64}\b/g, "HASH");
    await expect(text).toMatchFileSnapshot(`golden/${file}`);
  },
);

describe("csvLine()", () => {
  it("has a field for each column, whatever an event contains", () => {
    const columns = csvHeader().trimEnd().split(",").length;
    for (const event of hostile) {
      const row = parseCsv(csvLine(event));
      expect(row).toHaveLength(1);
      expect(row[0]).toHaveLength(columns);
    }
  });

  it("marks what a spreadsheet would run, and nothing else", () => {
    const names = csvHeader().trimEnd().split(",");
    const cell = (event: SecurityEvent, name: string) => parseCsv(csvLine(event))[0]?.[names.indexOf(name)];
    for (const first of ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"]) {
      expect(cell({ ...BARE_EVENT, actorId: `${first}1+1` }, "actor_id")).toBe(`'${first}1+1`);
    }
    for (const text of ["a=1", "3", "'", "", " a", 'say "hi"', "a,b", "a\nb"]) {
      expect(cell({ ...BARE_EVENT, actorId: text }, "actor_id")).toBe(text);
    }
    expect(cell({ ...BARE_EVENT, statusCode: -3 }, "status_code")).toBe("-3");
  });

  it("returns every text to a reader of RFC 4180", () => {
    const names = csvHeader().trimEnd().split(",");
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "binary-ascii" }), (path, userAgent) => {
        const [row] = parseCsv(csvLine({ ...BARE_EVENT, path, userAgent }));
        expect(row?.[names.indexOf("path")]?.replace(/^'(?=[=+\-@\t\r\n＝＋－＠])/, "")).toBe(path);
        expect(row?.[names.indexOf("user_agent")]?.replace(/^'(?=[=+\-@\t\r\n])/, "")).toBe(userAgent);
      }),
    );
  });
});

describe("owaspEvent()", () => {
  it("prints the vocabulary's name and arguments in its order", () => {
    const event = (type: string, data: SecurityEvent["data"], more: Partial<SecurityEvent> = {}): string =>
      owaspEvent({ ...BARE_EVENT, type, ...(data && { data }), ...more });
    expect(event("authn_login_fail", { userid: "joe" })).toBe("authn_login_fail:joe");
    expect(event("authn_login_fail", undefined, { actorId: "joe" })).toBe("authn_login_fail:joe");
    expect(event("authz_change", { userid: "joe", from: "user", to: "admin" })).toBe("authz_change:joe,user,admin");
    expect(event("upload_validation", { filename: "a.png", validator: "virusscan", result: "FAILED" })).toBe(
      "upload_validation:a.png,virusscan:FAILED",
    );
    expect(event("user_created", { userid: "a", newuserid: "b", attributes: ["x", "y"] })).toBe(
      "user_created:a,b,[x,y]",
    );
    expect(event("malicious_csrf", undefined, { ipAddress: "2001:db8::1" })).toBe("malicious_csrf:2001\\:db8\\:\\:1");
    expect(event("shop.own", { a: 1 })).toBe("shop.own");
  });

  it("lets no value add an argument", () => {
    const text = owaspEvent({ ...BARE_EVENT, type: "authz_fail", data: { userid: "a,admin", resource: "b\\,c" } });
    expect(text).toBe("authz_fail:a\\,admin,b\\\\\\,c");
    expect(text.split(/(?<!\\)(?:\\\\)*,/)).toHaveLength(2);
  });
});

describe("every format of lines", () => {
  const lines: { readonly [name: string]: (event: SecurityEvent) => string } = {
    readableLine: (event) => readableLine(event, false).trimEnd(),
    ndjsonLine: (event) => ndjsonLine(event).trimEnd(),
    owaspLine: (event) => owaspLine(event).trimEnd(),
    ecsLine: (event) => ecsLine(event).trimEnd(),
    ocsfLine: (event) => ocsfLine(event).trimEnd(),
    cefMessage,
    "syslogMessage json": (event) => syslogMessage(event),
    "syslogMessage cef": (event) => syslogMessage(event, { body: "cef" }).replace("\ufeff", ""),
  };

  it.each(Object.entries(lines))("%s - prints one line without anything that a terminal obeys", (_name, print) => {
    for (const event of hostile) expect(print(event)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  });

  it("leefMessage() - has tabs between its attributes and no other control", () => {
    for (const event of hostile) {
      const [, attributes = ""] =
        /^LEEF:2\.0\|Seclog\|Seclog\|[\d.]+\|[^|]+\|x09\|(.*)$/.exec(leefMessage(event)) ?? [];
      expect(attributes.replaceAll("\t", "")).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      for (const pair of attributes.split("\t")) expect(pair).toMatch(/^[A-Za-z_]+=/);
    }
  });
});

describe("cefMessage()", () => {
  it("has seven fields in its header, and no value that ends its own", () => {
    for (const event of hostile) {
      const message = cefMessage(event);
      const fields = message.split(/(?<!\\)\|/);
      expect(fields[0]).toBe("CEF:0");
      expect(fields[4]).toBe(event.type);
      const extension = message
        .split(/(?<!\\)\|/)
        .slice(7)
        .join("|");
      const keys = extension.match(/(?:^| )[A-Za-z0-9]+(?<!\\)=/g) ?? [];
      expect(new Set(keys.map((key) => key.trim())).size).toBe(keys.length);
      expect(extension).toContain(`externalId=${event.id}`);
    }
  });
});

describe("syslogMessage()", () => {
  const RFC5424 =
    /^<(\d{1,3})>1 (\S+) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) \[seclog@32473((?: [a-z]+="(?:[^"\\\]]|\\["\\\]])*")*)\] (.*)$/su;

  it("has the header and the structured data of RFC 5424", () => {
    for (const event of hostile) {
      const [, priority, time, , , , id, data] = RFC5424.exec(syslogMessage(event)) ?? [];
      expect(Number(priority) >> 3).toBe(13);
      expect(time).toBe(event.occurredAt);
      expect(id).toBe(event.type.slice(0, 32));
      expect(data).toContain(` id="${event.id}"`);
    }
  });

  it("is ASCII where its text is JSON, and begins with a byte order mark where it is not", () => {
    const [, , , , , , , , text = ""] = RFC5424.exec(syslogMessage(FULL_EVENT)) ?? [];
    expect(text).toMatch(/^[ -~]*$/);
    expect(JSON.parse(text)).toMatchObject({ user_agent: FULL_EVENT.userAgent, path: FULL_EVENT.path });
    expect(RFC5424.exec(syslogMessage(FULL_EVENT, { body: "line" }))?.[8]?.startsWith("\ufeff2026-")).toBe(true);
  });

  it("replaces a time that RFC 5424 cannot have", () => {
    expect(syslogMessage({ ...BARE_EVENT, occurredAt: "infinity" })).toContain("<110>1 - - security ");
  });
});

describe("ecsDocument()", () => {
  it("has types that ECS expects in its categories", () => {
    const refusal = ecsDocument({ ...BARE_EVENT, type: "authz_fail", category: "authz", outcome: "failure" });
    expect(refusal).toMatchObject({ event: { category: ["api"], type: ["access", "denied"], outcome: "failure" } });
    const login = ecsDocument({ ...BARE_EVENT, type: "authn_login_fail", category: "authn", outcome: "failure" });
    expect(login).toMatchObject({ event: { category: ["authentication"], type: ["start"] } });
    const created = ecsDocument({ ...BARE_EVENT, type: "user_created", category: "user" });
    expect(created).toMatchObject({ event: { category: ["iam"], type: ["user", "creation"] } });
  });

  it("has the same kinds of values in every document, whatever the data are", () => {
    for (const event of hostile) {
      const { seclog } = ecsDocument(event) as { seclog: { data?: unknown; notes?: unknown } };
      expect(["string", "undefined"]).toContain(typeof seclog.data);
      expect(["string", "undefined"]).toContain(typeof seclog.notes);
    }
  });
});

/** A reader of RFC 4180. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let at = 0;
  while (at < text.length) {
    let value = "";
    if (text[at] === '"') {
      for (at++; !(text[at] === '"' && text[at + 1] !== '"'); at++) {
        if (at >= text.length) throw new Error("an open quote");
        if (text[at] === '"') at++;
        value += text[at];
      }
      at++;
    } else {
      while (at < text.length && text[at] !== "," && !text.startsWith("\r\n", at)) value += text[at++];
    }
    row.push(value);
    if (text[at] === ",") at++;
    else if (text.startsWith("\r\n", at)) {
      at += 2;
      rows.push(row);
      row = [];
    } else throw new Error(`neither a comma nor a line end at ${at}`);
  }
  return rows;
}
