/**
 * What `@seclog/demo` needs of this package. Private: it changes with any version, so the demo depends on exactly its own.
 */
export { commandLine } from "./config/program.ts";
export { type Database, openReader } from "./database/reader.ts";
export { readKeyFile, writeKeyFile } from "./keys/key-file.ts";
export { EventFollower } from "./search/event-follower.ts";
export type { EventRow } from "./search/event-rows.ts";
export { cutText, textWidth } from "./text/width.ts";
export { counted } from "./text/words.ts";
