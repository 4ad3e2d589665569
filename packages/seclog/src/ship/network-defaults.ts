/**
 * Settings that an application may make in code for all its connections. Each thread has its own, so the shipper's
 * thread is passed them: otherwise a `tls.DEFAULT_MIN_VERSION` would not apply to the connection to the database.
 */
export interface NetworkDefaults {
  /** Members of `node:tls`. */
  readonly tls: { readonly [Name in (typeof TLS_MEMBERS)[number]]: string };
  readonly resultOrder: "ipv4first" | "ipv6first" | "verbatim";
  readonly autoSelectFamily: boolean;
  /** Milliseconds. */
  readonly autoSelectFamilyTimeout: number;
}

const TLS_MEMBERS = ["DEFAULT_MIN_VERSION", "DEFAULT_MAX_VERSION", "DEFAULT_CIPHERS", "DEFAULT_ECDH_CURVE"] as const;

/** The settings of this thread. Loads Node's network modules, so do not call it at import. */
export function networkDefaults(): NetworkDefaults {
  const { tls, dns, net } = modules();
  return {
    tls: {
      DEFAULT_MIN_VERSION: tls.DEFAULT_MIN_VERSION,
      DEFAULT_MAX_VERSION: tls.DEFAULT_MAX_VERSION,
      DEFAULT_CIPHERS: tls.DEFAULT_CIPHERS,
      DEFAULT_ECDH_CURVE: tls.DEFAULT_ECDH_CURVE,
    },
    resultOrder: dns.getDefaultResultOrder(),
    autoSelectFamily: net.getDefaultAutoSelectFamily(),
    autoSelectFamilyTimeout: net.getDefaultAutoSelectFamilyAttemptTimeout(),
  };
}

/** Sets them in this thread. */
export function setNetworkDefaults(defaults: NetworkDefaults): void {
  const { tls, dns, net } = modules();
  Object.assign(tls, defaults.tls);
  dns.setDefaultResultOrder(defaults.resultOrder);
  net.setDefaultAutoSelectFamily(defaults.autoSelectFamily);
  net.setDefaultAutoSelectFamilyAttemptTimeout(defaults.autoSelectFamilyTimeout);
}

/** As `require()` has them: the namespaces of `import` cannot be written to. */
function modules() {
  return {
    tls: process.getBuiltinModule("node:tls"),
    dns: process.getBuiltinModule("node:dns"),
    net: process.getBuiltinModule("node:net"),
  };
}
