/**
 * The console in the system's Chromium: a database with a sample log, the console mounted at a path of a server in this
 * process, and pages that watch what the browser complains about. Tests of a page open one and use Playwright's own calls.
 */
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type SecurityConsole, securityConsole } from "@seclog/server/console";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { createTestDatabase, type TestDatabase } from "./postgres.ts";
import { fillSampleLog, type SampleLogOptions } from "./sample-log.ts";
import { sealLog, TEST_SIGNER } from "./seal-log.ts";

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

/** Why no test can run in a browser here; `undefined` if one can: `describe.skipIf(noBrowser !== undefined)`. */
export const noBrowser: string | undefined = CHROMIUM === undefined ? "this machine has no Chromium" : undefined;
if (noBrowser !== undefined) console.warn(`${noBrowser}: the console is not tested in a browser`);

/** Options of {@link openBrowserConsole}. */
export interface BrowserConsoleOptions extends SampleLogOptions {
  /** The path of the console. @default "/" */
  readonly base?: string;
  /** @default true */
  readonly sealed?: boolean;
  /** Whether the log has events. @default true */
  readonly filled?: boolean;
}

/** How a page is opened. */
export interface PageOptions extends BrowserContextOptions {
  /** The user's role; `null` for a stranger. @default "admin" */
  readonly role?: "analyst" | "auditor" | "admin" | null;
}

/** A page, and what the browser complained about. */
export interface WatchedPage {
  readonly page: Page;
  /** Errors of scripts, refusals by the Content-Security-Policy, requests to others: none is right. */
  readonly complaints: readonly string[];
  /** Opens another place in the same profile, and waits as {@link settled}. */
  go(place: string): Promise<void>;
  /** Resolves once every request but the stream has its response, and the page has drawn it. */
  settled(): Promise<void>;
}

/** The console, its database and the browser. */
export interface BrowserConsole extends AsyncDisposable {
  readonly database: TestDatabase;
  /** With a slash at the end. */
  readonly url: string;
  readonly browser: Browser;
  /** Opens a place such as `explore?q=type:authn_*` in a browser profile of its own. */
  open(place?: string, options?: PageOptions): Promise<WatchedPage>;
}

/** Starts everything, about two seconds. */
export async function openBrowserConsole(options: BrowserConsoleOptions = {}): Promise<BrowserConsole> {
  const { base = "/", sealed = true, filled = true } = options;
  const database = await createTestDatabase();
  if (filled) await fillSampleLog(database, options);
  if (sealed) await sealLog(database);
  const server = createServer();
  const mounted = mount(database, base);
  server.on("request", mounted.handler);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}${base.replace(/\/?$/, "/")}`;
  const browser = await launchBrowser();
  return {
    database,
    url,
    browser,
    open: (place = "", { role = "admin", ...context } = {}) => watched(browser, url, place, role, context),
    async [Symbol.asyncDispose]() {
      await browser.close();
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
      await mounted.close();
      await database[Symbol.asyncDispose]();
    },
  };
}

/** The system's Chromium. */
export async function launchBrowser(): Promise<Browser> {
  return await chromium.launch({
    ...(CHROMIUM === undefined ? {} : { executablePath: CHROMIUM }),
    // Root has no sandbox; the only pages are ours.
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
  });
}

/** The application's session, in a cookie: a browser's download has no other header of a page's. */
const ROLE = "test_role";

function mount(database: TestDatabase, basePath: string): SecurityConsole {
  return securityConsole({
    databaseUrl: database.readerUrl,
    basePath,
    vkeys: [TEST_SIGNER.vkey],
    authorize(request) {
      const role = new RegExp(`${ROLE}=(\\w+)`).exec(request.headers.get("cookie") ?? "")?.[1];
      return role === undefined ? undefined : { name: "ada", role: role as "admin" };
    },
  });
}

async function watched(
  browser: Browser,
  url: string,
  place: string,
  role: string | null,
  options: BrowserContextOptions,
): Promise<WatchedPage> {
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    timezoneId: "Europe/Berlin",
    locale: "en-GB",
    ...options,
  });
  if (role !== null) await context.addCookies([{ name: ROLE, value: role, url: new URL(url).origin }]);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  page.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  const open = new Set<unknown>();
  for (const end of ["requestfinished", "requestfailed"] as const)
    page.on(end as "requestfinished", (request) => void open.delete(request));
  page.on("request", (request) => {
    if (!request.url().includes("/api/v1/stream")) open.add(request);
    if (new URL(request.url()).origin !== new URL(url).origin && !request.url().startsWith("data:"))
      complaints.push(`elsewhere: ${request.url()}`);
  });
  const drawn = (): Promise<unknown> =>
    page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  const settled = async (): Promise<void> => {
    await page.waitForSelector("main");
    // A part of the page that was just loaded asks for its data some frames later.
    for (let quiet = 0; quiet < 8; quiet = open.size === 0 ? quiet + 1 : 0) await drawn();
  };
  const go = async (to: string): Promise<void> => {
    await page.goto(new URL(to, url).href, { waitUntil: "load" });
    await settled();
  };
  await go(place);
  return { page, complaints, go, settled };
}
