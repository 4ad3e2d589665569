import { describe, expect, it } from "vitest";
import { send, sendRaw } from "#test/support/http-client.ts";
import { type HttpService, isLoopback, startHttpService, textResponse } from "./service.ts";

async function serve(
  options: Partial<Parameters<typeof startHttpService>[0]> = {},
): Promise<HttpService & { readonly port: number }> {
  const service = await startHttpService({
    listen: { host: "127.0.0.1", port: 0 },
    respond: ({ method, path, body }) => textResponse(200, `${method} ${path} ${body.length}`),
    onError: () => {},
    ...options,
  });
  return { ...service, port: Number(new URL(service.url).port) };
}

describe("isLoopback()", () => {
  it("accepts this machine's own names, and no lookalikes", () => {
    for (const host of ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
      expect(isLoopback(host)).toBe(true);
    for (const host of [
      "",
      "127.0.0.1.evil.example",
      "localhost.evil.example",
      "128.0.0.1",
      "0.0.0.0",
      "127.1",
      "::",
    ]) {
      expect(isLoopback(host)).toBe(false);
    }
  });
});

describe("startHttpService()", () => {
  it("responds only to its own host if configured so", async () => {
    const guarded = await serve({ ownHostOnly: true });
    for (const host of ["localhost", `127.0.0.1:${guarded.port}`, "[::1]:1"]) {
      expect((await send(guarded.port, "GET", "/", { headers: { host } })).status).toBe(200);
    }
    for (const host of ["evil.example", `evil.example:${guarded.port}`, "127.0.0.1.evil.example"]) {
      expect((await send(guarded.port, "GET", "/", { headers: { host } })).status).toBe(421);
    }
    await guarded.close(0);
    const open = await serve();
    expect((await send(open.port, "GET", "/", { headers: { host: "evil.example" } })).status).toBe(200);
    await open.close(0);
  });

  it("reads no more than its limit, and hides internal errors", async () => {
    const errors: unknown[] = [];
    const service = await serve({
      mostBytes: 10,
      respond: ({ body }) => {
        if (body.length > 5) throw new Error("a secret");
        return textResponse(200, body.toString());
      },
      onError: (error) => errors.push(error),
    });
    const post = (body: string) => send(service.port, "POST", "/", { body });
    expect(await post("12345")).toMatchObject({ status: 200, body: "12345\n" });
    expect((await post("12345678901")).status).toBe(413);
    expect(await post("123456")).toMatchObject({ status: 500, body: "internal error\n" });
    expect(errors).toHaveLength(1);
    const chunked = await sendRaw(
      service.port,
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n8\r\n12345678\r\n0\r\n\r\n",
    );
    expect(chunked).toMatch(/^HTTP\/1\.1 413 /);
    expect((await post("1")).status).toBe(200);
    await service.close(0);
  });

  it("names the address that it cannot listen on", async () => {
    const service = await serve();
    await expect(serve({ listen: { host: "127.0.0.1", port: service.port } })).rejects.toMatchObject({
      code: "SECLOG_CONFIG",
      message: expect.stringContaining("EADDRINUSE"),
    });
    await service.close(0);
  });
});
