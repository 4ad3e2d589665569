import {
  type DynamicModule,
  Inject,
  type InjectionToken,
  Module,
  type ModuleMetadata,
  type OnApplicationShutdown,
  type OptionalFactoryDependency,
} from "@nestjs/common";
import { APP_INTERCEPTOR, HttpAdapterHost } from "@nestjs/core";
import { Capture, type CaptureLog, type CaptureOptions } from "../capture.ts";
import { securityCapture as expressCapture } from "../express/express.ts";
import { securityCapture as fastifyCapture } from "../fastify/fastify.ts";
import { seeExceptions } from "./exceptions.ts";
import { SecurityEventInterceptor } from "./security-event.ts";
import { SECURITY_LOG, SECURITY_LOG_OPTIONS } from "./tokens.ts";

export type { CaptureLog, CaptureOptions } from "../capture.ts";
export type { Detector } from "../detectors.ts";
export { type AccessFacts, checkAccess, type LoginFacts, noteError, recordLogin } from "../outcomes.ts";
export { SecurityEvent, type SecurityEventData } from "./security-event.ts";
export { SECURITY_LOG } from "./tokens.ts";

/** Options of {@link SeclogModule}. */
export interface SeclogModuleOptions extends CaptureOptions<never> {
  /** The log, as `createSecurityLog` returns it. */
  readonly log: CaptureLog & { close?(): Promise<void> };
  /**
   * Whether the module closes the log when the application shuts down, behind everything that may still record. With
   * `app.enableShutdownHooks()` that includes a signal.
   * @default true
   */
  readonly closeOnShutdown?: boolean | undefined;
}

/** Options of {@link SeclogModule.forRootAsync}. */
export interface SeclogModuleAsyncOptions extends Pick<ModuleMetadata, "imports"> {
  readonly inject?: (InjectionToken | OptionalFactoryDependency)[];
  readonly useFactory: (...dependencies: never[]) => SeclogModuleOptions | Promise<SeclogModuleOptions>;
}

/** Injects the log. */
export function InjectSecurityLog(): PropertyDecorator & ParameterDecorator {
  return Inject(SECURITY_LOG);
}

/** The part of a Nest HTTP adapter that is used. */
interface HttpAdapter {
  getType(): string;
  getInstance(): { register(plugin: unknown, options: object): unknown };
  use(middleware: unknown): unknown;
}

/**
 * Captures what a NestJS application refuses, on Express or Fastify, gives `@InjectSecurityLog()` its log, records what
 * `@SecurityEvent()` names, and closes the log when the application shuts down:
 *
 * ```ts
 * @Module({ imports: [SeclogModule.forRoot({ log: createSecurityLog({ … }) }), OrdersModule] })
 * class AppModule {}
 * ```
 *
 * Nest installs it before the parsers of bodies. Import it once, in the application's root module; it is global.
 */
export class SeclogModule implements OnApplicationShutdown {
  readonly #options: SeclogModuleOptions;

  /** Nest calls it. @throws SeclogError `SECLOG_CONFIG` for an unknown option or detector. */
  constructor(options: SeclogModuleOptions, host: { readonly httpAdapter?: unknown }) {
    this.#options = options;
    const { log, closeOnShutdown, ...capture } = options;
    // Checks them, also for an application without HTTP.
    new Capture(log, capture);
    const adapter = host.httpAdapter as HttpAdapter | undefined;
    if (adapter === undefined || adapter === null) return;
    seeExceptions();
    if (adapter.getType() === "fastify") adapter.getInstance().register(fastifyCapture, { log, ...capture });
    else adapter.use(expressCapture(log, capture));
  }

  /** The module with a log that exists. */
  static forRoot(options: SeclogModuleOptions): DynamicModule {
    return SeclogModule.forRootAsync({ useFactory: () => options });
  }

  /** The module with a log that a factory opens, from injected configuration. */
  static forRootAsync({ imports = [], inject = [], useFactory }: SeclogModuleAsyncOptions): DynamicModule {
    return {
      module: SeclogModule,
      global: true,
      imports,
      providers: [
        { provide: SECURITY_LOG_OPTIONS, useFactory, inject },
        {
          provide: SECURITY_LOG,
          useFactory: ({ log }: SeclogModuleOptions) => log,
          inject: [SECURITY_LOG_OPTIONS],
        },
        {
          provide: APP_INTERCEPTOR,
          useFactory: (log: CaptureLog) => new SecurityEventInterceptor(log),
          inject: [SECURITY_LOG],
        },
      ],
      exports: [SECURITY_LOG],
    };
  }

  /** Nest calls it last, when nothing records any more. */
  async onApplicationShutdown(): Promise<void> {
    const { log, closeOnShutdown = true } = this.#options;
    if (closeOnShutdown) await log.close?.();
  }
}

Module({})(SeclogModule);
Inject(SECURITY_LOG_OPTIONS)(SeclogModule, undefined, 0);
Inject(HttpAdapterHost)(SeclogModule, undefined, 1);
