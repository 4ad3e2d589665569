/** The values that the contract's application and its client share. */
export const CONTRACT = {
  /** Signs the tokens of `GET /token` with HS256. */
  tokenSecret: "the key of the contract's tokens, of 32 bytes and more",
  /** The secret of `POST /stripe` and `POST /webhook`. */
  webhookSecret: "whsec_Y29udHJhY3Qtc2VjcmV0LWNvbnRyYWN0LXNlY3JldA==",
  /** The login that `POST /login` accepts. */
  username: "ada",
  password: "correct horse",
  /** The origin that `GET /cors` allows. */
  origin: "https://shop.example",
  /** The most bytes of a body of `POST /orders`, and of a file of `POST /upload`. */
  limit: 1_000,
  /** The client that the proxy in front of the application reports. */
  clientAddress: "203.0.113.9",
} as const;
