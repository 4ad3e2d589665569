/**
 * The ledger: a process that no fault touches. It reads a pipe into which applications write, each line at once and
 * before the call goes on, and keeps every line in a file:
 *
 *     try <key> <hash> <ms>   the event is about to be recorded; the hash is of all that must be found in its row, the time is
 *                             the application's, in milliseconds since the epoch, as in those below
 *     ack <key> <ms>          its promise resolved
 *     no <key> <ms>           its promise was rejected, or the call threw
 *     end <word>              everything before it has been read: told to the parent
 *
 * A line is shorter than PIPE_BUF, so it is whole also when its writer is killed (pipe(7)).
 */
import { appendFileSync, constants, openSync } from "node:fs";
import { Socket } from "node:net";

const [pipe, file] = process.argv.slice(2);
// Open for writing, too, so that the last application's end is not the end of the pipe.
const socket = new Socket({ fd: openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK) });
let rest = "";
socket.setEncoding("latin1");
socket.on("data", (text) => {
  const whole = (rest + text).lastIndexOf("\n") + 1;
  const lines = (rest + text).slice(0, whole);
  rest = (rest + text).slice(whole);
  appendFileSync(file, lines);
  for (const [, word] of lines.matchAll(/^end (.+)$/gm)) process.send?.(word);
});
// Ctrl-C goes to the whole group; its parent ends it when the last of the world is written.
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => {});
process.on("disconnect", () => process.exit());
process.send?.("ready");
