/** A preload that removes the checksum from the spool's records: for the negative control. */
import { syncBuiltinESMExports } from "node:module";
import zlib from "node:zlib";

zlib.crc32 = () => 0;
syncBuiltinESMExports();
