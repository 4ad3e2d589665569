import Fastify from "fastify";
import { expect, it } from "vitest";
import { fc } from "#test/support/properties.ts";
import { FastifyRoutes } from "./routes.ts";

const text = fc.constantFrom("a", "b", "ab", "A", "x1", "v.1", "c-d", "e%f");
const segment = fc.oneof(
  text,
  fc.constantFrom(
    ":p",
    ":p(^\\d+$)",
    ":p.:q",
    ":p-:q",
    ":p(^[ab]+)x:q",
    "a:p",
    "a::b",
    ":p(^\\d+).png",
    ":p(.+)",
    "a:p([^.]+).png",
    ":p(a|b)?",
  ),
);
const route = fc
  .tuple(fc.array(segment, { maxLength: 3 }), fc.constantFrom("", "/", "/*", "/:o?", "/:o?/"))
  .map(([parts, end]) => `${parts.map((part) => `/${part}`).join("")}${end}` || "/");
const path = fc
  .tuple(
    fc.array(fc.constantFrom("a", "b", "ab", "A", "x1", "v.1", "c-d", "7", "42", "a:b", "7.png", "aax9", "a-b", ""), {
      maxLength: 4,
    }),
    fc.constantFrom("", "/", "?q=/a"),
  )
  .map(([parts, end]) => `/${parts.join("/")}${end}`);
const options = fc.record({
  caseSensitive: fc.boolean(),
  ignoreTrailingSlash: fc.boolean(),
  ignoreDuplicateSlashes: fc.boolean(),
});

type Options = { [name in "caseSensitive" | "ignoreTrailingSlash" | "ignoreDuplicateSlashes"]: boolean };

/** Paths that were wrong once. */
function example(url: string, paths: string[], others: Partial<Options> = {}): [string, string[], Options] {
  return [url, paths, { caseSensitive: true, ignoreTrailingSlash: false, ignoreDuplicateSlashes: false, ...others }];
}

it("a path belongs to a route exactly when Fastify's router takes it there, known by hook or by print", async () => {
  await fc.assert(
    fc.asyncProperty(
      route,
      fc.array(path, { minLength: 1, maxLength: 8 }),
      options,
      async (url, paths, routerOptions) => {
        const app = Fastify({ routerOptions, exposeHeadRoutes: false });
        const hooked = new FastifyRoutes(routerOptions);
        app.addHook("onRoute", (known) => hooked.add(known));
        app.get(url, async () => "taken");
        const printed = new FastifyRoutes(routerOptions);
        printed.addPrinted(app.printRoutes());
        // A route that takes every path, however long, does not make paths known.
        const lengths = ["/no/such.path/in-any~application", "/no/such.path/in-any~application/nor/below/it"];
        const everything = (await Promise.all(lengths.map((path) => app.inject(path)))).every(
          ({ body }) => body === "taken",
        );
        for (const asked of paths) {
          const taken = (await app.inject(asked)).body === "taken";
          const context = `${url} ${asked} ${JSON.stringify(routerOptions)}\n${app.printRoutes()}`;
          expect(hooked.otherMethods("POST", asked, undefined) !== undefined, `hook ${context}`).toBe(
            taken && !everything,
          );
          expect(printed.otherMethods("POST", asked, undefined) !== undefined, `print ${context}`).toBe(
            taken && !everything,
          );
        }
        await app.close();
      },
    ),
    {
      numRuns: 150,
      examples: [
        example("/:p/:p/:o?", ["/a/a", "/"], { caseSensitive: false }),
        example("/:p/:p/:p", ["/a/a/a"]),
        // A parameter's pattern ends at a slash, and is case-sensitive whatever the router is.
        example("/:p(.+)", ["/a"]),
        example("/a:p([^.]+).png", ["/ab/ab.png"]),
        example("/:p(^[ab]+)x:q", ["/Aax9"], { caseSensitive: false }),
        example("/:o?/", ["/", "/a/", "/a"]),
        example("/:p(a|b)?", ["/a", "/"]),
      ],
    },
  );
});
