/** The rival of `bench -- collect`: a Hono server that reads a body and discards it. Prints its port. */
import { createServer } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";

const app = new Hono();
app.post("*", async (c) => {
  const { byteLength } = await c.req.arrayBuffer();
  return c.json({ accepted: byteLength }, 202);
});
const server = createServer(getRequestListener(app.fetch, { overrideGlobalObjects: false }));
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
