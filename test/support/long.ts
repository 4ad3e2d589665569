/** Whether this is `npm run test:long`, which tries more and larger cases of what `npm test` tries a few of. */
export const isLong: boolean = process.env["SECLOG_TEST_LONG"] === "1";
