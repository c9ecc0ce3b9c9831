// The icons, once in each document: drawn from within it they are there at once, also while the gateway is away.

const AGAIN_MS = 2_000;

/** Brings the icons into this document. `icon()` refers to them as `#icon-…`. */
export async function bringIcons() {
  let text;
  try {
    const answer = await fetch('/icons.svg');
    if (!answer.ok) throw new Error(`icons.svg: ${answer.status}`);
    text = await answer.text();
  } catch {
    setTimeout(bringIcons, AGAIN_MS);
    return;
  }
  const sheet = document.importNode(new DOMParser().parseFromString(text, 'image/svg+xml').documentElement, true);
  for (const symbol of sheet.children) symbol.id = `icon-${symbol.id}`;
  sheet.id = 'icons';
  sheet.setAttribute('aria-hidden', 'true');
  document.body.append(sheet);
}

/** Gives another document of this console its own copy. */
export function shareIcons(page) {
  const sheet = document.getElementById('icons');
  if (sheet) page.body.append(page.importNode(sheet, true));
}
