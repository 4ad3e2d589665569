import { describe, expect, it } from "vitest";
import { fc } from "#test/support/properties.ts";
import { SeclogError } from "../event/errors.ts";
import { connectionConfig, optionalSecretUrl } from "./connection-config.ts";
import { parseConnectionUrl } from "./connection-url.ts";

const parts = (url: string) => parseConnectionUrl(url, (problem) => new Error(problem));
const at = (url: string) => {
  const { host, port, user, password, database } = parts(url);
  return [user, password, host, port, database];
};

describe("parseConnectionUrl()", () => {
  it.each([
    ["postgresql://u:p@db:5433/seclog", ["u", "p", "db", "5433", "seclog"]],
    ["postgres://u:p@[2001:db8::1]:5433/seclog", ["u", "p", "2001:db8::1", "5433", "seclog"]],
    // Accepted by libpq, not by a browser.
    ["postgresql://writer:?S3cretPart@db/seclog", ["writer", "?S3cretPart", "db", "", "seclog"]],
    ["postgresql://writer:a#b?c@db/seclog", ["writer", "a#b?c", "db", "", "seclog"]],
    ["postgresql://u:p@/seclog?host=/cloudsql/a:b:c", ["u", "p", "/cloudsql/a:b:c", "", "seclog"]],
    ["postgresql:///seclog?host=%2Frun&user=u&password=p%40&port=6432", ["u", "p@", "/run", "6432", "seclog"]],
    ["postgresql://u@%2Fvar%2Frun%2Fpostgresql/seclog", ["u", "", "/var/run/postgresql", "", "seclog"]],
    ["postgresql://u:p@:5433?host=/run&dbname=seclog", ["u", "p", "/run", "5433", "seclog"]],
    ["postgresql://u:p@db?dbname=seclog", ["u", "p", "db", "", "seclog"]],
    ["postgresql://u:p@db/a%2Fb?password=a@b", ["u", "a@b", "db", "", "a/b"]],
    // Accepted by a browser, not by libpq.
    ["postgresql://u:p@ss@db/seclog", ["u", "p@ss", "db", "", "seclog"]],
    ["postgresql://Sh%C3%B6p%20%22Writer%22:%25@db/%E6%97%A5", ['Sh\u00f6p "Writer"', "%", "db", "", "\u65e5"]],
  ])("%s", (url, expected) => {
    expect(at(url)).toEqual(expected);
  });

  it.each([
    ["host=/run dbname=seclog password=S3cretPart", "libpq's form of name=value pairs"],
    ["S3cretPart", "is not a URL"],
    ["mysql://u:S3cretPart@db/x", "has the scheme mysql:"],
    ["postgresql://a,b/x?user=u&password=S3cretPart", "several hosts"],
    ["postgresql://u:S3cretPart@/x?host=a,b", "several hosts"],
    ["postgresql://u:S3cret/Part@db/x", "has a / or @ where the database's name is"],
    ["postgresql://u:5432/S3cretPart@db/x", "has a / or @ where the database's name is"],
    ["postgresql://u:100%S3cretPart@db/x", "has a % that is not followed"],
    ["postgresql://u:S3cretPart%00@db/x", "has a NUL"],
    ["postgresql://u@db/x?S3cretPart", "a parameter without a value"],
    ["postgresql://u@db/x?S3cretPart=1", "has a parameter, which is not supported"],
    ["postgresql://u@db/x?connect_timeout=5", "has the parameter connect_timeout, which is not supported"],
    ["postgresql://u@db/x?options=-c", "must not have options"],
    ["postgresql://u@[S3cretPart/x", "has no host where one should be"],
  ])("refuses %s", (url, problem) => {
    expect(() => parts(url)).toThrow(problem);
    expect(() => parts(url)).not.toThrow(/S3cret|Part/);
  });
});

/** Pieces of URLs, put together well and badly. The marker stands for a password in any place. */
const MARKER = "zQ7marker";
const signs = fc.constantFrom(
  "",
  ":",
  "/",
  "//",
  "?",
  "#",
  "@",
  "%",
  "%2",
  "&",
  "=",
  "[",
  "]",
  ",",
  " ",
  "\\",
  "://",
  "\0",
);
const pieces = fc.constantFrom(
  "postgresql://",
  "postgres://",
  "writer",
  "db",
  "5432",
  "seclog",
  "?host=",
  "&password=",
  "&sslmode=",
  "&sslrootcert=",
  "&x=",
  "user=u",
  "host=/run ",
);

describe("connectionConfig()", () => {
  it("never repeats anything after the scheme of a URL that it refuses", () => {
    const tail = fc.array(fc.oneof(signs, pieces, fc.constant(MARKER)), { maxLength: 12 });
    const url = fc
      .tuple(fc.constantFrom("postgresql://", "postgres://writer:", "postgresql://writer:", ""), tail, tail)
      .map(([head, before, after]) => `${head}${before.join("")}${MARKER}${after.join("")}`);
    fc.assert(
      fc.property(url, (text) => {
        try {
          connectionConfig("postgresHandler", "url", text, undefined);
        } catch (error) {
          expect(error).toBeInstanceOf(SeclogError);
          expect(String((error as Error).message)).not.toContain(MARKER);
        }
      }),
      { numRuns: 5_000 },
    );
  });

  it("never repeats the path of an unreadable file, which may be the URL itself", () => {
    const urlFile = `postgresql://writer:${MARKER}@db/seclog`;
    for (const name of [urlFile, `${MARKER}\0`, "/"]) {
      expect(() => optionalSecretUrl("x", { urlFile: name }, "NONE")).toThrow(
        /^x: urlFile names a file that cannot be read \((ENOENT|ERR_INVALID_ARG_VALUE|a folder, not a regular file|a directory, not a regular file)\)/,
      );
      expect(() => optionalSecretUrl("x", { urlFile: name }, "NONE")).not.toThrow(MARKER);
    }
  });

  it.each([
    [`postgresql://${"w".repeat(64)}@db/x`, "names a user of 64 bytes"],
    [`postgresql://w@db/${"x".repeat(64)}`, "names a database of 64 bytes"],
    [`postgresql://w@db/${"%C3%A9".repeat(32)}`, "names a database of 64 bytes"],
    ["postgresql://w@db", "names no database"],
    ["postgresql://db/x", "names no user"],
    ["postgresql://w@/x", "names no host"],
    ["postgresql://w@db:port/x", "has a port that is not a number from 1 to 65535"],
    ["postgresql://w@db:0/x", "has a port that is not a number from 1 to 65535"],
    ["postgresql://w@db/x?sslmode=prefer", "has sslmode=prefer, which trusts any server that answers"],
    ["postgresql://w@db/x?sslmode=zzz", "has an sslmode that does not exist"],
  ])("refuses %s", (url, problem) => {
    expect(() => connectionConfig("setup", "url", url, undefined)).toThrow(problem);
  });

  it("accepts names of the greatest length", () => {
    expect(
      connectionConfig("setup", "url", `postgresql://${"w".repeat(63)}@db/${"x".repeat(63)}`, false),
    ).toMatchObject({
      user: "w".repeat(63),
      database: "x".repeat(63),
    });
  });
});
