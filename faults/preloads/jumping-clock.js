/**
 * A preload whose wall clock jumps as `CLOCK_JUMPS` says: `[[afterMs, offsetMs, smearMs?], …]`. From `afterMs` of the
 * process's life the clock is off by `offsetMs`; with `smearMs` it drifts there evenly over that time, as servers smear
 * a leap second. Every thread sees the same time, since the preload runs in each and the process's life has one start.
 */
/** Repeated, since it is unknown how long a process takes to start. */
const PERIOD = 1_600;
const jumps = JSON.parse(process.env.CLOCK_JUMPS);
const RealDate = globalThis.Date;
const realNow = RealDate.now;
process.env.CLOCK_BORN ??= String(realNow());

function offset(real) {
  const age = (real - Number(process.env.CLOCK_BORN)) % PERIOD;
  let off = 0;
  for (const [after, to, smear = 0] of jumps) {
    if (age < after) break;
    off = smear === 0 ? to : off + (to - off) * Math.min(1, (age - after) / smear);
  }
  return off;
}

const now = () => {
  const real = realNow();
  return Math.round(real + offset(real));
};

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
  apply: () => new RealDate(now()).toString(),
});
RealDate.now = now;
