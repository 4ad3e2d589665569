import type { BuiltInHandlers } from "./ship/worker.ts";

/**
 * This package's handlers, for the shipper's thread. They are identified by name, not by their module's URL: in a
 * bundle that URL is the application's own, and the thread would run the application a second time. Bundlers follow
 * these imports.
 */
export const BUILT_IN_HANDLERS: BuiltInHandlers = {
  "seclog:postgres": () => import("./postgres/handler.ts"),
  "seclog:file": () => import("./handlers/file/file-handler.ts"),
  "seclog:otlp": () => import("./handlers/otlp.ts"),
  "seclog:webhook": () => import("./handlers/webhook.ts"),
  "seclog:elastic": () => import("./handlers/elastic.ts"),
  "seclog:collector": () => import("./handlers/collector.ts"),
  "seclog:splunk": () => import("./handlers/splunk.ts"),
  "seclog:loki": () => import("./handlers/loki.ts"),
  "seclog:s3": () => import("./handlers/s3.ts"),
  "seclog:syslog": () => import("./handlers/syslog.ts"),
  "seclog:kafka": () => import("./queues/kafka.ts"),
  "seclog:redis": () => import("./queues/redis.ts"),
  "seclog:nats": () => import("./queues/nats.ts"),
  "seclog:bullmq": () => import("./queues/bullmq.ts"),
  "seclog:rabbitmq": () => import("./queues/rabbitmq.ts"),
};
