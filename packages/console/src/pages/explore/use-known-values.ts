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
  const names = values.map((value) => value.name);
  const types = field === "type" ? (catalogue?.types.map(({ type }) => type) ?? []) : [];
  return {
    known: field === undefined ? {} : { [field]: [...names, ...types] },
    counts: new Map(values.map(({ name: text, events }) => [text, events])),
    field,
  };
}
