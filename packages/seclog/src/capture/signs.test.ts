import crawlers from "crawler-user-agents";
import { describe, expect, it } from "vitest";
import { attackToolOf, climbs, foreignOrigin, probes, signedBy } from "./signs.ts";

// cspell:disable

describe("climbs()", () => {
  it.each([
    "/files/../../etc/passwd",
    "/files/..%2f..%2fetc%2fpasswd",
    "/files/%2e%2e/%2E%2E/etc",
    "/files/..\\..\\boot.ini",
    "/files/..%5c..%5cboot.ini",
    "/files/..%252f..%252fetc",
    "/..",
    "/file?name=../../secret",
    "/file.txt%00.png",
  ])("recognises %s", (target) => expect(climbs(target)).toBe(true));

  it.each(["/", "/a..b/c", "/v1...v2", "/range/1..9", "/100%25", "/a%2fb", "/?q=wait...", "/compare/main..next"])(
    "leaves %s alone",
    (target) => expect(climbs(target)).toBe(false),
  );
});

describe("probes()", () => {
  it.each([
    "/.env",
    "/.git/config",
    "/api/.env.production",
    "/wp-login.php",
    "/blog/wp-admin/",
    "/backup.sql",
    "/phpmyadmin/",
  ])("recognises %s", (target) => expect(probes(target)).toBe(true));

  it.each([
    "/environment",
    "/.well-known/security.txt",
    "/github",
    "/wp",
    "/admin",
    "/login",
    "/database",
    "/docs/git",
  ])("leaves %s alone", (target) => expect(probes(target)).toBe(false));
});

/** What crawler-user-agents calls scanners, and sites are glad of or pay for: certificates, consent, filters of content. */
// cspell:disable-next-line
const NO_ATTACK_TOOLS =
  /^(?:antibot|CyberPatrol|ec2linkfinder|ip-web-crawler|binlar|SafeDNSBot|Jugendschutz|Netcraft|filterdb|SBL-BOT|K7MLWCBot|Cloudflare|https:|NINJA|virustotal|Cookie|Lightspeed|BitSight|ReverseEng|AliyunSecBot|AP3A|BrowserBot|CertChief|cookie|DigiCert|Hardenize|KrawlerBot|Verispider|WTotem|TLS tester|UrlBeeBot|EmailWolf|AkismetBot|ArtemisBot|Bad Neigh|BlackDuck|Dratabot|Do Not Track|Feed Image|Foregenix|Google-Trust|hstspreload|ISSCyber|iubenda|LegalMonster|Let's Encrypt|MRGbot|NsToolsBot|ProjectShield|Sansec|SecurityHeaders|TwinWave|SSL Labs|Sucuri|Test Certificate|Unshorten|VaultPress)/;

describe("attackToolOf()", () => {
  it.each([
    ["sqlmap/1.7.2#stable (https://sqlmap.org)", "sqlmap"],
    ["Nuclei - Open-source project (github.com/projectdiscovery/nuclei)", "nuclei"],
    ["gobuster/3.6", "gobuster"],
    ["Fuzz Faster U Fool v2.1.0-dev ffuf", "ffuf"],
    ["Fuzz Faster U Fool v1.1.0", "ffuf"],
    ["Mozilla/5.0 (compatible; Nmap Scripting Engine; https://nmap.org/book/nse.html)", "nmap scripting engine"],
    ["Mozilla/5.00 (Nikto/2.1.6) (Evasions:None) (Test:Port Check)", "nikto"],
  ])("names the tool of %s", (agent, tool) => {
    expect(attackToolOf(agent)).toBe(tool);
    // From memory.
    expect(attackToolOf(agent)).toBe(tool);
  });

  it.each([
    undefined,
    "",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "curl/8.5.0",
    "python-requests/2.32",
    "Googlebot/2.1 (+http://www.google.com/bot.html)",
    "UptimeRobot/2.0",
  ])("leaves %s alone", (agent) => expect(attackToolOf(agent)).toBeUndefined());

  it("knows every scanner of crawler-user-agents that looks for holes", () => {
    // Its types lag behind its data.
    const tagged = crawlers as readonly { pattern: string; instances: string[]; tags?: string[] }[];
    const scanners = tagged.filter(({ tags }) => tags?.includes("scanner"));
    expect(scanners.length).toBeGreaterThan(90);
    const unknown = scanners.filter(({ pattern, instances }) => {
      return !NO_ATTACK_TOOLS.test(pattern) && ![pattern.replaceAll("\\", ""), ...instances].some(attackToolOf);
    });
    expect(unknown.map(({ pattern }) => pattern)).toEqual([]);
  });
});

describe("foreignOrigin()", () => {
  const host = "shop.example";

  it.each([
    { origin: "https://evil.example", host },
    { origin: "null", host },
    { origin: "https://evil.example", host, "sec-fetch-site": "cross-site" },
    { origin: "https://shop.example.evil.example", host },
  ])("returns that of another site: %o", (headers) => expect(foreignOrigin(headers)).toBe(headers.origin));

  it.each([
    { host },
    { origin: "https://shop.example", host },
    { origin: "https://shop.example", ":authority": host },
    { origin: "https://shop.example", host: "app:3000", "x-forwarded-host": host },
    { origin: "https://shop.example", host: "app:3000", "sec-fetch-site": "same-origin" },
  ])("returns nothing for the application's own pages: %o", (headers) =>
    expect(foreignOrigin(headers)).toBeUndefined(),
  );
});

describe("signedBy()", () => {
  it("names the sender of a signed webhook, where there is a name", () => {
    expect(signedBy("POST", { "stripe-signature": "t=1,v1=0" })).toEqual({ provider: "stripe" });
    expect(signedBy("POST", { "webhook-signature": "v1,0" })).toEqual({ provider: undefined });
    expect(signedBy("GET", { "stripe-signature": "t=1,v1=0" })).toBeUndefined();
    expect(signedBy("POST", { host: "shop.example" })).toBeUndefined();
  });
});
