/** The package's version. The application and the shipper's thread must be of one, for they share files and messages. */
export const VERSION = "0.1.0";
