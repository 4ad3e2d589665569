/** The options of every handler that sends over HTTP. */
import { configError, wholeNumber } from "../../event/options.ts";

/** How to trust a server, and how it trusts us: PEM texts, as `node:tls` takes them. */
export interface HttpTlsOptions {
  /**
   * The authorities to trust instead of those that Node trusts.
   * @default Node's own
   */
  readonly ca?: string | undefined;
  /** The client's certificate, with `key`, for mutual TLS. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly passphrase?: string | undefined;
}

/** Options of every handler that sends over HTTP. */
export interface HttpHandlerOptions {
  /** Where to send. A user and a password in it are sent as Basic credentials. */
  readonly url: string;
  /** Sent with every request. */
  readonly headers?: { readonly [name: string]: string } | undefined;
  /**
   * Milliseconds for one request, from connecting to the last byte of the answer.
   * @default 10000
   */
  readonly timeout?: number | undefined;
  /**
   * Whether bodies of 1 KiB and more are compressed.
   * @default true
   */
  readonly gzip?: boolean | undefined;
  readonly tls?: HttpTlsOptions | undefined;
  /** The most events in one request. */
  readonly batchSize?: number | undefined;
  /** Names the handler's position in the spool. */
  readonly name?: string | undefined;
  /**
   * Whether a receipt's `stored` waits for it.
   * @default true
   */
  readonly required?: boolean | undefined;
}

/** The names of {@link HttpHandlerOptions}. */
export const HTTP_OPTIONS = ["url", "headers", "timeout", "gzip", "tls", "batchSize", "name", "required"] as const;

/** What a sender needs, checked. */
export interface HttpSettings {
  readonly url: URL;
  readonly headers: { readonly [name: string]: string };
  readonly timeout: number;
  readonly gzip: boolean;
  readonly tls: HttpTlsOptions;
}

/**
 * Checks the options.
 *
 * @throws SeclogError `SECLOG_CONFIG` that names the option, and never quotes a URL: its path may be secret
 */
export function httpSettings(where: string, options: HttpHandlerOptions): HttpSettings {
  const { headers = {}, gzip = true, tls = {} } = options;
  const url = typeof options.url === "string" && URL.canParse(options.url) ? new URL(options.url) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw configError(where, "url", "must be an http:// or https:// URL");
  }
  for (const [name, value] of Object.entries(headers)) {
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name))
      throw configError(where, "headers", `has ${JSON.stringify(name)}, which cannot be a header`);
    if (typeof value !== "string" || !/^[\t -~]*$/.test(value)) {
      throw configError(where, "headers", `has ${name}, whose value is not printable ASCII`);
    }
  }
  return {
    url,
    headers,
    gzip,
    tls,
    timeout: wholeNumber(where, "timeout", options.timeout, { default: 10_000, min: 1, max: 100_000 }),
  };
}
