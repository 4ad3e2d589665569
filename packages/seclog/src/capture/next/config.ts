/** A configuration of Next.js, or the function that Next calls for it. */
export type NextConfigured<Config extends object> = Config | ((...values: never[]) => Config | Promise<Config>);

/**
 * Keeps `seclog` out of Next's bundles, so that all of them share the one in `node_modules`, and traces it for
 * `output: "standalone"`:
 *
 * ```ts
 * // next.config.ts
 * export default withSeclog({ output: "standalone" });
 * ```
 */
export function withSeclog<Config extends object>(
  config: NextConfigured<Config> = {} as Config,
): NextConfigured<Config> {
  if (typeof config === "function") return async (...values) => external(await config(...values));
  return external(config);
}

function external<Config extends object>(config: Config): Config {
  const { serverExternalPackages: names = [] } = config as { readonly serverExternalPackages?: readonly string[] };
  return names.includes("seclog") ? config : { ...config, serverExternalPackages: [...names, "seclog"] };
}
