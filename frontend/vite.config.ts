import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** PatternFly's base style names seven font files; italics and its icon font are used nowhere here, and each is a file to ship. */
function onlyTheFontsNeeded(): Plugin {
  return {
    name: "only-the-fonts-needed",
    enforce: "pre",
    transform(code, id) {
      if (!id.includes("@patternfly/react-core/dist/styles/base.css")) return null;
      return code.replace(/@font-face\s*\{[^}]*\}/g, (face) => (/italic|pficon/i.test(face) ? "" : face));
    },
  };
}

/**
 * PatternFly spaces siblings by `> * + *`. With such a rule anywhere, Chromium computes the style of a whole table anew
 * for each row that comes or goes, and a long table stutters. This says the same, and costs one element.
 */
function siblingsByPlace(): Plugin {
  return {
    name: "siblings-by-place",
    enforce: "pre",
    transform(code, id) {
      if (!/@patternfly\/.*\.css/.test(id)) return null;
      return code.replaceAll("> * + *", "> :where(:not(:first-child))");
    },
  };
}

// The portal to develop against: `make demo`, or the mock in dev/mock.mjs.
const portal = process.env.PORTAL ?? "http://127.0.0.1:8000";

export default defineConfig(({ command }) => ({
  base: command === "build" ? "/static/app/" : "/",
  plugins: [onlyTheFontsNeeded(), siblingsByPlace(), react()],
  build: {
    outDir: "../static/app",
    emptyOutDir: true,
    sourcemap: false,
    chunkSizeWarningLimit: 1500,
    // No inline script may run under the page's Content-Security-Policy.
    modulePreload: { polyfill: false },
  },
  server: {
    host: "127.0.0.1",
    proxy: { "/api": portal, "/ws": { target: portal, ws: true } },
  },
  test: { include: ["src/**/*.test.{ts,tsx}"], restoreMocks: true, testTimeout: 20_000 },
}));
