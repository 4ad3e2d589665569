import { NextResponse } from "next/server";
import { recordLogin } from "seclog/next";
import { CONTRACT } from "seclog/testing";
import { security } from "../../security-log.js";
import { answer, handler } from "../../shared.js";

export const POST = handler(async (request) => {
  const { username, password } = await request.json();
  const success = username === CONTRACT.username && password === CONTRACT.password;
  const { searchParams } = request.nextUrl;
  if (!searchParams.has("silent")) recordLogin(security, request, { success, userid: username });
  if (searchParams.has("redirect")) return NextResponse.redirect(new URL("/login?failed", request.url), 303);
  return answer(success ? 200 : 401);
});
