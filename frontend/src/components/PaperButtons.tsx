import { Button } from "@patternfly/react-core";
import { reportDocument } from "../lib/reportDocument";

/** The page on paper (or as PDF: the browser's print dialogue does that), and as one file that needs no portal. */
export function PaperButtons({ name }: { name: string }) {
  return (
    <>
      <Button variant="secondary" onClick={() => window.print()}>
        Print or save as PDF
      </Button>
      <Button variant="secondary" onClick={() => save(name)}>
        Save as HTML
      </Button>
    </>
  );
}

function save(name: string): void {
  const main = document.querySelector("main");
  if (!main) return;
  const text = reportDocument(document.title, main, window.location.origin);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/html" }));
  link.download = `drportal-${name}.html`;
  link.click();
  URL.revokeObjectURL(link.href);
}
