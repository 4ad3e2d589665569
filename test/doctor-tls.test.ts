/** `seclog doctor` against a server with TLS. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runHere } from "./support/here.ts";
import { type CertificateName, hasOpenssl, startTlsPostgres, type TlsPostgres } from "./support/tls-postgres.ts";

describe.skipIf(!hasOpenssl)("seclog doctor, against a server with TLS", () => {
  let server: TlsPostgres;
  beforeAll(async () => {
    server = await startTlsPostgres();
  });
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  /** Its findings about the administrator's connection. */
  async function findings(): Promise<unknown[]> {
    const url = new URL(server.url);
    url.searchParams.set("sslrootcert", server.certificates.authority);
    const env = { PATH: process.env["PATH"], SECLOG_ADMIN_URL: url.href };
    const { stdout } = await runHere(["doctor", "--json"], env);
    const { checks } = JSON.parse(stdout) as { checks: { area: string }[] };
    return checks.filter(({ area }) => area === "admin");
  }

  it("reports that a certificate was verified", async () => {
    const finding = expect.stringMatching(/encrypted \(TLSv1\.\d\), the certificate was verified/);
    expect(await findings()).toContainEqual({ area: "admin", status: "ok", finding });
  });

  it.each<[CertificateName, message: RegExp]>([
    ["foreign", /unable to verify.*; if it is the right server, name its certificate authority.*sslrootcert=/],
    ["expired", /certificate has expired; renew the server's certificate/],
    ["otherName", /127\.0\.0\.1 is not in the cert's list.*; connect by a name/],
  ])("names a certificate's fault and the fix: %s", async (name, message) => {
    await server.use(name);
    const advice = expect.stringMatching(message);
    expect(await findings()).toEqual([{ area: "admin", status: "fault", finding: "cannot connect", advice }]);
  });
});
