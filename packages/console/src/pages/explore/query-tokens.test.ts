import { expect, it } from "vitest";
import { tokensOf } from "./query-tokens.ts";

it("tokensOf() - tells fields, values, operators and exclusions apart", () => {
  expect(tokensOf('(level>=warning or -path:/a-b) "x y').map(({ text, kind }) => `${kind} ${text}`)).toEqual([
    "operator (",
    "field level>=",
    "value warning",
    "space  ",
    "operator or",
    "space  ",
    "not -",
    "field path:",
    "value /a-b",
    "operator )",
    "space  ",
    'value "x y',
  ]);
});

it("tokensOf() - keeps every sign of a hostile query", () => {
  for (const query of [
    '"',
    "\\",
    "((",
    ")-",
    ":::",
    '-"-',
    "<script>",
    "\u202e a:b",
    "a:-b",
    "*".repeat(50),
    "or",
    "=x",
  ]) {
    expect(
      tokensOf(query)
        .map(({ text }) => text)
        .join(""),
    ).toBe(query);
  }
});
