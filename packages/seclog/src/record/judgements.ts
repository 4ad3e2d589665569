/** Decisions of capture, put off so that the application can record the event first. */
import { sharedState } from "./copies.ts";

/** Keeps a judgement until {@link judged}. It must not throw. */
export function awaitJudgement(judge: () => void): void {
  sharedState().waiting.add(judge);
}

/** The judgement was passed. */
export function judged(judge: () => void): void {
  sharedState().waiting.delete(judge);
}

/** Passes every judgement that waits: a log that is flushed or closed must have what the answers before it were for. */
export function judgeNow(): void {
  for (const judge of sharedState().waiting) judge();
}
