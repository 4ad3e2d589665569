/** An application whose pino sends security records through its transport's thread, and that ends as it is told. */
import pino from "pino";

const options = { service: "shop", spool: { directory: process.env.SPOOL } };
const target = { target: "seclog/pino", options };
const transport = pino.transport(
  process.env.TARGETS === "2"
    ? { targets: [target, { target: "pino/file", options: { destination: process.env.PLAIN } }] }
    : target,
);
const logger = pino({ name: "shop" }, transport);
const security = logger.child({ name: "security" });

transport.on("ready", () => {
  logger.info("an ordinary record");
  for (let n = 1; n <= 20; n++) {
    security.warn({ event: "authz_fail", userid: `u${n}`, req: { method: "GET", url: `/orders/${n}`, headers: {} } });
  }
  if (process.env.END === "exit") process.exit(0);
  transport.end();
});
