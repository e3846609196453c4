const STYLE = `
body { font: 11pt/1.4 sans-serif; margin: 2rem auto; max-width: 60rem; color: #000; background: #fff; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0; }
th, td { border: 1px solid #999; padding: 0.2rem 0.5rem; text-align: left; vertical-align: top; }
pre, code { font: 10pt monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
thead { display: table-header-group; }
tr, li { break-inside: avoid; }
@page { size: A4; margin: 16mm 14mm 18mm; @bottom-right { content: "Page " counter(page) " of " counter(pages); font: 8pt sans-serif; } }
@media print { body { margin: 0; max-width: none; } table { font-size: 8pt; } }
dt { font-weight: bold; }
dd { margin: 0 0 0.4rem; }
`;
// What is for the hand or for the eye alone: a file has no buttons, and PatternFly's classes mean nothing in it.
const LEFT_OUT = ".dr-no-print, .dr-strip, button, form, svg, nav, [role=tooltip]";

/** What a page says, as one HTML file: its structure and words, links made whole, nothing that runs. */
export function reportDocument(title: string, main: Element, origin: string): string {
  const body = main.cloneNode(true) as Element;
  for (const each of body.querySelectorAll(LEFT_OUT)) each.remove();
  for (const each of body.querySelectorAll("*")) {
    const link = each.getAttribute("href");
    const at = each.getAttribute("datetime");
    for (const { name } of [...each.attributes]) each.removeAttribute(name);
    if (link) each.setAttribute("href", new URL(link, origin).href);
    if (at) each.setAttribute("datetime", at);
  }
  const head = document.createElement("title");
  head.textContent = title;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">${head.outerHTML}<style>${STYLE}</style></head>
<body>${body.innerHTML}</body></html>
`;
}
