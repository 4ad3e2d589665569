/**
 * The form of a password from which a SCRAM verifier is made, so that every client makes the same of it at login.
 *
 * Clients do not agree. PostgreSQL's (`src/common/saslprep.c`: the server, libpq, psql) do SASLprep (RFC 4013) and fall
 * back to the password as it is where that is prohibited, or has characters that Unicode 3.2 did not have, or mixes
 * directions of writing. `pg` does the mapping and NFKC alone. They differ only where the mapping changes something: such a
 * password is refused, unless all of it is of scripts where nothing is prohibited.
 */

/** RFC 3454, C.1.2 and B.1. */
const OTHER_SPACES = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/gu;
const MAPPED_TO_NOTHING = /\u00ad|\u034f|\u1806|\u180b|\u180c|\u180d|\u200c|\u200d|\u2060|[\ufe00-\ufe0f]|\ufeff/gu;

/** What UTF-8 does not have. */
const LONE_SURROGATE = /[\ud800-\udfff]/u;

/**
 * Letters and signs that Unicode had by 3.2, that are written from left to right and that no table prohibits: ASCII without
 * controls, Latin, Greek and Cyrillic letters, punctuation and currencies, kana, unified ideographs and Hangul.
 */
const AGREED =
  /^[\u0020-\u007e\u00a1-\u00ac\u00ae-\u0220\u0250-\u02ad\u0391-\u03a1\u03a3-\u03ce\u0400-\u0481\u048a-\u04ce\u2010-\u2027\u2030-\u2052\u20a0-\u20b1\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3]*$/;

/** The prepared password, `undefined` where clients would not agree on it. */
export function agreedPassword(password: string): string | undefined {
  const mapped = password.replace(OTHER_SPACES, " ").replace(MAPPED_TO_NOTHING, "").normalize("NFKC");
  // What the mapping leaves alone is the same whether it is allowed or not.
  if (mapped === password) return LONE_SURROGATE.test(password) ? undefined : password;
  // Nothing but what is mapped to nothing is prohibited.
  return mapped !== "" && AGREED.test(mapped) ? mapped : undefined;
}

/** As {@link agreedPassword}, for a password that was checked. @throws Error for one that clients do not agree on */
export function preparedPassword(password: string): string {
  const prepared = agreedPassword(password);
  if (prepared === undefined) throw new Error("PostgreSQL's clients prepare this password differently");
  return prepared;
}
