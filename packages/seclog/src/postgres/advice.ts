/** The package `seclog` has no program: these work in every folder, also where its user did not install the program. */
export const RUN_SETUP = "run npx @seclog/server setup";
export const RUN_DOCTOR = "run npx @seclog/server doctor";
