/** `@SecurityEvent()`: records an event when a handler has succeeded. */
import { SetMetadata } from "@nestjs/common";
import type { CatalogueData } from "../../event/catalogue.ts";
import type { CaptureFacts, CaptureLog } from "../capture.ts";

const METADATA = "seclog:event";

/** What a handler's event says: its data, or a function of the request and of what the handler returned. */
export type SecurityEventData = CaptureFacts | ((request: never, result: unknown) => CaptureFacts);

interface Wanted {
  readonly type: string;
  readonly data: SecurityEventData;
}

/**
 * Records an event of this type each time that the handler succeeds, with the request and its actor:
 *
 * ```ts
 * @Delete(":id")
 * @SecurityEvent("user_deleted", (request) => ({ onuserid: request.params.id }))
 * remove(@Param("id") id: string) {}
 * ```
 *
 * Nothing is recorded for a handler that throws: capture records why the request was refused.
 */
export function SecurityEvent(
  type: keyof CatalogueData | (string & Record<never, never>),
  data: SecurityEventData = {},
): MethodDecorator {
  const wanted: Wanted = { type, data };
  return SetMetadata(METADATA, wanted);
}

/** The part of Nest's `ExecutionContext` that is used. */
interface HandlerContext {
  getHandler(): object;
  getType(): string;
  switchToHttp(): { getRequest(): object };
}

/** The part of an RxJS `Observable` that is used. */
interface Source {
  subscribe(observer: Observer): unknown;
}

interface Observer {
  next(value: unknown): void;
  error(error: unknown): void;
  complete(): void;
}

type SourceClass = new (subscribe: (observer: Observer) => unknown) => Source;

/** The metadata of handlers, which no one changes later. */
const known = new WeakMap<object, Wanted | null>();

export class SecurityEventInterceptor {
  readonly #log: CaptureLog;

  constructor(log: CaptureLog) {
    this.#log = log;
  }

  intercept(context: HandlerContext, next: { handle(): Source }): Source {
    const source = next.handle();
    const wanted = wantedOf(context.getHandler());
    if (wanted === null) return source;
    const request = context.getType() === "http" ? context.switchToHttp().getRequest() : undefined;
    let recorded = false;
    const record = (result: unknown): void => {
      if (recorded) return;
      recorded = true;
      this.#record(wanted, request, result);
    };
    return new (source.constructor as SourceClass)((observer) =>
      source.subscribe({
        next(value) {
          record(value);
          observer.next(value);
        },
        error: (error) => observer.error(error),
        complete() {
          record(undefined);
          observer.complete();
        },
      }),
    );
  }

  #record({ type, data }: Wanted, request: object | undefined, result: unknown): void {
    let facts: CaptureFacts = {};
    try {
      facts = typeof data === "function" ? data(request as never, result) : data;
    } catch {
      // The application's function threw: the event happened all the same.
    }
    this.#log.recordSecurityEvent(type as keyof CatalogueData, request, facts);
  }
}

function wantedOf(handler: object): Wanted | null {
  let wanted = known.get(handler);
  if (wanted === undefined) {
    wanted = (Reflect as unknown as ReflectMetadata).getMetadata(METADATA, handler) ?? null;
    known.set(handler, wanted);
  }
  return wanted;
}

/** What `reflect-metadata` adds. */
interface ReflectMetadata {
  getMetadata(key: string, target: object): Wanted | undefined;
}
