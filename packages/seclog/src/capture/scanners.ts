/** What scanners are known by: their names, and the paths that they try on every server. */
// cspell:disable

/** What scanners ask every server for, and no Node application serves. */
export const PROBES: RegExp = new RegExp(
  [
    String.raw`/\.(?:env|git|svn|hg|bzr|aws|ssh|docker|kube|vscode|idea|npmrc|htaccess|htpasswd|DS_Store|bash_history)(?:$|[./_?-])`,
    String.raw`/(?:wp-(?:login|admin|config|content|includes|json)|wordpress|xmlrpc\.php|wlwmanifest\.xml)`,
    `/(?:phpmyadmin|phpinfo|pma|adminer|myadmin)(?:$|[./?-])`,
    `/(?:vendor/phpunit|cgi-bin|server-status|actuator/|_ignition/|telescope/requests|solr/admin|HNAP1|boaform)`,
    String.raw`/(?:etc/passwd|etc/shadow|proc/self/|win\.ini|boot\.ini|id_rsa|web\.config|credentials\.json)`,
    String.raw`/(?:config|backup|dump|database|db|shell|cmd|eval-stdin)\.(?:php|sql|bak|old|zip|tar\.gz|jsp|aspx?)(?:$|\?)`,
    String.raw`/owa/auth|/autodiscover/|/remote/login|/manager/html|/jmx-console|/invoker/|/cgi/|/login\.action`,
  ].join("|"),
  "i",
);

/**
 * The names under which attack tools introduce themselves. Libraries (curl, python-requests, Go) are none: they serve
 * honest clients as well.
 */
const TOOLS = [
  ...[
    "sqlmap",
    "nikto",
    "nuclei",
    "gobuster",
    "ffuf",
    "fuzz faster",
    "wfuzz",
    "dirbuster",
    "feroxbuster",
    "dirsearch",
    "rustbuster",
  ],
  ...["wpscan", "joomscan", "droopescan", "cmsmap", "whatweb", "wappalyzer", "nmap scripting engine", "masscan"],
  ...["zgrab", "zmap", "naabu", "httpx - open-source", "katana", "jaeles", "commix", "dalfox", "xsstrike", "xsser"],
  ...["acunetix", "netsparker", "invicti", "nessus", "openvas", "qualys", "w3af", "arachni", "skipfish", "wapiti"],
  ...[
    "havij",
    "jsql injection",
    "sqlninja",
    "bbqsql",
    "fimap",
    "hydra",
    "medusa",
    "brutus",
    "metasploit",
    "meterpreter",
  ],
  ...["owasp zap", "zaproxy", "burp", "vega/", "paros", "webinspect", "appscan", "detectify", "intruder.io", "tplmap"],
  ...["l9explore", "l9tcpid", "leakix", "odin.io", "expanse", "censysinspect", "internetmeasurement", "morfeus"],
  ...["zmeu", "l9scan", "dorkbot", "netsystemsresearch", "http banner detection", "visionheight.com/scan", "wpsec"],
  ...[
    "cypex.ai/scanning",
    "air.ai/scanning",
    "wanscanner",
    "keydrop.io",
    "bitdiscovery",
    "ltx71",
    "watchtowr",
    "riddler",
  ],
  ...[
    "asnriskscorer",
    "dnsscanner",
    "probelyspdr",
    "csirt.cz",
    "cert pl",
    "abuse.xmco.fr",
    "software-security-research",
  ],
  ...["nosqlmap", "graphqlmap", "inql", "clairvoyance", "kiterunner", "arjun", "hakrawler", "gospider", "crlfuzz"],
];

/** Finds the name of a tool in a user agent. */
export const TOOL: RegExp = new RegExp(TOOLS.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|"), "i");
