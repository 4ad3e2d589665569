import type { Product } from "./catalogue.ts";
import { Html } from "./html.ts";

/**
 * The pots, as drawings of our own in a square of 200. Colours come from the style sheet by class: `g` is the
 * glaze, `d` its shade, `c` bare clay, `l` a highlight.
 */
const SHAPES: { readonly [shape in Product["shape"]]: string } = {
  mug: `<path class="g" d="M134 82h14c17 0 27 11 27 27s-11 28-29 28h-14v-13h13c10 0 16-5 16-15s-6-14-15-14h-12z"/>
    <path class="g" d="M54 62h84v70c0 15-9 24-23 24H77c-14 0-23-9-23-24z"/>
    <path class="d" d="M114 62h24v70c0 15-9 24-23 24h-14c10-4 13-12 13-24z"/>
    <path class="c" d="M61 146c4 7 9 10 16 10h38c7 0 12-3 16-10z"/><ellipse class="d" cx="96" cy="62" rx="42" ry="7"/>
    <path class="l" d="M66 80v44"/>`,
  bowl: `<path class="g" d="M30 84h140c0 40-26 64-54 68H84c-28-4-54-28-54-68z"/>
    <path class="d" d="M140 84h30c0 40-26 64-54 68h-12c24-12 36-36 36-68z"/>
    <path class="c" d="M78 151h44l4 13H74z"/><ellipse class="d" cx="100" cy="84" rx="70" ry="13"/>
    <path class="l" d="M44 104c4 12 10 20 18 27"/>`,
  vase: `<path class="s" d="M101 62C99 42 104 30 112 20"/><circle class="p" cx="114" cy="20" r="9"/>
    <path class="s" d="M103 46c-10-1-16-6-18-13"/>
    <path class="g" d="M88 60h24c-2 22 4 30 16 44 12 15 10 42-8 58H80c-18-16-20-43-8-58 12-14 18-22 16-44z"/>
    <path class="d" d="M104 60h8c-2 22 4 30 16 44 12 15 10 42-8 58h-15c18-18 20-42 10-57-9-14-13-24-11-45z"/>
    <path class="c" d="M74 155c2 3 4 5 6 7h40c2-2 4-4 6-7z"/><ellipse class="d" cx="100" cy="60" rx="13" ry="3"/>
    <path class="l" d="M78 116c-4 9-4 18-1 27"/>`,
  teapot: `<path class="g" d="M44 122C26 118 20 98 17 84l15-3c3 15 8 24 20 27z"/>
    <path class="h" d="M136 92c28-14 44-6 44 14 0 18-16 30-40 30"/>
    <path class="g" d="M96 76c34 0 52 20 52 44s-18 38-36 38H80c-18 0-36-14-36-38s18-44 52-44z"/>
    <path class="d" d="M110 77c26 4 38 22 38 43 0 24-18 38-36 38H98c22-6 32-20 32-40s-7-34-20-41z"/>
    <path class="c" d="M64 152c5 4 10 6 16 6h32c6 0 11-2 16-6z"/><path class="d" d="M72 78c4-9 13-13 24-13s20 4 24 13z"/>
    <circle class="g" cx="96" cy="60" r="7"/><path class="l" d="M60 108c3-8 8-13 15-16"/>`,
  plate: `<circle class="g" cx="100" cy="104" r="66"/><path class="d" d="M131 46a66 66 0 0 1-62 116 66 66 0 0 0 62-116z"/>
    <circle class="c" cx="100" cy="104" r="66" fill-opacity="0"/><circle class="r" cx="100" cy="104" r="44"/>
    <path class="l" d="M52 84c5-12 13-20 24-25"/>`,
  pitcher: `<path class="h" d="M128 72c30-6 44 10 38 32-4 14-14 24-32 28"/>
    <path class="g" d="M62 44h62l8-4c2 10-2 18-8 24 4 16 16 30 16 58 0 22-10 40-28 40H80c-18 0-28-18-28-40 0-32 16-46 10-78z"/>
    <path class="d" d="M108 44h16l8-4c2 10-2 18-8 24 4 16 16 30 16 58 0 22-10 40-28 40H98c18-6 24-22 24-42 0-30-16-44-14-76z"/>
    <path class="c" d="M60 150c5 8 11 12 20 12h32c9 0 15-4 20-12z"/><ellipse class="d" cx="94" cy="44" rx="31" ry="5"/>
    <path class="l" d="M68 96c-5 13-6 22-4 34"/>`,
};

/** The product's picture. */
export function drawing(product: Product): Html {
  return new Html(
    `<svg class="pot ${product.glaze}" viewBox="0 0 200 200" role="img" aria-hidden="true">` +
      `<ellipse class="shadow" cx="100" cy="166" rx="62" ry="7"/>${SHAPES[product.shape]}</svg>`,
  );
}
