/**
 * Fills a small disk: records until it is stopped, and reports what became of the events. The options of the spool and
 * of test-handler.js come in argv.
 */
import { createSecurityLog } from "seclog";

const { spool, handler } = JSON.parse(process.argv[2]);
const state = { acknowledged: 0, refused: 0 };
const security = createSecurityLog({
  spool,
  handlers: [
    {
      name: "test",
      handle: () => Promise.reject(new Error("called on the wrong thread")),
      close: () => Promise.resolve(),
      worker: { module: new URL("test-handler.js", import.meta.url).href, options: handler },
    },
  ],
  diagnostics: () => {},
});
const text = "x".repeat(4_000);
let n = 0;
let perTurn = 20;
const recording = setInterval(() => {
  for (let each = 0; each < perTurn; each++) {
    n += 1;
    security.recordSecurityEvent("authz_fail", null, { n, text, more: text }).durable.then(
      () => {
        state.acknowledged += 1;
      },
      () => {
        state.refused += 1;
      },
    );
  }
}, 5);
const reports = setInterval(() => process.send({ ...state, health: security.health() }), 50);
process.on("message", async (order) => {
  if (order === "slowly") {
    perTurn = 1;
    return;
  }
  clearInterval(recording);
  clearInterval(reports);
  await security.close({ deadline: 20_000 });
  process.send({ ...state, health: security.health(), closed: true }, () => process.disconnect());
});
