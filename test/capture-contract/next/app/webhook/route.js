import { CONTRACT } from "seclog/testing";
import { Webhook } from "standardwebhooks";
import { handler } from "../../shared.js";

const webhook = new Webhook(CONTRACT.webhookSecret);

export const POST = handler(async (request) =>
  Response.json(webhook.verify(await request.text(), Object.fromEntries(request.headers))),
);
