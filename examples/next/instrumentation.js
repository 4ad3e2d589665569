export async function register() {
  if (process.env.NEXT_RUNTIME === "nodejs") await import("./security-log.js");
}

export async function onRequestError(...error) {
  if (process.env.NEXT_RUNTIME === "nodejs") (await import("seclog/next")).onRequestError(...error);
}
