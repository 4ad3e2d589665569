import type { ShippingNews } from "./news.ts";
import { quarantinedType } from "./quarantine.ts";
import type { ShipperObserver } from "./shipper.ts";

/** Turns a shipper's failures into news for its log: for the thread, and for a log in memory. */
export function reportFailures(
  report: (news: ShippingNews) => void,
): Pick<ShipperObserver, "failed" | "seized" | "quarantined"> {
  return {
    failed: (lane, kind, { code, message }) =>
      report({ type: "failed", handler: lane?.handler.name, kind, code, message }),
    seized: ({ handler, source }, { id: successor, after: seq }, { message }) =>
      report({ type: "seized", handler: handler.name, source: source.id, seq, successor, message }),
    quarantined: ({ handler }, record) => {
      const { source, seq, reason } = record;
      const event = quarantinedType(record);
      report({ type: "quarantined", handler: handler.name, source: source.id, seq, reason, event });
    },
  };
}
