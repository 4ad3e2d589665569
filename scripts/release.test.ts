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

  it("accepts an exact version, and a release after its own candidate", () => {
    const packages = [TREE.packages[0]!, { ...TREE.packages[1]!, dependencies: { seclog: "1.2.3" } }];
    const changelog = `${CHANGELOG}\n## [1.2.3-rc.1] - 2026-11-01\n\n- a thing\n`;
    expect(releaseProblems({ ...TREE, packages, changelog })).toEqual([]);
  });

  it.each<readonly [what: string, change: object, reason: string]>([
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
    ["two tags of versions", { tags: ["v1.2.3", "v1.2.4", "other"] }, "v1.2.3, v1.2.4, not v1.2.3 alone"],
    ["a day that does not exist", { changelog: CHANGELOG.replace("2026-12-01", "2026-02-31") }, "no date"],
    ["an empty section", { changelog: CHANGELOG.slice(0, CHANGELOG.indexOf("### Added")) }, "is empty"],
    ["a section twice", { changelog: `${CHANGELOG}\n## [1.2.3] - 2026-11-01\n` }, "two sections [1.2.3]"],
    ["a version below an older one", { changelog: `${CHANGELOG}\n## [1.10.0] - 2026-11-01\n` }, "which is newer"],
    [
      "a version below its release candidate's successor",
      { changelog: `${CHANGELOG}\n## [2.0.0-rc.1] - 2026-11-01\n` },
      "above [2.0.0-rc.1]",
    ],
    ...(["devDependencies", "peerDependencies", "optionalDependencies"] as const).map(
      (kind) =>
        [
          `a stale range in ${kind}`,
          { packages: [TREE.packages[0]!, { ...TREE.packages[1]!, [kind]: { seclog: "^1.2.2" } }] },
          `^1.2.2 in ${kind}`,
        ] as const,
    ),
    [
      "a constant of another version",
      { versions: { "event/version.ts": "1.2.2" } },
      "event/version.ts has version 1.2.2",
    ],
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
