import "@patternfly/react-core/dist/styles/base.css";
import "./app.css";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { createRoot } from "react-dom/client";
import { BrowserRouter } from "react-router";
import { App } from "./App";
import { Problem } from "./api/client";
import { applyTheme, storedTheme, systemIsDark } from "./lib/theme";

applyTheme(storedTheme());
systemIsDark().addEventListener("change", () => applyTheme(storedTheme()));
// Paper is white, and browsers print no backgrounds: light letters would be lost.
window.addEventListener("beforeprint", () => applyTheme("light"));
window.addEventListener("afterprint", () => applyTheme(storedTheme()));

const client = new QueryClient({
  defaultOptions: {
    queries: {
      // A refusal is an answer; only a portal that does not answer is asked once more.
      retry: (failures, error) =>
        failures < 1 && error instanceof Problem && (error.status === 0 || error.status >= 502),
      staleTime: 2000,
      refetchOnWindowFocus: true,
    },
  },
});

createRoot(document.getElementById("root") as HTMLElement).render(
  <QueryClientProvider client={client}>
    <BrowserRouter>
      <App />
    </BrowserRouter>
  </QueryClientProvider>,
);
