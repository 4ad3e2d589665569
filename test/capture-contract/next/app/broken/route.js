import { handler } from "../../shared.js";

export const GET = handler(() => {
  throw new TypeError("a mistake in the application");
});
