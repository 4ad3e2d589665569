/**
 * Express 4 is installed under another name beside Express 5 and has no types: those of 5 are close enough for tests.
 */
declare module "express4" {
  export { default } from "express";
}
