/** The sign-in of `seclog start` with users of its own, in Chromium: from the terminal's link to the next sign-in. */
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { launchBrowser, noBrowser } from "../support/browser-console.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { LONG, programOf } from "../support/program.ts";

const PASSWORD = "correct horse battery";

describe.skipIf(noBrowser !== undefined)("signing in to seclog start in a browser", LONG, () => {
  let database: TestDatabase;
  const { startProgram } = programOf(() => database);
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database[Symbol.asyncDispose]());

  it("makes the first user, signs out, refuses a wrong password, and comes back to where it was", async () => {
    const child = startProgram(["start", "--listen", "127.0.0.1:0", "--json"], {
      SECLOG_CONSOLE_URL: database.consoleUrl,
    });
    const [line] = (await once(child.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
    const { listening, link } = JSON.parse(line.toString()) as { listening: string; link: string };
    const browser = await launchBrowser();
    try {
      const page = await browser.newPage();
      const fill = async (password: string, button: string): Promise<void> => {
        await page.getByLabel("Name").fill("ada");
        await page.getByLabel("Password").fill(password);
        await page.getByRole("button", { name: button }).click();
      };
      await page.goto(link);
      await fill(PASSWORD, "Make user and sign in");
      await page.waitForURL(`${listening}/`);
      // No script reads the session.
      expect(await page.evaluate(() => document.cookie)).toBe("");
      await page.goto(`${listening}/settings`);
      await page.getByRole("button", { name: "Sign out" }).click();
      await fill("wrong wrong wrong", "Sign in");
      await expect.poll(() => page.getByRole("alert").textContent()).toContain("password is wrong");
      await fill(PASSWORD, "Sign in");
      await page.getByRole("button", { name: "Sign out" }).waitFor();
      expect(page.url()).toBe(`${listening}/settings`);
      await page.goto(link);
      await fill(PASSWORD, "Make user and sign in");
      await expect.poll(() => page.getByRole("alert").textContent()).toContain("has been used");
    } finally {
      await browser.close();
      child.kill("SIGTERM");
      await once(child, "close");
    }
  });
});
