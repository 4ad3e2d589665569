import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

/** The program that `npm run dev` takes its data from, and the token that it printed. */
const { SECLOG_DEV_SERVER: server = "http://127.0.0.1:7300", SECLOG_API_TOKEN: token } = process.env;

export default defineConfig({
  // Relative addresses, so that the files work below any path.
  base: "./",
  build: {
    outDir: fileURLToPath(new URL("../server/console", import.meta.url)),
    emptyOutDir: true,
    target: ["chrome123", "firefox120", "safari17.5"],
    modulePreload: { polyfill: false },
    // A policy of `default-src 'none'` allows files, not addresses that contain them.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rolldownOptions: {
      // Libraries mark their modules for servers that render; nothing here does.
      onLog: (level, log, handle) => log.code !== "MODULE_LEVEL_DIRECTIVE" && handle(level, log),
    },
  },
  server: {
    host: "127.0.0.1",
    proxy: {
      "/api": {
        target: server,
        ...(token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }),
      },
    },
  },
});
