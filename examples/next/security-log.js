import { createSecurityLog } from "seclog";
import { register } from "seclog/next";
import { stdoutHandler } from "seclog/stdout";

export const security = register(() =>
  createSecurityLog({
    service: "example",
    clientIp: { trust: ["loopback"] }, // the proxy in front, for which Next has no setting
    // Prints its events, in production too. To keep them: { spool: { directory }, handlers: [postgresHandler()] }
    spool: "memory",
    handlers: [stdoutHandler()],
  }),
);
