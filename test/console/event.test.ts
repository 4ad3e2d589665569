/** The page Event in Chromium: facts, the proof, and what it says when the record or the key is another. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BrowserConsole, noBrowser, openBrowserConsole } from "../support/browser-console.ts";
import { recordNow } from "../support/sample-log.ts";

describe.skipIf(noBrowser !== undefined)("the page Event", () => {
  let under: BrowserConsole;
  let id: string;
  beforeAll(async () => {
    under = await openBrowserConsole({ events: 200 });
    const [row] = await under.database.query<{ id: string }>(
      "SELECT id FROM security_event_log WHERE event_type = 'authn_login_successafterfail'",
    );
    id = row?.id ?? "";
  });
  afterAll(async () => {
    await under[Symbol.asyncDispose]();
  });

  it("verifies the proof, and refuses it for another key", async () => {
    const { page, complaints } = await under.open(`events/${id}`);
    await page.getByText("Verified in this browser").waitFor();
    expect(await page.getByText("at first use").count()).toBe(1);
    await page.getByRole("button", { name: "Use another key" }).click();
    await page.getByRole("textbox").fill("nonsense");
    await page.getByRole("button", { name: "Verify with these" }).click();
    expect(await page.getByRole("alert").innerText()).toContain("not a log's key");
    const other = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    await page.getByRole("textbox").fill(other);
    await page.getByRole("button", { name: "Verify with these" }).click();
    await page.getByText("Does not verify.").waitFor();
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it("refuses a record that the server shows otherwise than it was sealed", async () => {
    const { page } = await under.open("explore");
    await page.route(`**/api/v1/events/${id}`, async (route) => {
      const response = await route.fetch();
      const detail = (await response.json()) as { event: { actor_id: string } };
      detail.event.actor_id = "mallory";
      await route.fulfill({ json: detail });
    });
    await page.goto(new URL(`events/${id}`, under.url).href);
    await page.getByText("actor_id differs").waitFor();
    await page.context().close();
  });

  it("refuses a changed column that the server calls odd", async () => {
    const { page } = await under.open("explore");
    await page.route(`**/api/v1/events/${id}`, async (route) => {
      const detail = (await (await route.fetch()).json()) as { event: object };
      await route.fulfill({ json: { ...detail, event: { ...detail.event, actor_id: "mallory", odd: ["actor_id"] } } });
    });
    await page.goto(new URL(`events/${id}`, under.url).href);
    await page.getByText("Not verified.").waitFor();
    expect(await page.getByText("Verified in this browser").count()).toBe(0);
    await page.context().close();
  });

  it("refuses another event, and another leaf, than was asked for", async () => {
    const [row] = await under.database.query<{ id: string }>(
      "SELECT id FROM security_event_log WHERE event_type = 'authn_login_fail' LIMIT 1",
    );
    const { page } = await under.open("explore");
    await page.route(`**/api/v1/events/${id}`, async (route) => {
      await route.fulfill({
        response: await route.fetch({
          url: route
            .request()
            .url()
            .replace(id, row?.id ?? ""),
        }),
      });
    });
    await page.goto(new URL(`events/${id}`, under.url).href);
    await page.getByText("another event").waitFor();
    await page.unroute(`**/api/v1/events/${id}`);
    await page.route(`**/api/v1/events/${id}`, async (route) => {
      const detail = (await (await route.fetch()).json()) as object;
      await route.fulfill({ json: { ...detail, leaf: 0 } });
    });
    await page.goto(new URL(`events/${id}`, under.url).href);
    await page.getByText("shows leaf 0").waitFor();
    await page.context().close();
  });

  it("says that an event is not sealed yet", async () => {
    await recordNow(under.database, "authn_login_lock", "joan");
    const [row] = await under.database.query<{ id: string }>(
      "SELECT id FROM security_event_log WHERE actor_id = 'joan'",
    );
    const { page, complaints } = await under.open(`events/${row?.id}`);
    await page.getByText("Not sealed yet.").waitFor();
    expect(complaints).toEqual([]);
    await page.context().close();
  });
});
