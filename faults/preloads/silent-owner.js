/**
 * A preload: the application lives and writes, but never renews the file that proves its life to processes elsewhere.
 */
import fs from "node:fs";

fs.lutimesSync = () => {};
