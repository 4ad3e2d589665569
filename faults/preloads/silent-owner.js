/** A preload: the application lives, writes, and never renews the file by which processes elsewhere know that it does. */
import fs from "node:fs";

fs.lutimesSync = () => {};
