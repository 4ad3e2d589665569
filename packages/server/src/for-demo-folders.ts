/** As `for-demo.ts`, apart from it: who only starts an embedded PostgreSQL need not load the rest. */
export { type FolderLock, lockFolder } from "./files/folder-lock.ts";
export { makeFolder } from "./files/make-folder.ts";
