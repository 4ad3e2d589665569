import { describe, expect, it } from "vitest";
import { html } from "./html.ts";

describe("html``", () => {
  it("escapes its parts, in text and in attributes", () => {
    const evil = `"><script>alert('&')</script>`;
    expect(html`<p title="${evil}">${evil}</p>`.text).toBe(
      `<p title="&quot;&gt;&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;">` +
        `&quot;&gt;&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;</p>`,
    );
  });

  it("keeps markup, even in lists, and leaves out absent parts", () => {
    expect(html`<ul>${["a", "<"].map((item) => html`<li>${item}</li>`)}</ul>${undefined}${false}${0}`.text).toBe(
      "<ul><li>a</li><li>&lt;</li></ul>0",
    );
  });
});
