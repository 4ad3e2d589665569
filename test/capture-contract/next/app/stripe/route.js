import { CONTRACT } from "seclog/testing";
import { Stripe } from "stripe";
import { handler } from "../../shared.js";

const stripe = new Stripe("sk_test_none");

export const POST = handler(async (request) => {
  try {
    stripe.webhooks.constructEvent(
      await request.text(),
      request.headers.get("stripe-signature"),
      CONTRACT.webhookSecret,
    );
  } catch (error) {
    return new Response(`Webhook Error: ${error.message}`, { status: 400 });
  }
  return new Response("received");
});
