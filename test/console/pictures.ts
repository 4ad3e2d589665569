/** Takes the pictures of docs/console/ (scripts/screenshots.js), with the harness of the browser tests. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../../scripts/files.js";
import { type BrowserConsole, openBrowserConsole, type PageOptions } from "../support/browser-console.ts";

const FOLDER = join(root, "docs", "console");

const WIDE = { viewport: { width: 1440, height: 900 } };
const NARROW = { viewport: { width: 375, height: 812 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };

/** Every place in light and dark, wide and narrow: a page that looks right in one is often wrong in another. */
const LOOKS: readonly [name: string, options: PageOptions][] = [
  ["light", { ...WIDE, colorScheme: "light" }],
  ["dark", { ...WIDE, colorScheme: "dark" }],
  ["narrow", { ...NARROW, colorScheme: "light" }],
];

describe("pictures", () => {
  let under: BrowserConsole;
  let empty: BrowserConsole;
  let places: readonly [name: string, place: string][];

  beforeAll(async () => {
    mkdirSync(FOLDER, { recursive: true });
    under = await openBrowserConsole({ events: 3_000 });
    empty = await openBrowserConsole({ filled: false, sealed: false });
    const [row] = await under.database.query<{ id: string }>(
      "SELECT id FROM security_event_log WHERE event_type = 'authn_login_successafterfail'",
    );
    places = [
      ["overview", "?since=7d"],
      ["explore", "explore?q=type:authn_*&since=7d"],
      ["event", `events/${row?.id}`],
      ["entity", "entities/ip/45.155.205.233"],
      ["integrity", "integrity"],
      ["hostile", "explore?q=ip:198.51.100.66&since=7d"],
    ];
  });
  afterAll(async () => {
    await under[Symbol.asyncDispose]();
    await empty[Symbol.asyncDispose]();
  });

  const take = async (page: Page, name: string): Promise<void> => {
    await page.screenshot({ path: join(FOLDER, `${name}.png`), animations: "disabled" });
  };

  it.each(LOOKS)("%s", async (look, options) => {
    for (const [name, place] of places) {
      const { page, complaints } = await under.open(place, options);
      await take(page, `${name}-${look}`);
      expect([name, complaints]).toEqual([name, []]);
      await page.context().close();
    }
    for (const [name, place] of [
      ["empty", ""],
      ["empty-explore", "explore"],
    ] as const) {
      const { page } = await empty.open(place, options);
      await take(page, `${name}-${look}`);
      await page.context().close();
    }
  });
});
