import { type HttpRequest, type HttpResponse, textResponse } from "../http/service.ts";
import type { Worker } from "./work.ts";
import type { WorkMetrics } from "./work-metrics.ts";

/**
 * `/healthz`: the process runs. `/readyz`: it stores what comes, or 503 with every reason why not. `/metrics`: its figures.
 */
export async function workResponse(request: HttpRequest, worker: Worker, metrics: WorkMetrics): Promise<HttpResponse> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return textResponse(405, "only GET and HEAD", { allow: "GET, HEAD" });
  }
  switch (request.path.split("?")[0]) {
    case "/healthz":
      return textResponse(200, "ok");
    case "/readyz": {
      const reasons = worker.unready;
      return reasons.length === 0 ? textResponse(200, "ok") : textResponse(503, reasons.join("\n"));
    }
    case "/metrics": {
      const { contentType, body } = await metrics.text();
      return { status: 200, headers: { "content-type": contentType }, body };
    }
    default:
      return textResponse(404, "not found: /healthz, /readyz, /metrics");
  }
}
