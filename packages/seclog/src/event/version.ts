/** The package's version. The application and the shipper's thread must have the same, since they share a protocol. */
export const VERSION = "0.1.0";
