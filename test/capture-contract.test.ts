import { captureContract } from "seclog/testing";
import { describe, it } from "vitest";
import { FRAMEWORKS } from "./capture-contract/frameworks.js";

describe.each(FRAMEWORKS)("the capture contract with $name", (framework) => {
  for (const { title, skip, run } of captureContract(framework)) it.skipIf(skip !== undefined)(title, run);
});
