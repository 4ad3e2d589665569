/**
 * Prepares a password for its SCRAM verifier, in the form that every client produces at login.
 *
 * Clients differ. PostgreSQL's own (`src/common/saslprep.c`: the server, libpq, psql) apply SASLprep (RFC 4013), and
 * use the raw password when that prohibits it: for characters newer than Unicode 3.2, or mixed writing directions. `pg`
 * only applies the mapping and NFKC. The results differ only for a password that the mapping changes; such a password
 * is refused unless all its characters are from scripts where nothing is prohibited.
 */

/** RFC 3454, C.1.2 and B.1. */
const OTHER_SPACES = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/gu;
const MAPPED_TO_NOTHING = /\u00ad|\u034f|\u1806|\u180b|\u180c|\u180d|\u200c|\u200d|\u2060|[\ufe00-\ufe0f]|\ufeff/gu;

/** Cannot be encoded in UTF-8. */
const LONE_SURROGATE = /[\ud800-\udfff]/u;

/**
 * Characters of Unicode 3.2, written from left to right, that no table prohibits: ASCII without controls, Latin, Greek
 * and Cyrillic letters, punctuation and currencies, kana, unified ideographs and Hangul.
 */
const AGREED =
  /^[\u0020-\u007e\u00a1-\u00ac\u00ae-\u0220\u0250-\u02ad\u0391-\u03a1\u03a3-\u03ce\u0400-\u0481\u048a-\u04ce\u2010-\u2027\u2030-\u2052\u20a0-\u20b1\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3]*$/;

/** The prepared password; `undefined` when clients would prepare it differently. */
export function agreedPassword(password: string): string | undefined {
  const mapped = password.replace(OTHER_SPACES, " ").replace(MAPPED_TO_NOTHING, "").normalize("NFKC");
  // Unchanged by the mapping: the same for every client, prohibited or not.
  if (mapped === password) return LONE_SURROGATE.test(password) ? undefined : password;
  // SASLprep prohibits an empty result.
  return mapped !== "" && AGREED.test(mapped) ? mapped : undefined;
}

/** As {@link agreedPassword}, for a password that was checked before. @throws Error when clients prepare it differently */
export function preparedPassword(password: string): string {
  const prepared = agreedPassword(password);
  if (prepared === undefined) throw new Error("PostgreSQL's clients prepare this password differently");
  return prepared;
}
