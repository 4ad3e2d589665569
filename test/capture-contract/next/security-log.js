import { createSecurityLog } from "seclog";
import { fileHandler } from "seclog/file";
import { register } from "seclog/next";

/** The log of the contract's case that runs in this process, or that of the deployed application. */
export const security =
  globalThis.contractLog === undefined
    ? register(open)
    : { recordSecurityEvent: (...values) => globalThis.contractLog.recordSecurityEvent(...values) };

function open() {
  const log = createSecurityLog({
    spool: { directory: process.env.SPOOL },
    handlers: [fileHandler({ path: process.env.EVENTS })],
    clientIp: { trust: ["loopback"] },
  });
  // With NEXT_MANUAL_SIG_HANDLE, Next leaves signals to the application.
  process.on("SIGTERM", async () => {
    await log.close();
    process.exit(0);
  });
  return log;
}
