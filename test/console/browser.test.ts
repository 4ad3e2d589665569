/** The console in Chromium, whatever its pages show: it loads, at any path, and nothing that the log has becomes code. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BrowserConsole, noBrowser, openBrowserConsole } from "../support/browser-console.ts";
import { HOSTILE_TEXTS, recordNow } from "../support/sample-log.ts";

const PLACES = ["", "explore", "integrity", "settings", "nowhere"];

describe.skipIf(noBrowser !== undefined)("the console in a browser", () => {
  let under: BrowserConsole;

  beforeAll(async () => {
    under = await openBrowserConsole({ base: "/ops/seclog", events: 200 });
  });
  afterAll(async () => {
    await under[Symbol.asyncDispose]();
  });

  it("loads each place below its path, without an error or a refusal by its policy", async () => {
    const { page, complaints, go } = await under.open();
    for (const place of PLACES) {
      await go(place);
      expect([place, complaints]).toEqual([place, []]);
      expect(new URL(page.url()).pathname).toBe(`/ops/seclog/${place}`);
    }
    await page.context().close();
  });

  it("goes from place to place by its links, and back, without loading the page again", async () => {
    const { page, complaints } = await under.open();
    await page.evaluate(() => Object.assign(globalThis, { stays: true }));
    await page
      .getByRole("link", { name: /explore/i })
      .first()
      .click();
    await page.waitForURL("**/ops/seclog/explore*");
    await page.goBack();
    await page.waitForURL("**/ops/seclog/");
    expect(await page.evaluate(() => "stays" in globalThis)).toBe(true);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it("shows hostile texts of every column as text", async () => {
    const rows = await under.database.query<{ id: string; actor_id: string }>(
      "SELECT id, actor_id FROM security_event_log WHERE ip_address = '198.51.100.66'",
    );
    expect(rows).toHaveLength(HOSTILE_TEXTS.length);
    const entities = rows.slice(0, 3).map(({ actor_id }) => `entities/actor/${encodeURIComponent(actor_id)}`);
    const places = ["", "explore?q=ip:198.51.100.66", `events/${rows[0]?.id}`, ...entities];
    const { page, complaints, go } = await under.open();
    for (const place of places) {
      await go(place);
      const { title, strange } = await page.evaluate(() => ({
        title: document.title,
        strange: [
          ...document.querySelectorAll("script:not([src]), [onerror], [onload], a[href^='javascript:'], img[src='x']"),
        ].length,
      }));
      expect([place, strange, title]).toEqual([place, 0, expect.stringContaining("Seclog")]);
    }
    // What a reader would not see has a name in its place.
    await go("explore?q=ip:198.51.100.66&since=7d");
    const grid = page.getByRole("treegrid", { name: "Events" });
    await grid.getByText("<script>document.title='owned'</script>").first().waitFor();
    const text = await grid.innerText();
    expect(text).not.toMatch(/[\u202a-\u202e\u2066-\u2069\u200b\ufeff\u001b]/);
    expect(text).toContain("RLO");
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it("shows an event as soon as it is stored", async () => {
    const { page, complaints } = await under.open();
    const streaming = page.waitForResponse((response) => response.url().includes("/api/v1/stream"));
    await page.goto(new URL("explore?q=type:authn_login_lock", under.url).href);
    await streaming;
    await recordNow(under.database, "authn_login_lock", "katherine");
    const row = page.getByRole("treegrid", { name: "Events" }).getByText("katherine").first();
    // Half a second on a quiet machine; more on a busy one.
    await row.waitFor({ timeout: 10_000 });
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it("downloads what the query matches, by a link below its path", async () => {
    const { page, complaints, settled } = await under.open("explore?q=type:authn_login_fail&since=30d");
    await page.getByRole("button", { name: "Export this result" }).click();
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("link", { name: /^CSV/ }).click(),
    ]);
    const lines = readFileSync(await download.path(), "utf8")
      .trimEnd()
      .split("\r\n");
    const [row] = await under.database.query<{ count: number }>(
      "SELECT count(*)::int FROM security_event_log WHERE event_type = 'authn_login_fail'",
    );
    expect([download.suggestedFilename(), lines.length]).toEqual([
      expect.stringMatching(/^seclog-.*\.csv$/),
      (row?.count ?? 0) + 1,
    ]);
    await settled();
    expect(complaints).toEqual([]);
    await page.context().close();

    // An analyst may not export, and is not offered to.
    const other = await under.open("explore", { role: "analyst" });
    expect(await other.page.getByRole("button", { name: "Export this result" }).count()).toBe(0);
    await other.page.context().close();
  });

  it("shows a stranger nothing", async () => {
    const context = await under.browser.newContext();
    const response = await (await context.newPage()).goto(under.url);
    expect([response?.status(), await response?.text()]).toEqual([
      401,
      expect.stringContaining("Sign in to the application"),
    ]);
    await context.close();
  });
});
