#!/usr/bin/env node
/**
 * Takes the pictures in docs/console/: every place of the console in light and dark, wide and narrow, of a sample log and
 * of an empty one. It needs Chromium, and the build. Look at each picture before you commit it.
 */
import { startVitest } from "vitest/node";

const file = "test/console/pictures.ts";
const vitest = await startVitest("test", [file], { include: [file], watch: false });
await vitest?.close();
