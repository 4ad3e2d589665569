/** Express 4, installed under another name beside Express 5, comes without types: those of 5 are near enough for tests. */
declare module "express4" {
  export { default } from "express";
}
