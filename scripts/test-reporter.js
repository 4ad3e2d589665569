/**
 * A reporter for vitest: writes each test's result, and the errors outside any test, as JSON to the file named by
 * SECLOG_TEST_REPORT: `{ tests: [{ title, state, errors }], errors }`, each error as its text.
 */
import { writeFileSync } from "node:fs";
import { relative } from "node:path";
import { root } from "./files.js";

// biome-ignore lint/style/noDefaultExport: where vitest looks for a reporter.
export default class TestReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const tests = [];
    for (const module of modules) {
      const path = relative(root, module.moduleId);
      const ownErrors = module.errors();
      // A file that cannot be loaded, or a hook outside the tests: a failure without a test.
      if (ownErrors.length > 0) tests.push({ title: path, state: "failed", errors: ownErrors.map(text) });
      for (const suite of module.children.allSuites()) {
        const errors = suite.errors();
        if (errors.length > 0)
          tests.push({ title: `${path}: ${suite.fullName}`, state: "failed", errors: errors.map(text) });
      }
      for (const test of module.children.allTests()) {
        const { state, errors = [] } = test.result();
        tests.push({ title: `${path}: ${test.fullName}`, state, errors: errors.map(text) });
      }
    }
    const report = { tests, errors: unhandledErrors.map(text) };
    writeFileSync(process.env.SECLOG_TEST_REPORT, JSON.stringify(report));
  }
}

/** An error from vitest's workers as text: its kind if it was unhandled, and where it was raised. */
function text(error) {
  const where = error.VITEST_TEST_PATH ? `\nin ${relative(root, error.VITEST_TEST_PATH)}` : "";
  const kind = error.type ? `${error.type}: ` : "";
  return `${kind}${error.stack ?? `${error.name ?? "Error"}: ${error.message}`}${where}`;
}
