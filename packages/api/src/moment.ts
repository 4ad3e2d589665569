/** Times in queries: ages and moments, and times in events. */

const SECONDS: ReadonlyMap<string, number> = new Map([
  ["s", 1],
  ["m", 60],
  ["h", 3600],
  ["d", 86_400],
  ["w", 604_800],
]);

/** A date with or without the time of day, in the form of RFC 3339: month, day, time, seconds, offset. */
const MOMENT = /^(\d{4}-(\d\d))-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?$/;

/** A time, or why a text is not one. */
export type Moment = { readonly time: Date } | { readonly why: string };

/** Reads a time: an age, or a date with or without the time of day. Without an offset it is UTC, like all output. */
export function readMoment(text: string, now: Date): Moment {
  const ago = /^(\d{1,9})([smhdw])$/.exec(text);
  const moment = MOMENT.exec(text);
  let time = Number.NaN;
  let why = "write 15m, 6h, 1d, 2w or 2026-11-22T10:30Z";
  if (ago !== null) time = now.getTime() - Number(ago[1]) * (SECONDS.get(ago[2] ?? "") ?? Number.NaN) * 1000;
  else if (moment !== null) {
    const wrong = notInCalendar(moment);
    if (wrong === undefined) time = Date.parse(moment[4] === undefined || moment[7] !== undefined ? text : `${text}Z`);
    else why = wrong;
  }
  // The years 1 to 9999, which both PostgreSQL and four digits can express.
  return time >= -62_135_596_800_000 && time < 253_402_300_800_000 ? { time: new Date(time) } : { why };
}

/** Why a moment does not exist. JavaScript would roll the 31st of a shorter month, or hour 24, over to the next day. */
function notInCalendar(moment: RegExpExecArray): string | undefined {
  const [, yearAndMonth = "", month = "", day = "", hour = "00", minute = "00", second = "00", offset = "Z"] = moment;
  if (month < "01" || month > "12") return "months go from 01 to 12";
  // Date.UTC takes the years 1 to 99 as 1901 to 1999, which have the same leap years.
  const days = new Date(Date.UTC(Number(yearAndMonth.slice(0, 4)), Number(month), 0)).getUTCDate();
  if (Number(day) < 1 || Number(day) > days) return `${yearAndMonth} has the days 01 to ${days}`;
  if (hour > "23") return "hours go from 00 to 23";
  if (minute > "59") return "minutes go from 00 to 59";
  if (second > "59") return "seconds go from 00 to 59; a leap second is not counted";
  // UTC-12 to UTC+14 are in use; PostgreSQL accepts up to 15:59.
  if (offset !== "Z" && !/^.(?:0\d|1[0-5]):[0-5]\d$/.test(offset)) return "offsets go from -15:59 to +15:59";
  return undefined;
}

const EVENT_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;

/** Whether an event's time is at or after another. Times that Seclog never writes (`… BC`, `infinity`) compare by their sign. */
export function isAtOrAfter(eventTime: string, time: Date): boolean {
  if (EVENT_TIME.test(eventTime)) return eventTime >= `${time.toISOString().slice(0, -1)}000Z`;
  return !(eventTime.startsWith("-") || eventTime.endsWith("BC"));
}
