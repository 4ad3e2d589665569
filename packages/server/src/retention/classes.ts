/** How long events are kept: which partitions they are in, and so what can be dropped. */
export const RETENTION_CLASSES = ["short", "standard", "long"] as const;

export type RetentionClass = (typeof RETENTION_CLASSES)[number];
