import pg from "pg";
import { describe, expect, it } from "vitest";
import { createSecurityLog } from "../packages/seclog/src/log/create-security-log.ts";
import { postgresHandler } from "../packages/seclog/src/postgres/index.ts";
import { checkAddresses } from "../packages/server/src/doctor/addresses.ts";
import { Findings } from "../packages/server/src/doctor/findings.ts";
import { createTestDatabase } from "./support/postgres.ts";

describe("checkAddresses()", () => {
  it("finds services whose events all have a private address or all have none, and no others", async () => {
    await using database = await createTestDatabase();
    const record = async (service: string, addresses: readonly (string | undefined)[]): Promise<void> => {
      const log = createSecurityLog({
        service,
        spool: "memory",
        handlers: [postgresHandler({ url: database.writerUrl })],
      });
      for (const remoteAddress of addresses) {
        log.recordSecurityEvent("authz_fail", { method: "GET", url: "/", headers: {}, socket: { remoteAddress } });
      }
      await log.flush();
      await log.close();
    };
    const privates = ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "100.64.0.1", "::1", "fd00::1", "fe80::1"];
    const many = (addresses: readonly (string | undefined)[]) =>
      Array.from({ length: 24 }, (_, at) => addresses[at % addresses.length]);
    await record("behind-proxy", many(privates));
    await record("behind-socket", many([undefined]));
    await record("well-set", [...many(privates), "203.0.113.7"]);
    await record("a-handful", privates);

    const client = new pg.Client({ connectionString: database.readerUrl });
    await client.connect();
    try {
      const findings = new Findings("reader");
      await checkAddresses(client, findings);
      expect(findings.checks.map(({ status, finding }) => `${status}: ${finding.replace(/:.*/, "")}`)).toEqual([
        "warning: all 24 recent events of service behind-proxy have a private address",
        "warning: all 24 recent events of service behind-socket have no address",
      ]);
    } finally {
      await client.end();
    }
  });
});
