import type { Account } from "./accounts.ts";
import { MOST_PIECES, type Order, type Product, products } from "./catalogue.ts";
import { drawing } from "./drawings.ts";
import { type Html, html } from "./html.ts";

/** Who looks at a page, and the token that proves a form came from it. */
export interface Viewer {
  readonly account: Account | undefined;
  readonly csrfToken: string;
}

export function cataloguePage(viewer: Viewer): Html {
  return page(
    "Pots for every day",
    viewer,
    html`<header class="hero">
        <h1>Pots for every day</h1>
        <p>Thrown, glazed and fired in small batches. Six shapes, six glazes, nothing you have to dust.</p>
      </header>
      <ul class="grid">
        ${products.map(
          (product) => html`<li>
            <a class="card" href="/products/${product.id}">
              ${drawing(product)}
              <span class="card-name">${product.name}</span>
              <span class="card-price">${price(product.price)}</span>
            </a>
          </li>`,
        )}
      </ul>`,
  );
}

export function productPage(viewer: Viewer, product: Product): Html {
  const order = html`<form class="stack" method="post" action="/orders">
    ${csrfField(viewer)}
    <input type="hidden" name="product" value="${product.id}" />
    <label for="pieces">Pieces</label>
    <div class="row">
      <input id="pieces" name="pieces" type="number" value="1" min="1" max="${MOST_PIECES}" required />
      <button>Order</button>
    </div>
  </form>`;
  return page(
    product.name,
    viewer,
    html`<article class="product">
      <div class="product-picture">${drawing(product)}</div>
      <div class="stack">
        <h1>${product.name}</h1>
        <p class="price">${price(product.price)}</p>
        <p>${product.about}</p>
        ${viewer.account === undefined ? html`<p><a class="button" href="/login">Sign in to order</a></p>` : order}
        <p class="quiet"><a href="/">Back to all pots</a></p>
      </div>
    </article>`,
  );
}

export function loginPage(viewer: Viewer, problem?: string): Html {
  return page(
    "Sign in",
    viewer,
    html`<form class="panel stack narrow" method="post" action="/login">
      <h1>Sign in</h1>
      ${problem !== undefined && html`<p class="problem" role="alert">${problem}</p>`} ${csrfField(viewer)}
      <label for="name">Name</label>
      <input id="name" name="name" autocomplete="username" autocapitalize="none" required maxlength="64" />
      <label for="password">Password</label>
      <input id="password" name="password" type="password" autocomplete="current-password" required maxlength="256" />
      <button>Sign in</button>
      <p class="quiet">Two people have an account: ada, who buys, and grace, who runs the shop.</p>
    </form>`,
  );
}

export function accountPage(viewer: Viewer, account: Account, orders: readonly Order[]): Html {
  return page(
    "Your orders",
    viewer,
    html`<h1>Hello, ${account.name}</h1>
      ${
        orders.length === 0
          ? html`<p class="panel">Nothing ordered yet. <a href="/">Look around.</a></p>`
          : orderTable(orders, false)
      }`,
  );
}

export function orderPage(viewer: Viewer, order: Order): Html {
  return page(
    `Order ${order.id}`,
    viewer,
    html`<article class="product">
      <div class="product-picture">${drawing(order.product)}</div>
      <div class="stack">
        <h1>Order ${order.id}</h1>
        <p>${order.pieces} × ${order.product.name}</p>
        <p class="price">${price(order.pieces * order.product.price)} ${status(order)}</p>
        <p class="quiet"><a href="/account">All your orders</a></p>
      </div>
    </article>`,
  );
}

export function adminPage(viewer: Viewer, orders: readonly Order[]): Html {
  return page(
    "Orders",
    viewer,
    html`<h1>Orders</h1>
      ${orders.length === 0 ? html`<p class="panel">No orders yet.</p>` : orderTable(orders, true)}`,
  );
}

export function problemPage(viewer: Viewer, statusCode: number, title: string, text: string): Html {
  return page(
    title,
    viewer,
    html`<section class="panel stack narrow">
      <p class="code">${statusCode}</p>
      <h1>${title}</h1>
      <p>${text}</p>
      <p>
        ${statusCode === 401 && html`<a class="button" href="/login">Sign in</a> `}
        <a class="button plain" href="/">To the shop</a>
      </p>
    </section>`,
  );
}

function orderTable(orders: readonly Order[], withNames: boolean): Html {
  return html`<div class="panel scroll">
    <table>
      <thead>
        <tr>
          <th>Order</th>
          ${withNames && html`<th>For</th>`}
          <th>Pots</th>
          <th class="number">Total</th>
        </tr>
      </thead>
      <tbody>
        ${orders.map(
          (order) => html`<tr>
            <td><a href="/orders/${order.id}">${order.id}</a> ${status(order)}</td>
            ${withNames && html`<td>${order.accountId}</td>`}
            <td>${order.pieces} × ${order.product.name}</td>
            <td class="number">${price(order.pieces * order.product.price)}</td>
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function status(order: Order): Html {
  return html`<span class="status ${order.status}">${order.status}</span>`;
}

function csrfField(viewer: Viewer): Html {
  return html`<input type="hidden" name="_csrf" value="${viewer.csrfToken}" />`;
}

const euro = new Intl.NumberFormat("en-IE", { style: "currency", currency: "EUR" });

function price(cents: number): string {
  return euro.format(cents / 100);
}

function page(title: string, viewer: Viewer, content: Html): Html {
  const { account } = viewer;
  const links =
    account === undefined
      ? html`<a href="/login">Sign in</a>`
      : html`${account.role === "admin" && html`<a href="/admin">Orders</a>`}
          <a href="/account">${account.name}</a>
          <form method="post" action="/logout">${csrfField(viewer)}<button class="link">Sign out</button></form>`;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} · Slow Kiln</title>
        <link rel="icon" href="/kiln.svg" type="image/svg+xml" />
        <link rel="stylesheet" href="/shop.css" />
      </head>
      <body>
        <nav class="bar">
          <a class="brand" href="/"><img src="/kiln.svg" alt="" width="28" height="28" />Slow Kiln</a>
          <div class="links">${links}</div>
        </nav>
        <main>${content}</main>
        <footer>A sample shop: nothing here is for sale. What it refuses, its security log remembers.</footer>
      </body>
    </html> `;
}
