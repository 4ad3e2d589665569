import { setActor } from "seclog";

/** Your authentication: who sends the request. Seclog does not know it by itself, so name the actor. */
export function userOf(request) {
  const id = request.headers.get("x-user");
  if (id !== null) setActor({ id });
  return id;
}
