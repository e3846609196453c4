// @vitest-environment jsdom
import { expect, test } from "vitest";
import { reportDocument } from "./reportDocument";

const page = (html: string) => {
  const main = document.createElement("main");
  main.innerHTML = html;
  return reportDocument("Run 1 <b>", main, "https://portal.example.org");
};

test("it keeps words and structure, and leaves out what is for the hand", () => {
  const text = page(
    '<h1 class="x">Run 1</h1><button>Accept</button><form>no</form><p class="dr-no-print">no</p><table><tbody><tr><td>ok</td></tr></tbody></table>',
  );
  expect(text).toContain("<h1>Run 1</h1><table><tbody><tr><td>ok</td></tr></tbody></table>");
  expect(text).toContain("<title>Run 1 &lt;b&gt;</title>");
  expect(text).not.toMatch(/Accept|no</);
});

test("nothing in it runs, and links lead to the portal", () => {
  const text = page(
    '<a href="/trail/7" onclick="evil()">entry 7</a><img src="x" onerror="evil()"><b style="color:red">x</b>',
  );
  expect(text).toContain('<a href="https://portal.example.org/trail/7">entry 7</a>');
  expect(text).not.toMatch(/onclick|onerror|src=|style=/);
});
