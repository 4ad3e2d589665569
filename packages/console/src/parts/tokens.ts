/** Tokens for what draws on a canvas: a custom property itself is an unresolved `light-dark()`. */

/** The colour of a token such as `--lv-info`, in the theme of now. */
export function tokenColour(name: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
