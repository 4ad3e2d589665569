/** The application of the crash test: responds with 204 only once the request's event is on disk. */
import express from "express";
import { createSecurityLog } from "seclog";
import { postgresHandler } from "seclog/postgres";

const security = createSecurityLog({
  service: "crash-test",
  spool: { directory: process.env.SPOOL },
  handlers: [postgresHandler({ url: process.env.SECLOG_DATABASE_URL })],
  diagnostics: ({ code, message }) => console.error(code, message),
});
const app = express();
app.post("/events/:number", async (request, response) => {
  const receipt = security.recordSecurityEvent("authz_fail", request, {
    resource: `doc-${request.params.number}`,
    number: Number(request.params.number),
  });
  await receipt.durable;
  response.status(204).end();
});
app.post("/close", async (_request, response) => {
  await security.close({ deadline: 60_000 });
  response.json(security.health());
  server.close();
});
const server = app.listen(Number(process.env.PORT), "127.0.0.1", () => process.send?.("listening"));
