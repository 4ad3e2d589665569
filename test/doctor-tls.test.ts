/** What `seclog doctor` says of a server with TLS. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CertificateName, hasOpenssl, startTlsPostgres, type TlsPostgres } from "./support/tls-postgres.ts";

const program = fileURLToPath(new URL("../packages/server/bin/seclog.js", import.meta.url));

describe.skipIf(!hasOpenssl)("seclog doctor, of a server with TLS", () => {
  let server: TlsPostgres;
  beforeAll(async () => {
    server = await startTlsPostgres();
  });
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  /** Its findings about the administrator's connection. */
  function findings(): Promise<unknown[]> {
    const url = new URL(server.url);
    url.searchParams.set("sslrootcert", server.certificates.authority);
    const env = { PATH: process.env["PATH"], SECLOG_ADMIN_URL: url.href };
    return new Promise((resolve) => {
      execFile(process.execPath, [program, "doctor", "--json"], { env }, (_failure, stdout) => {
        const { checks } = JSON.parse(stdout) as { checks: { area: string }[] };
        resolve(checks.filter(({ area }) => area === "admin"));
      });
    });
  }

  it("says that a certificate was verified", async () => {
    const finding = expect.stringMatching(/encrypted \(TLSv1\.\d\), the certificate was verified/);
    expect(await findings()).toContainEqual({ area: "admin", status: "ok", finding });
  });

  it.each<[CertificateName, says: RegExp]>([
    ["foreign", /unable to verify.*; if it is the right server, name the authority.*sslrootcert=/],
    ["expired", /certificate has expired; renew the server's certificate/],
    ["otherName", /127\.0\.0\.1 is not in the cert's list.*; connect by a name/],
  ])("names a certificate's fault, and what to do: %s", async (name, says) => {
    await server.use(name);
    const advice = expect.stringMatching(says);
    expect(await findings()).toEqual([{ area: "admin", status: "fault", finding: "cannot connect", advice }]);
  });
});
