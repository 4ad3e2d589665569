/** The values that a field has in the time that the page looks at, for completion. */
import { fieldNamed, type KnownValues } from "@seclog/api";
import { useQuery } from "@tanstack/react-query";
import { api } from "../../data/api.ts";
import { useTimeRange } from "../../data/time-range.ts";

export interface Known {
  readonly known: KnownValues;
  readonly counts: ReadonlyMap<string, number>;
  /** The field whose value is being written. */
  readonly field: string | undefined;
}

/** The fields that the API counts. */
const COUNTED: ReadonlySet<string> = new Set(
  "type level category outcome service ip actor target route path method status host agent".split(" "),
);
const VALUE = /([a-zA-Z_][\w.]*)(?::|>=|<=|!=|=|>|<)(?:[^\s()",]*,)*[^\s()",]*$/;

export function useKnownValues(query: string, cursor: number, isOpen: boolean): Known {
  const { since, until } = useTimeRange();
  const name = VALUE.exec(query.slice(0, cursor))?.[1];
  const field = name === undefined ? undefined : fieldNamed(name)?.name;
  const isCounted = field !== undefined && COUNTED.has(field);
  const { data: counted } = useQuery({
    queryKey: ["known", field, since, until],
    queryFn: ({ signal }) =>
      api.facets(
        { fields: field ?? "", since, ...(until === undefined ? {} : { until }), limit: 200, budget: 1_000 },
        signal,
      ),
    enabled: isOpen && isCounted,
    staleTime: 60_000,
  });
  const { data: catalogue } = useQuery({
    queryKey: ["catalogue"],
    queryFn: ({ signal }) => api.catalogue(signal),
    staleTime: Infinity,
  });
  const values = field === undefined ? [] : (counted?.facets[field]?.values ?? []);
  const network = field === "ip" ? networkAt(query.slice(0, cursor)) : undefined;
  const inNetwork = values.filter(({ name: ip }) => network !== undefined && ip.startsWith(network.start));
  const names = [...(network === undefined ? [] : [network.name]), ...values.map((value) => value.name)];
  const types = field === "type" ? (catalogue?.types.map(({ type }) => type) ?? []) : [];
  return {
    known: field === undefined ? {} : { [field]: [...names, ...types] },
    counts: new Map([
      ...(network === undefined || inNetwork.length === 0
        ? []
        : [[network.name, inNetwork.reduce((sum, { events }) => sum + events, 0)] as const]),
      ...values.map(({ name: text, events }) => [text, events] as const),
    ]),
    field,
  };
}

/** The network of 256 addresses that is being written: `203.0.113.0/24` for `203.0.113.`. */
function networkAt(before: string): { readonly start: string; readonly name: string } | undefined {
  const start = /(?<![\d.])\d{1,3}\.\d{1,3}\.\d{1,3}\.(?=\d{0,3}$)/.exec(before)?.[0];
  return start === undefined ? undefined : { start, name: `${start}0/24` };
}
