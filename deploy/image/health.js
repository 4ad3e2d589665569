/** A container's health check: exits with 1 unless the URL answers, and not with a failure of its own (5xx). */
const [, , url] = process.argv;
const { status } = await fetch(url, { redirect: "manual", signal: AbortSignal.timeout(4_000) });
if (status >= 500) process.exitCode = 1;
