/** The console to mount into an application: `securityConsole({ databaseUrl, authorize })`. */
export {
  type ConsoleUser,
  type FastifyLike,
  type SecurityConsole,
  type SecurityConsoleOptions,
  securityConsole,
} from "./security-console.ts";
