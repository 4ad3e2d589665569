import { createSecurityLog } from "seclog";
import { fileHandler } from "seclog/file";
import { register } from "seclog/next";

/** The log of the contract's case that runs in this process, or that of the deployed application. */
export const security =
  globalThis.contractLog === undefined
    ? register(() =>
        createSecurityLog({
          spool: { directory: process.env.SPOOL },
          handlers: [fileHandler({ path: process.env.EVENTS })],
          clientIp: { trust: ["loopback"] },
        }),
      )
    : { recordSecurityEvent: (...values) => globalThis.contractLog.recordSecurityEvent(...values) };
