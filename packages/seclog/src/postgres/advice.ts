/** Advice in errors' messages. `npx` works in every folder, even where `@seclog/server` is not installed. */
export const RUN_SETUP = "run npx @seclog/server setup";
export const RUN_DOCTOR = "run npx @seclog/server doctor";
