/**
 * Sends requests at a steady rate, however long the answers take: `{ port, rate, seconds }` comes as a message, and the
 * latencies are sent back. Each is measured from the moment the request was due, so that a stalling server gets no
 * fewer requests.
 */
import { Agent, get } from "node:http";

const agent = new Agent({ keepAlive: true, maxSockets: 64 });
let requests = 0;
const hex = (number, digits) => number.toString(16).padStart(digits, "c");

process.on("message", async ({ port, rate, seconds }) => {
  const latencies = [];
  const wanted = rate * seconds;
  let failed = 0;
  await new Promise((resolve) => {
    const start = performance.now();
    let sent = 0;
    const ended = () => {
      if (latencies.length + failed === wanted) resolve();
    };
    const timer = setInterval(() => {
      for (; sent < wanted && (sent * 1_000) / rate <= performance.now() - start; sent++) {
        const due = start + (sent * 1_000) / rate;
        const path = `/orders/${++requests}`;
        const headers = { traceparent: `00-${hex(requests, 32)}-${hex(requests, 16)}-01` };
        const request = get({ agent, host: "127.0.0.1", port, path, headers }, (response) => {
          response.resume().once("end", () => {
            if (response.statusCode === 403) latencies.push(performance.now() - due);
            else failed++;
            ended();
          });
        });
        request.setTimeout(30_000, () => request.destroy());
        request.once("error", () => {
          failed++;
          ended();
        });
      }
      if (sent === wanted) clearInterval(timer);
    }, 2);
  });
  latencies.sort((a, b) => a - b);
  const at = (share) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))];
  process.send({ median: at(0.5), p99: at(0.99), failed, answered: latencies.length });
});
process.on("disconnect", () => process.exit());
