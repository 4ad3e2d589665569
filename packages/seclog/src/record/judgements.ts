/** Decisions of capture, put off so that the application can record the event first. */
import { sharedState } from "./copies.ts";

/** Holds a judgement until {@link judged}. It must not throw. */
export function awaitJudgement(judge: () => void): void {
  sharedState().waiting.add(judge);
}

/** The judgement was passed. */
export function judged(judge: () => void): void {
  sharedState().waiting.delete(judge);
}

/** Makes every pending judgement: a log that flushes or closes must contain the refusals answered before. */
export function judgeNow(): void {
  for (const judge of sharedState().waiting) judge();
}
