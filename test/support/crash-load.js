/**
 * The other process of the crash test: posts the numbers 1 to EVENTS, each once, over 64 connections, and keeps the
 * ledger: a line `ack N` for each 204 response. The test does not touch this process.
 */
import { appendFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { connect } from "node:net";

const { PORT, EVENTS, LEDGER } = process.env;
const agent = new Agent({ keepAlive: true, maxSockets: 64 });
let next = 1;
let lines = "";

function post(number) {
  return new Promise((resolve) => {
    const sent = request(
      { agent, host: "127.0.0.1", port: PORT, path: `/events/${number}`, method: "POST" },
      (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode === 204));
        response.on("error", () => resolve(false));
      },
    );
    sent.on("error", () => resolve(false));
    sent.end();
  });
}

function listens() {
  return new Promise((resolve) => {
    const socket = connect(PORT, "127.0.0.1", () => resolve(true));
    socket.on("connect", () => socket.destroy());
    socket.on("error", () => resolve(false));
  });
}

async function connection() {
  while (next <= Number(EVENTS)) {
    const number = next++;
    if (await post(number)) {
      lines += `ack ${number}\n`;
    } else {
      // The application is being killed or started: wait until it listens again.
      while (!(await listens())) await new Promise((resolve) => setTimeout(resolve, 50));
    }
    if (number % 500 === 0) process.send?.(number);
  }
}

const writing = setInterval(() => {
  appendFileSync(LEDGER, lines);
  lines = "";
}, 100);
await Promise.all(Array.from({ length: 64 }, connection));
clearInterval(writing);
appendFileSync(LEDGER, lines);
process.exit();
