import { describe, expect, it } from "vitest";
import { publishedPackages, releaseProblems } from "./release.js";

const CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-12-01\n\n### Added\n\n- a thing\n";
const TREE = {
  packages: [
    { name: "seclog", version: "1.2.3" },
    { name: "@seclog/server", version: "1.2.3", dependencies: { seclog: "^1.2.3", pg: "^8.0.0" } },
  ],
  changelog: CHANGELOG,
  tags: ["v1.2.3"],
  changes: "",
};

describe("releaseProblems()", () => {
  it("finds nothing when version, changelog and tag agree", () => {
    expect(releaseProblems(TREE)).toEqual([]);
  });

  it.each([
    [
      "a version that differs",
      { packages: [TREE.packages[0]!, { name: "@seclog/server", version: "1.2.2" }] },
      "1.2.2",
    ],
    [
      "a dependency on another version",
      { packages: [TREE.packages[0]!, { ...TREE.packages[1]!, dependencies: { seclog: "^1.2.2" } }] },
      "^1.2.2",
    ],
    ["a changelog of another version", { changelog: CHANGELOG.replace("1.2.3", "1.2.2") }, "[1.2.2]"],
    ["a section without a date", { changelog: CHANGELOG.replace(" - 2026-12-01", "") }, "no date"],
    ["a changelog without a section", { changelog: "## [Unreleased]\n" }, "no section [1.2.3]"],
    [
      "changes that are still unreleased",
      { changelog: CHANGELOG.replace("[Unreleased]\n", "[Unreleased]\n\n- more\n") },
      "still lists changes",
    ],
    ["a missing tag", { tags: ["v1.2.2"] }, "not v1.2.3"],
    ["changes that are not committed", { changes: " M README.md" }, "README.md"],
  ])("refuses %s", (_, change, reason) => {
    const problems = releaseProblems({ ...TREE, ...change });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(reason);
  });
});

describe("publishedPackages()", () => {
  it("puts a package after its dependencies", () => {
    const names = publishedPackages().map(({ name }) => name);
    expect(names).toContain("seclog");
    expect(names.indexOf("@seclog/server")).toBeGreaterThan(names.indexOf("seclog"));
  });
});
