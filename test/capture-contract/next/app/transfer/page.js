import { redirect } from "next/navigation";
import { withSecurityLog } from "seclog/next";

/** A Server Action that succeeds, and one that fails. */
async function transfer(form) {
  "use server";
  return await withSecurityLog(async () => {
    if (form.get("amount") === "-1") throw new RangeError("a mistake in the action");
    redirect("/transfer?done");
  })();
}

export default function Page() {
  return (
    <form action={transfer}>
      <input name="amount" />
    </form>
  );
}
