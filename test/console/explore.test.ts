/** The page Explore in Chromium: the whole way from a query to an event, by mouse and by keyboard. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BrowserConsole, noBrowser, openBrowserConsole, type WatchedPage } from "../support/browser-console.ts";
import { recordNow } from "../support/sample-log.ts";

describe.skipIf(noBrowser !== undefined)("the page Explore", () => {
  let under: BrowserConsole;
  let watched: WatchedPage;
  beforeAll(async () => {
    under = await openBrowserConsole({ events: 200 });
    watched = await under.open("explore?since=30d");
  });
  afterAll(async () => {
    await under[Symbol.asyncDispose]();
  });

  const rows = ({ page }: WatchedPage) => page.locator("[role=row][data-index]");
  const query = ({ page }: WatchedPage): string | null => new URL(page.url()).searchParams.get("q");

  /** Opens a place, does something there, and expects no complaint of the browser. */
  async function explore(place: string, use: (watched: WatchedPage) => Promise<void>): Promise<void> {
    await watched.go(place);
    await use(watched);
    expect(watched.complaints).toEqual([]);
  }

  it("runs a query that is completed by the keyboard, and filters by a value of a row", async () => {
    await explore("explore?since=30d", async (watched) => {
      const { page } = watched;
      await page.keyboard.press("/");
      await page.keyboard.type("type:authz_f");
      await page.getByRole("option", { name: "authz_fail" }).waitFor();
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await page.waitForURL(/q=type/);
      expect(query(watched)).toBe("type:authz_fail");
      await page.locator("[role=row][data-index='0'] [data-column=type]", { hasText: "authz_fail" }).waitFor();
      // The rows have the focus now: the second one, its cell with the type, out.
      await page.keyboard.press("j");
      await page.keyboard.press("ArrowRight");
      await page.keyboard.press("ArrowRight");
      await page.keyboard.press("x");
      await page.waitForURL(/q=-type/);
      expect(query(watched)).toBe("-type:authz_fail");
      await page.goBack();
      await page.waitForURL(/q=type/);
      expect(await page.getByRole("combobox", { name: "Query" }).inputValue()).toBe("type:authz_fail");
    });
  });

  it("points at a fault, keeps the rows, and runs the way out", async () => {
    await explore("explore?since=30d", async (watched) => {
      const { page } = watched;
      await rows(watched).first().waitFor();
      const before = await rows(watched).count();
      await page.getByRole("combobox", { name: "Query" }).fill("servic:error");
      await page.keyboard.press("Enter");
      expect(await page.getByRole("alert").innerText()).toContain("character 1");
      expect(await rows(watched).count()).toBe(before);
      await page.getByRole("button", { name: /Search the text/ }).click();
      await page.waitForURL(/q=/);
      expect(query(watched)).toBe('"servic:error"');
      await page.getByText("No events match").waitFor();
    });
  });

  it("opens an event between the rows, and a link to it opens the same", async () => {
    await explore("explore?since=30d", async (watched) => {
      const { page, go } = watched;
      await rows(watched).first().waitFor();
      await page.keyboard.press("j");
      await page.keyboard.press("Enter");
      await page.getByRole("link", { name: "Open o" }).waitFor();
      await page.waitForURL(/open=/);
      await go(page.url());
      await page.getByRole("link", { name: "Open o" }).waitFor();
      await page.keyboard.press("Escape");
      await page.waitForURL((url) => !url.searchParams.has("open"));
      expect(await page.getByRole("link", { name: "Open o" }).count()).toBe(0);
    });
  });

  it("says where the open event is if the query does not have it", async () => {
    await explore("explore?q=type:log_setup&since=30d", async (watched) => {
      const { page, go } = watched;
      const [event] = await under.database.query<{ id: string }>(
        "SELECT id FROM security_event_log WHERE event_type = 'authz_fail' LIMIT 1",
      );
      await go(`${page.url()}&open=${event?.id}`);
      await page.getByText("The open event is not among what is loaded: 1 row.").waitFor();
      await page.getByRole("link", { name: "show what is around it" }).click();
      await page.locator(`#row-${event?.id}[aria-expanded=true]`).waitFor();
    });
  });

  it("shows an event of now at the top, and holds it back while the reader is elsewhere", async () => {
    await explore("explore?q=type:authn_login_lock", async ({ page }) => {
      await page.getByRole("button", { name: "Live", exact: true }).waitFor();
      await recordNow(under.database, "authn_login_lock", "arrives-at-the-top");
      await page.locator("[role=row][data-index='0']", { hasText: "arrives-at-the-top" }).waitFor();
      await page.keyboard.press("j");
      await recordNow(under.database, "authn_login_lock", "waits-for-the-reader");
      const newer = page.getByRole("button", { name: /1 newer event/ });
      await newer.waitFor();
      expect(await page.getByText("waits-for-the-reader").count()).toBe(0);
      await newer.click();
      await page.locator("[role=row][data-index='0']", { hasText: "waits-for-the-reader" }).waitFor();
    });
  });

  it("has every column that the address names, and offers what differs in the marked time", async () => {
    await explore("explore?since=30d&columns=date,type,address,data.reason", async ({ page }) => {
      expect(await page.getByRole("columnheader").allInnerTexts()).toEqual([
        expect.stringContaining("Date and time"),
        "Type",
        "Address",
        "data.reason",
      ]);
      await page.locator("[role=row][data-index='0']").waitFor();
      await page.keyboard.press("j");
      await page.keyboard.press("d");
      await page.getByText("What differs between").waitFor();
      await page.getByText(/No events as long before|smaller changes are not shown|other shares are within/).waitFor();
    });
  });
});
