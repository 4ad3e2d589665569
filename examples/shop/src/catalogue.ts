/** What the shop sells. Prices are in cents. */
export interface Product {
  readonly id: string;
  readonly name: string;
  readonly about: string;
  readonly price: number;
  /** Which drawing shows it (`drawings.ts`), and in which glaze. */
  readonly shape: "mug" | "bowl" | "vase" | "teapot" | "plate" | "pitcher";
  readonly glaze: "ash" | "celadon" | "cobalt" | "honey" | "iron" | "rose";
}

export const products: readonly Product[] = [
  {
    id: "morning-mug",
    name: "Morning mug",
    about: "Holds 350 ml and keeps it warm. Thrown thick, glazed inside and out.",
    price: 2400,
    shape: "mug",
    glaze: "celadon",
  },
  {
    id: "noodle-bowl",
    name: "Noodle bowl",
    about: "Wide enough for chopsticks and a whole egg. Safe in oven and dishwasher.",
    price: 3200,
    shape: "bowl",
    glaze: "cobalt",
  },
  {
    id: "single-stem",
    name: "Single-stem vase",
    about: "For the one flower that you picked on the way home.",
    price: 2800,
    shape: "vase",
    glaze: "rose",
  },
  {
    id: "long-talk-teapot",
    name: "Long-talk teapot",
    about: "One litre, a spout that does not drip and a lid that stays on.",
    price: 7800,
    shape: "teapot",
    glaze: "iron",
  },
  {
    id: "breakfast-plate",
    name: "Breakfast plate",
    about: "Twenty-two centimetres with a rim that stops runaway crumbs.",
    price: 2600,
    shape: "plate",
    glaze: "ash",
  },
  {
    id: "garden-pitcher",
    name: "Garden pitcher",
    about: "A litre and a half of lemonade, poured with one hand.",
    price: 5400,
    shape: "pitcher",
    glaze: "honey",
  },
];

export function findProduct(id: unknown): Product | undefined {
  return products.find((product) => product.id === id);
}

/** Twelve at most: what one kiln holds. */
export const MOST_PIECES = 12;

/** An order. `status` moves to `paid` when the payment provider says so. */
export interface Order {
  readonly id: number;
  readonly accountId: string;
  readonly product: Product;
  readonly pieces: number;
  status: "open" | "paid";
}

/** The orders, in memory: a restart forgets them, which is enough for a sample. */
export class Orders {
  readonly #orders: Order[] = [];

  place(accountId: string, product: Product, pieces: number): Order {
    const order: Order = { id: 1001 + this.#orders.length, accountId, product, pieces, status: "open" };
    this.#orders.push(order);
    return order;
  }

  find(id: number): Order | undefined {
    return this.#orders.find((order) => order.id === id);
  }

  of(accountId: string): readonly Order[] {
    return this.#orders.filter((order) => order.accountId === accountId);
  }

  all(): readonly Order[] {
    return this.#orders;
  }
}

/** Codes that take ten percent off. Not compared in constant time: the rate limit stops guessing. */
export const vouchers: ReadonlySet<string> = new Set(["KILN-7Q4T-2M9X"]);
